"""Readers for what the environment says; every bad variable is reported at once, before anything starts."""

import json
import os
import re
import secrets
from base64 import b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import EnvError, FileAwareEnv

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")  # it stands before a colon in everything that is sealed
FEWEST_CHARACTERS = 24  # of a token that somebody chooses for us


def environment() -> FileAwareEnv:
    """A reader that also takes `NAME_FILE` for any `NAME` (a mounted secret) and keeps its complaints for `settle`."""
    env = FileAwareEnv(eager=False, strip_whitespace=True)
    env.add_parser("database", database_from_url)
    env.add_parser("key_ring", key_ring)
    return env


def settle(env: FileAwareEnv) -> None:
    """Refuse to start when anything read through `env` was wrong, naming every bad variable at once."""
    try:
        env.seal()
    except EnvError as error:
        raise ImproperlyConfigured(f"The environment is not usable. {error}") from None


def development_keys(folder: Path) -> dict[str, str]:
    """Keys for a machine where nothing is configured: made once, kept in `folder`, readable by its owner only."""
    path = folder / "development-keys.json"
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PINION_SECRET_KEYS": f"dev:{urlsafe_b64encode(secrets.token_bytes(32)).decode()}",
    }
    draft = folder / f"development-keys.{os.getpid()}.draft"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(made))
    try:
        os.link(draft, path)  # the first process wins, and no reader ever sees half a file
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    keys: dict[str, str] = json.loads(path.read_text())
    return keys


def database_from_url(url: str) -> dict[str, Any]:
    """Django's settings for `sqlite:///file` or `postgresql://user:password@host:port/name?option=value`.

    Options of the query string are passed to the driver; `host` may name a socket folder. Raises EnvError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its message may quote the password
        raise EnvError("Its host or its port cannot be read. A port is a number from 0 to 65535.") from None
    if parts.scheme == "sqlite":
        return _sqlite(parts)
    if parts.scheme in ("postgresql", "postgres"):
        return _postgresql(parts, port)
    raise EnvError("It must start with sqlite:/// or postgresql://.")


def _sqlite(parts: SplitResult) -> dict[str, Any]:
    name = unquote(parts.path.removeprefix("/"))
    if not name or parts.netloc or parts.query:
        raise EnvError("It must name a file and nothing else: sqlite:///var/pinion.sqlite3.")
    if name != ":memory:":
        Path(name).parent.mkdir(parents=True, exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # The last: what is deleted is written over, an old secret among it, whichever way this SQLite was built.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000; "
            "PRAGMA secure_delete=ON;",
        },
    }


def _postgresql(parts: SplitResult, port: int | None) -> dict[str, Any]:
    options = {"connect_timeout": "10", **dict(parse_qsl(parts.query))}
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise EnvError("It names no database: write postgresql://user:password@host:5432/pinion.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or options.pop("user", "")),
        "PASSWORD": unquote(parts.password or options.pop("password", "")),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(port or options.pop("port", "")),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def long_enough(token: str) -> None:
    """Refuse a token that can be guessed; none at all is fine. Raises EnvError."""
    if 0 < len(token) < FEWEST_CHARACTERS:
        raise EnvError(f"It must have at least {FEWEST_CHARACTERS} random characters: openssl rand -hex 32")


def key_ring(text: str) -> dict[str, bytes]:
    """Read `id:key,id:key`, each key 32 bytes in URL-safe base64, the first the one that encrypts. Raises EnvError."""
    entries = [entry.strip().partition(":") for entry in text.split(",") if entry.strip()]
    ring = {identifier: _key(key) for identifier, _, key in entries}
    if not ring or len(ring) != len(entries) or not all(map(KEY_ID.fullmatch, ring)):
        raise EnvError("It must read id:key,id:key, each id once, the key that encrypts first.")
    return ring


def _key(text: str) -> bytes:
    try:
        key = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise EnvError("Each key must be 32 random bytes in URL-safe base64: openssl rand -base64 32 | tr +/ -_")
    return key
