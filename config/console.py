"""Puts our console in the place of Django's own."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "pipelines.admin.site.ConsoleSite"
