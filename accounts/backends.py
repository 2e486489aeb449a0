"""Logging in to the console: the same guard against guessing as the API's login."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from accounts.lockout import forget_attempts, reserve_attempt
from accounts.models import User


class GuardedBackend(BaseBackend):
    """Knows users by email; someone disabled is out at their next request."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Raises TooManyAttempts."""
        if username is None or password is None:
            return None
        return check_password(username, password)

    def get_user(self, user_id: Any) -> User | None:
        user: User | None = User.objects.enabled().select_related("organisation").filter(pk=user_id).first()
        return user


def check_password(email: str, password: str) -> User | None:
    """The enabled user of this email if the password is right; it takes as long for an email that nobody has.

    Raises TooManyAttempts.
    """
    reserve_attempt(email)
    user: User | None = User.objects.by_email(email).enabled().first()
    if user is None:
        make_password(password)
        return None
    if not user.check_password(password):
        return None
    forget_attempts(email)
    return user
