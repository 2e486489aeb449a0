"""Add a user, and with them, if asked, their organisation."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from accounts.management.operators import PasswordCommand
from accounts.models import Organisation, User
from accounts.roles import LADDER, Role
from accounts.users import create_organisation, create_user


class Command(PasswordCommand):
    help = "Add a user to an organisation; the password is asked for, or read from standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email")
        parser.add_argument("--name", help="Default: the part of the email before the @.")
        parser.add_argument(
            "--role",
            choices=[role.value for role in LADDER],
            help="Default: viewer; the first of an organisation: admin.",
        )
        parser.add_argument(
            "--new-organisation", metavar="NAME", help="Make this organisation, with the user as admin."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        role = self._role(options)
        password = self.password(options)
        with transaction.atomic():
            organisation = self._organisation(options)
            user = create_user(
                actor=self.actor(options, organisation, Role.ADMIN),
                email=options["email"],
                name=options["name"] or options["email"].partition("@")[0],
                role=role,
                password=password,
            )
        self.stdout.write(_as_json(user, organisation) if options["format"] == "json" else _as_text(user, organisation))

    def _organisation(self, options: dict[str, Any]) -> Organisation:
        name = options["new_organisation"]
        return self.organisation(options) if name is None else create_organisation(name=name)

    def _role(self, options: dict[str, Any]) -> Role:
        if options["new_organisation"] is None:
            return Role(options["role"] or Role.VIEWER)
        if options["role"] not in (None, Role.ADMIN):
            raise CommandError("The first user of an organisation is its admin. Leave --role out.", returncode=2)
        return Role.ADMIN


def _as_text(user: User, organisation: Organisation) -> str:
    return f"{user.pk}  {user.email}  {user.role}  {organisation.name}"


def _as_json(user: User, organisation: Organisation) -> str:
    home = {"id": organisation.pk, "name": organisation.name}
    shown = {"id": user.pk, "email": user.email, "name": user.name, "role": user.role, "organisation": home}
    return json.dumps(shown)
