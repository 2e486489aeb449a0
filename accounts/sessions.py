"""Logging in, staying logged in, logging out."""

from dataclasses import dataclass, field

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
from accounts.querysets import UserQuerySet

WRONG = "The email or the password is wrong."
REFRESH_NOT_VALID = "This refresh token is not valid any more. Log in again."


@dataclass(frozen=True)
class Session:
    """What a client holds: a bearer for `expires_in` seconds, and the one-time token that gets the next pair."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105  # the name of the scheme


def log_in(*, email: str, password: str, request_id: str = "", ip_address: str | None = None) -> Session:
    """Raises Unauthenticated with the same words for an unknown email, and TooManyAttempts."""
    proved = prove(email=email, password=password)
    with transaction.atomic():
        user = proved and _lockable().filter(pk=proved.pk).first()  # disabled meanwhile?
        if user is None or user.organisation_id is None:
            raise Unauthenticated(WRONG, code="INVALID_CREDENTIALS")
        _record("user.logged_in", actor_for_user(user, request_id=request_id, ip_address=ip_address), user)
        RefreshToken.objects.filter(user=user, expires_at__lte=timezone.now()).delete()
        return _new_session(user)


def enter_console(*, email: str, password: str, request_id: str = "", ip_address: str | None = None) -> User | None:
    """The user whom the console lets in, recorded where they belong to an organisation. Raises TooManyAttempts."""
    user = prove(email=email, password=password)
    if user is not None and user.organisation_id is not None:
        _record("user.logged_in", actor_for_user(user, request_id=request_id, ip_address=ip_address), user)
    return user


def prove(*, email: str, password: str) -> User | None:
    """The enabled user with this email, if this is their password; it takes as long for an email that nobody has.

    Raises TooManyAttempts.
    """
    reserve_attempt(email)
    user = User.objects.by_email(email).enabled().first()
    if user is None:
        make_password(password)
        return None
    if not user.check_password(password):
        return None
    forget_attempts(email)
    return user


def refresh(*, refresh_token: str, request_id: str = "", ip_address: str | None = None) -> Session:
    """Trade a refresh token for a new pair, once; a second use ends all of that user's sessions.

    Raises Unauthenticated.
    """
    session = _next_session(refresh_token, request_id, ip_address)
    if session is None:  # raised out here, since the end of all sessions is to be kept
        raise Unauthenticated(REFRESH_NOT_VALID, code="INVALID_REFRESH_TOKEN")
    return session


@transaction.atomic
def log_out(*, actor: Actor, refresh_token: str) -> None:
    """End one session of the actor's own; one that is not theirs, or gone already, is left alone without a word.

    A token that is spent does not tell which session was meant: as with any second use, all of them end.
    """
    user, token = _locked(refresh_token)
    if user is None or token is None or user.pk != actor.id:
        return
    if token.used_at is not None:
        _end_all(user, actor)
        return
    token.delete()
    _record("user.logged_out", actor, user)


@transaction.atomic
def _next_session(refresh_token: str, request_id: str, ip_address: str | None) -> Session | None:
    now = timezone.now()
    user, token = _locked(refresh_token)
    if user is None or token is None:
        return None
    if token.used_at is not None:
        _end_all(user, actor_for_user(user, request_id=request_id, ip_address=ip_address))
        return None
    if token.expires_at <= now:
        return None
    token.used_at = now
    token.save(update_fields=["used_at"])
    return _new_session(user)


def _locked(refresh_token: str) -> tuple[User | None, RefreshToken | None]:
    """The token with its enabled user, whose row is locked first: nobody trades, ends or makes their tokens beside."""
    named = RefreshToken.objects.filter(token_hash=hashed(refresh_token))
    return _lockable().filter(pk__in=named.values("user_id")).first(), named.first()


def _lockable() -> UserQuerySet:
    return User.objects.enabled().select_for_update(no_key=True)


def _new_session(user: User) -> Session:
    secret = new_secret()
    RefreshToken.objects.create(
        token_hash=hashed(secret), user=user, expires_at=timezone.now() + settings.REFRESH_TOKEN_LIFETIME
    )
    return Session(access_token(user), secret, int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()))


def _end_all(user: User, actor: Actor) -> None:
    RefreshToken.objects.filter(user=user).delete()
    _record("user.refresh_token_reused", actor, user)


def _record(action: str, actor: Actor, user: User) -> None:
    audit.record(actor=actor, action=action, resource_type="user", resource=user, label=user.email)
