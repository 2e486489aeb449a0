"""Who may act, and what they did."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
