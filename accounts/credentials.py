"""Bearers: the short JWT that a login gives and the long-lived token of a program, made and read here alone."""

import hashlib
import secrets
from functools import lru_cache
from time import time
from typing import Any

import jwt
from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac
from jwt.types import Options

from accounts.actors import Actor, ActorType
from accounts.errors import Unauthenticated
from accounts.models import ApiToken, User
from accounts.roles import Role
from accounts.statements import CompiledQuery

ALGORITHM = "HS256"
# Not `iat`: it proves nothing, and would refuse a token made by a machine whose clock is a second ahead.
CHECKS: Options = {"require": ["sub", "exp"], "verify_iat": False}
TOKEN_PREFIX = "pinion_"  # noqa: S105  # the public mark of our tokens, for secret scanners
MISSING = (
    "Credentials are missing. Send the header “Authorization: Bearer {access_token}”, "
    "with a token from /v1/admin/auth/login or from an admin of your organisation."
)
NOT_VALID = "This token is not valid. Log in again, or ask an admin of your organisation for a new token."
EXPIRED = "This access token has expired. Refresh it at /v1/admin/auth/refresh, or log in again."
PROGRAM_EXPIRED = "This token has expired. Ask an admin of your organisation for a new one."

USERS = CompiledQuery(lambda value: User.objects.enabled().filter(pk=value("id")))
TOKENS = CompiledQuery(lambda value: ApiToken.objects.filter(token_hash=value("token_hash")).unrevoked())


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What the database keeps of a random secret; 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def access_token(user: User) -> str:
    now = timezone.now()
    claims = {"sub": user.pk, "iat": now, "exp": now + settings.ACCESS_TOKEN_LIFETIME, "use": "access"}
    return jwt.encode(claims, _signing_keys(settings.SECRET_KEY)[0], algorithm=ALGORITHM)


def actor_for_bearer(bearer: str, *, request_id: str = "", ip_address: str | None = None) -> Actor:
    """Who holds this bearer, their role read anew: one SQL statement. Raises Unauthenticated."""
    if bearer.startswith(TOKEN_PREFIX):
        return _token_actor(bearer, request_id, ip_address)
    return actor_for_user(_user_of(bearer), request_id=request_id, ip_address=ip_address)


def actor_for_user(user: User, *, request_id: str = "", ip_address: str | None = None) -> Actor:
    """The person as the one who acts. A superuser has no organisation and so acts in none. Raises Unauthenticated."""
    if user.organisation_id is None:
        raise Unauthenticated("This user belongs to no organisation and can only use the console.")
    role = Role(user.role)
    return Actor(ActorType.USER, user.pk, user.email, user.organisation_id, role, request_id, ip_address)


def _token_actor(bearer: str, request_id: str, ip_address: str | None) -> Actor:
    token = TOKENS.first(token_hash=hashed(bearer))
    if token is None:
        raise Unauthenticated(NOT_VALID)
    if token.expires_at is not None and token.expires_at <= timezone.now():
        raise Unauthenticated(PROGRAM_EXPIRED, code="EXPIRED_TOKEN")
    role = Role(token.scope)
    return Actor(ActorType.TOKEN, token.pk, token.name, token.organisation_id, role, request_id, ip_address)


def _user_of(bearer: str) -> User:
    user = USERS.first(id=_claims(bearer)["sub"])
    if user is None:
        raise Unauthenticated(NOT_VALID)
    return user


def _claims(bearer: str) -> dict[str, Any]:
    for key in _signing_keys(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            claims = _signed(bearer, key)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(EXPIRED, code="EXPIRED_TOKEN") from None
        except jwt.InvalidTokenError:
            continue
        if int(claims["exp"]) <= time():
            raise Unauthenticated(EXPIRED, code="EXPIRED_TOKEN")
        if claims.get("use") == "access":
            return claims
    raise Unauthenticated(NOT_VALID)


@lru_cache(maxsize=1000)
def _signed(bearer: str, key: bytes) -> dict[str, Any]:
    """What this key has signed, which does not change; only what is still good must be asked each time.

    Raises jwt.InvalidTokenError, which is not kept.
    """
    claims: dict[str, Any] = jwt.decode(bearer, key, algorithms=[ALGORITHM], options=CHECKS)
    return claims


@lru_cache(maxsize=10)
def _signing_keys(*secrets_in_order: str) -> list[bytes]:
    """The key that signs, then older ones that are still believed; each derived, so that it signs nothing else."""
    return [salted_hmac("pinion.access-token", "", secret, algorithm="sha256").digest() for secret in secrets_in_order]
