"""Logging in, staying logged in, logging out."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.credentials import access_token, actor_for_user, hashed, new_secret
from accounts.errors import Unauthenticated
from accounts.lockout import forget_attempts, reserve_attempt
from accounts.models import RefreshToken, User

WRONG = "The email or the password is wrong."
REFRESH_NOT_VALID = "This refresh token is not valid any more. Log in again."


@dataclass(frozen=True)
class Session:
    """What a client holds: a bearer for `expires_in` seconds, and the one-time token that gets the next pair."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105  # the name of the scheme


def log_in(*, email: str, password: str, request_id: str = "", ip_address: str | None = None) -> Session:
    """Raises Unauthenticated with the same words for an unknown email, and TooManyAttempts."""
    user = _checked(email, password)
    if user is None:
        raise Unauthenticated(WRONG, code="INVALID_CREDENTIALS")
    with transaction.atomic():
        forget_attempts(email)
        actor = actor_for_user(user, request_id=request_id, ip_address=ip_address)
        audit.record(actor=actor, action="user.logged_in", resource_type="user", resource=user, label=user.email)
        return _new_session(user)


def refresh(*, refresh_token: str, request_id: str = "", ip_address: str | None = None) -> Session:
    """Trade a refresh token for a new pair, once; a second use ends all of that user's sessions.

    Raises Unauthenticated.
    """
    now = timezone.now()
    token = RefreshToken.objects.filter(token_hash=hashed(refresh_token))
    with transaction.atomic():
        won = token.filter(used_at=None, expires_at__gt=now, user__is_active=True).update(used_at=now) == 1
        if won:
            return _new_session(token.select_related("user").get().user)
    spent = token.filter(used_at__isnull=False).select_related("user").first()
    if spent is not None:
        _end_all(spent.user, request_id, ip_address)
    raise Unauthenticated(REFRESH_NOT_VALID, code="INVALID_REFRESH_TOKEN")


def log_out(*, actor: Actor, refresh_token: str) -> None:
    """End one session of the actor's own; one that is not theirs, or gone already, is left alone without a word."""
    RefreshToken.objects.filter(token_hash=hashed(refresh_token), user_id=actor.id).delete()


def _checked(email: str, password: str) -> User | None:
    """The user, if the password is right; it takes as long for an email that nobody has."""
    reserve_attempt(email)
    user: User | None = User.objects.by_email(email).enabled().exclude(organisation=None).first()
    if user is None:
        make_password(password)
        return None
    return user if user.check_password(password) else None


def _new_session(user: User) -> Session:
    secret = new_secret()
    RefreshToken.objects.create(
        token_hash=hashed(secret), user=user, expires_at=timezone.now() + settings.REFRESH_TOKEN_LIFETIME
    )
    return Session(access_token(user), secret, int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()))


@transaction.atomic
def _end_all(user: User, request_id: str, ip_address: str | None) -> None:
    ended, _ = RefreshToken.objects.filter(user=user).delete()
    if ended and user.organisation_id is not None:
        actor = actor_for_user(user, request_id=request_id, ip_address=ip_address)
        action = "user.refresh_token_reused"
        audit.record(actor=actor, action=action, resource_type="user", resource=user, label=user.email)
