"""What every command shares: who runs it, in which organisation, and how a refusal ends it."""

import getpass
import socket
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.actors import Actor, ActorType
from accounts.errors import Refused
from accounts.models import Organisation, User
from accounts.roles import Role, allows


class OperatorCommand(BaseCommand):
    """A command that acts in one organisation. Exit codes: 0 done, 1 refused, 2 usage."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", help="Name or id; not needed while there is only one.")
        parser.add_argument("--actor", metavar="EMAIL", help="Who acts; default: you, by your operating-system name.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="json: one object, on one line.")

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except Refused as refusal:
            untold = [detail for detail in refusal.details if detail.message not in refusal.message]
            lines = [refusal.message, *(f"  {detail.field}: {detail.message}" for detail in untold)]
            raise CommandError("\n".join(lines), returncode=self.exit_code(refusal)) from None

    def exit_code(self, refusal: Refused) -> int:
        """How the command ends when a rule refuses what it was to do."""
        return 1

    def organisation(self, options: dict[str, Any]) -> Organisation:
        """The organisation meant. Raises CommandError that lists those there are."""
        asked = options["organisation"]
        found = list(Organisation.objects.order_by("name", "pk"))
        matching = [row for row in found if asked in (None, row.name, row.pk)]
        if len(matching) != 1:
            names = (
                ", ".join(f"{row.name} ({row.pk})" for row in found)
                or "none yet: see manage.py create_user --new-organisation"
            )
            raise CommandError(f"Say which organisation with --organisation. There are: {names}.", returncode=2)
        return matching[0]

    def actor(self, options: dict[str, Any], organisation: Organisation, needed: Role = Role.EDITOR) -> Actor:
        """Who is recorded as acting: a user of the organisation whose role allows it, else the operator."""
        if options["actor"] is None:
            return operator(organisation)
        user = User.objects.in_organisation(organisation.pk).by_email(options["actor"]).enabled().first()
        if user is None:
            raise CommandError(f"{organisation.name} has no enabled user {options['actor']}.", returncode=2)
        if not allows(user.role, needed):
            raise CommandError(f"{user.email} is a {user.role}, and this takes the role {needed.value}.")
        return Actor(ActorType.USER, user.pk, user.email, organisation.pk, Role(user.role))


class PasswordCommand(OperatorCommand):
    """A command that takes a password: asked for twice, or read from standard input."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--password-stdin", action="store_true", help="Read the password from standard input.")

    def password(self, options: dict[str, Any]) -> str:
        if options["password_stdin"]:
            return sys.stdin.readline().rstrip("\r\n")
        if not sys.stdin.isatty():
            raise CommandError("There is no terminal to ask on. Send the password with --password-stdin.", returncode=2)
        first, again = getpass.getpass("Password: "), getpass.getpass("Once more: ")
        if first != again:
            raise CommandError("The two passwords differ.")
        return first


def operator(organisation: Organisation) -> Actor:
    """The person at the command line; whoever may run it there has the database anyway, hence the role."""
    name = f"{getpass.getuser()}@{socket.gethostname()}"
    return Actor(ActorType.OPERATOR, name, name, organisation.pk, Role.ADMIN)
