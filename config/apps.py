"""The wiring as an app of Django's, so that its checks are run."""

from django.apps import AppConfig

from config import checks

__all__ = ["Wiring", "checks"]


class Wiring(AppConfig):
    name = "config"
