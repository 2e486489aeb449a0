"""Give a user a password: their first, or another in place of one that is lost."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.management.operators import PasswordCommand
from accounts.models import User
from accounts.roles import Role
from accounts.users import set_password, set_password_of_superuser


class Command(PasswordCommand):
    help = "Set the password of a user; all of their sessions end. It is asked for, or read from standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        found = User.objects.by_email(options["email"]).select_related("organisation").first()
        if found is None:
            raise CommandError(f"There is no user {options['email']}.")
        self._require_asked_for(found, options)
        user = self._set(found, options)
        shown = {"id": user.pk, "email": user.email}
        unheard = "" if user.organisation_id else " They belong to no organisation, so no audit log says so."
        text = f"{user.email} has a new password.{unheard}"
        self.stdout.write(json.dumps(shown) if options["format"] == "json" else text)

    def _require_asked_for(self, user: User, options: dict[str, Any]) -> None:
        """The email says which organisation is meant; who names another has somebody else in mind."""
        asked, home = options["organisation"], user.organisation
        if asked is not None and (home is None or asked not in (home.name, home.pk)):
            raise CommandError(f"{user.email} does not belong to {asked}.", returncode=2)

    def _set(self, user: User, options: dict[str, Any]) -> User:
        if user.organisation is None:
            return set_password_of_superuser(email=user.email, password=self.password(options))
        actor = self.actor(options, user.organisation, Role.ADMIN)
        return set_password(actor=actor, user_id=user.pk, password=self.password(options))
