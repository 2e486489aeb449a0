"""Add a user, and with them, if asked, their organisation."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from accounts.management.operators import OperatorCommand
from accounts.models import Organisation
from accounts.roles import LADDER, Role
from accounts.users import create_organisation, create_user


class Command(OperatorCommand):
    help = "Add a user to an organisation; the password is asked for, or read from standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email")
        parser.add_argument("--name", help="Default: the part of the email before the @.")
        parser.add_argument("--role", choices=[role.value for role in LADDER], default=Role.VIEWER.value)
        parser.add_argument("--new-organisation", metavar="NAME", help="Make this organisation for the user.")
        parser.add_argument("--password-stdin", action="store_true", help="Read the password from standard input.")

    def handle(self, *args: Any, **options: Any) -> None:
        password = self._password(options)
        with transaction.atomic():
            organisation = self._organisation(options)
            user = create_user(
                actor=self.actor(options, organisation, Role.ADMIN),
                email=options["email"],
                name=options["name"] or options["email"].partition("@")[0],
                role=Role(options["role"]),
                password=password,
            )
        self.stdout.write(f"{user.pk}  {user.email}  {user.role}  {organisation.name}")

    def _organisation(self, options: dict[str, Any]) -> Organisation:
        name = options["new_organisation"]
        return self.organisation(options) if name is None else create_organisation(name=name)

    def _password(self, options: dict[str, Any]) -> str:
        if options["password_stdin"]:
            return sys.stdin.readline().rstrip("\n")
        if not sys.stdin.isatty():
            raise CommandError("There is no terminal to ask on. Send the password with --password-stdin.", returncode=2)
        first, again = getpass.getpass("Password: "), getpass.getpass("Once more: ")
        if first != again:
            raise CommandError("The two passwords differ.")
        return first
