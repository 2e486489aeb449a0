"""How the console lets people in: by the same check and the same guard as the API."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.errors import TooManyAttempts
from accounts.models import User
from accounts.sessions import prove


class GuardedBackend(BaseBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **credentials: Any
    ) -> User | None:
        """Raises PermissionDenied after too many attempts, so that Django asks no other backend."""
        if username is None or password is None:
            return None
        try:
            return prove(email=username, password=password)
        except TooManyAttempts as refusal:
            raise PermissionDenied(refusal.message) from None

    def get_user(self, user_id: str) -> User | None:
        """The user of a console session, read anew for each request."""
        return User.objects.enabled().filter(pk=user_id).first()
