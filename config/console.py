"""Puts our console in the place of Django's own."""

from django.contrib.admin.apps import SimpleAdminConfig


class ConsoleConfig(SimpleAdminConfig):
    """Nothing is discovered: the site itself names its pages."""

    default_site = "pipelines.admin.site.ConsoleSite"
