"""Make an API token for a program."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.management.operators import OperatorCommand
from accounts.roles import Role
from pipelines.tokens import issue_limited_token

LONGEST = 36_500  # days: a century is as good as for ever, and any date after it can still be computed


class Command(OperatorCommand):
    help = "Make an API token. It is printed this once, alone on standard output, and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="What the token is for.")
        parser.add_argument("--scope", choices=[role.value for role in Role], required=True)
        parser.add_argument("--days", type=_days, help="How long it is valid; default: until it is revoked.")
        parser.add_argument(
            "--pipeline", action="append", default=[], metavar="ID", help="Limit a processor token; repeatable."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        organisation = self.organisation(options)
        token, secret = issue_limited_token(
            actor=self.actor(options, organisation, Role.ADMIN),
            name=options["name"],
            scope=Role(options["scope"]),
            expires_at=options["days"] and timezone.now() + options["days"],
            pipelines=options["pipeline"],
        )
        if options["format"] == "json":
            shown = {"id": token.pk, "name": token.name, "scope": token.scope, "expires_at": token.expiry}
            self.stdout.write(json.dumps({**shown, "pipelines": options["pipeline"], "token": secret}))
            return
        self.stdout.write(secret)
        self.stderr.write(f"{token.pk} “{token.name}”, scope {token.scope}. It is not shown again.")


def _days(text: str) -> timedelta:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LONGEST):
        raise ArgumentTypeError(f"must be a whole number from 1 to {LONGEST}")
    return timedelta(days=int(text))
