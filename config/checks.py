"""Settings that work and are dangerous all the same: `manage.py check` says so, and how to mend it."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Doubt
from django.db import Error as DatabaseError

FEWEST_DIFFERENT_BYTES = 12  # 32 random bytes have fewer about once in 10^13


@register(Tags.security)
def debug_is_off_on_a_real_database(**_: Any) -> list[CheckMessage]:
    if not settings.DEBUG or settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        return []
    message = "DEBUG is on, with PostgreSQL: errors show the code, and the keys are those of a development machine."
    hint = "Set SECRET_KEY and PINION_SECRET_KEYS, which turns DEBUG off, or DEBUG=false."
    return [Doubt(message, hint=hint, id="pinion.W001")]


@register(Tags.security, deploy=True)
def any_host_is_not_allowed(**_: Any) -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    message = "ALLOWED_HOSTS allows every name: whoever forges the Host header chooses what links of ours point to."
    hint = "Name the hosts under which Pinion is reached, such as ALLOWED_HOSTS=pinion.example.com."
    return [Doubt(message, hint=hint, id="pinion.W002")]


@register(Tags.security, deploy=True)
def keys_are_random_and_only_for_secrets(**_: Any) -> list[CheckMessage]:
    signing = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    weak = [name for name, key in settings.PINION_SECRET_KEYS.items() if _is_weak(key) or _is_one_of(key, signing)]
    hint = "Add a key of 32 random bytes in front of the ring and run manage.py rotate_secrets: README, “Keys”."
    return [
        Error(
            f"The key {name!r} of PINION_SECRET_KEYS can be guessed, or signs as SECRET_KEY too.",
            hint,
            id="pinion.E001",
        )
        for name in weak
    ]


@register(Tags.database)
def the_key_ring_opens_what_is_in_the_database(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Run by `migrate` and by `check --database default`; a database without its tables holds no secret yet."""
    keys = import_module("pipelines.keys")  # stands on models, which are not there yet when this is registered
    try:
        lost = keys.lost_keys() if databases else []
    except DatabaseError:
        return []
    kind = Doubt if settings.ACCEPT_LOST_SECRETS else Error
    number = "pinion.W003" if settings.ACCEPT_LOST_SECRETS else "pinion.E002"
    return [kind(keys.LOST.format(key=key), hint=keys.HINT, id=number) for key in lost]


def _is_weak(key: bytes) -> bool:
    return len(set(key)) < FEWEST_DIFFERENT_BYTES


def _is_one_of(key: bytes, signing: Sequence[str]) -> bool:
    texts = {urlsafe_b64encode(key).decode(), urlsafe_b64encode(key).decode().rstrip("=")}
    return any(text in texts or key in text.encode() for text in signing)
