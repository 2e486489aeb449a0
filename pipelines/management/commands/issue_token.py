"""Make an API token for a program."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.management.operators import OperatorCommand
from accounts.roles import Role
from pipelines.tokens import issue_limited_token


class Command(OperatorCommand):
    help = "Make an API token. It is printed this once, alone on standard output, and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="What the token is for.")
        parser.add_argument("--scope", choices=[role.value for role in Role], required=True)
        parser.add_argument("--days", type=int, help="How long it is valid; default: until it is revoked.")
        parser.add_argument(
            "--pipeline", action="append", default=[], metavar="ID", help="Limit a processor token; repeatable."
        )
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        organisation = self.organisation(options)
        expires_at = None if options["days"] is None else timezone.now() + timedelta(days=options["days"])
        token, secret = issue_limited_token(
            actor=self.actor(options, organisation, Role.ADMIN),
            name=options["name"],
            scope=Role(options["scope"]),
            expires_at=expires_at,
            pipelines=options["pipeline"],
        )
        if options["format"] == "json":
            expiry = expires_at.isoformat() if expires_at else None
            shown = {"id": token.pk, "name": token.name, "scope": token.scope, "expires_at": expiry, "token": secret}
            self.stdout.write(json.dumps(shown))
            return
        self.stdout.write(secret)
        self.stderr.write(f"{token.pk} “{token.name}”, scope {token.scope}. It is not shown again.")
