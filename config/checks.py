"""Settings that work and are dangerous all the same: `manage.py check` says so, and how to mend it."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Doubt
from django.db import Error as DatabaseError

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "*"})  # of "*" another check speaks
ENCRYPTED = ("require", "verify-ca", "verify-full")
LONGEST_ACCESS = timedelta(days=1)
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


@register(Tags.security, deploy=True)
def no_key_stands_twice_in_the_ring(**_: Any) -> list[CheckMessage]:
    ring = settings.PINION_SECRET_KEYS
    if len(set(ring.values())) == len(ring):
        return []
    message = "One key stands under two ids in PINION_SECRET_KEYS: rotating to it changes nothing."
    return [Error(message, hint="Make a new key: openssl rand -base64 32 | tr +/ -_", id="pinion.E003")]


@register(Tags.security)
def debug_is_off_where_others_come(**_: Any) -> list[CheckMessage]:
    public = [host for host in settings.ALLOWED_HOSTS if host not in LOCAL]
    if not settings.DEBUG or not public:
        return []
    message = f"DEBUG is on, and ALLOWED_HOSTS names {public[0]!r}: errors show the code, and /metrics is open."
    return [Doubt(message, hint="Set DEBUG=false, or take the name out of ALLOWED_HOSTS.", id="pinion.W004")]


@register(Tags.security, deploy=True)
def several_processes_share_no_sqlite(**_: Any) -> list[CheckMessage]:
    if not settings.METRICS_FOLDER or settings.DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":
        return []
    message = "PROMETHEUS_MULTIPROC_DIR says that several processes serve, and all of them write to one SQLite file."
    hint = "Name a PostgreSQL in DATABASE_URL. On SQLite one process with threads serves as much."
    return [Doubt(message, hint=hint, id="pinion.W005")]


@register(Tags.security, deploy=True)
def proxies_are_believed_only_with_tls(**_: Any) -> list[CheckMessage]:
    if not settings.TRUSTED_PROXIES or settings.SECURE_SSL_REDIRECT:
        return []
    message = "TRUSTED_PROXIES is set and SECURE_SSL_REDIRECT is off: whoever comes to the proxy without TLS is served."
    hint = "Leave SECURE_SSL_REDIRECT at its default, and let the proxy say X-Forwarded-Proto."
    return [Doubt(message, hint=hint, id="pinion.W006")]


@register(Tags.security, deploy=True)
def a_database_elsewhere_is_spoken_to_with_tls(**_: Any) -> list[CheckMessage]:
    """A name without a dot, an address of this machine and a socket are taken for a private network."""
    database = settings.DATABASES["default"]
    host = database.get("HOST", "")
    private = "." not in host or host.startswith("/") or host in LOCAL
    if private or database["OPTIONS"].get("sslmode") in ENCRYPTED:
        return []
    message = f"DATABASE_URL leads to {host!r} and does not insist on TLS: passwords and data may pass in plain."
    return [Doubt(message, hint="Add ?sslmode=verify-full, or require, to DATABASE_URL.", id="pinion.W007")]


@register(Tags.security, deploy=True)
def access_tokens_end_soon(**_: Any) -> list[CheckMessage]:
    if settings.ACCESS_TOKEN_LIFETIME <= LONGEST_ACCESS:
        return []
    message = "ACCESS_TOKEN_SECONDS is more than a day: neither a logout nor a new password ends an access token."
    return [Doubt(message, hint="Leave it at 900; clients refresh by themselves.", id="pinion.W008")]


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
