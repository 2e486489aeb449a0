"""Django's command of this name, closed: it would leave no trace in the audit log, and sessions open."""

from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Not here: use set_password, which the audit log knows of."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("email", nargs="?", default="EMAIL")

    def handle(self, *args: Any, **options: Any) -> NoReturn:
        raise CommandError(f"This would leave no trace. Use manage.py set_password {options['email']} instead.")
