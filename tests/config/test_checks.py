"""Settings that work and are dangerous: each has a check with an id and a hint, and README.md names them all."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import CheckMessage

from config import checks
from tests.readme import README, ROOT, sections

POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "HOST": "db.example.com", "OPTIONS": {}}
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "pinion.sqlite3", "OPTIONS": {}}
KEY = bytes(range(32))


def found(check: Any) -> list[str | None]:
    messages: list[CheckMessage] = check()
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def database(**facts: Any) -> dict[str, Any]:
    return {"DATABASES": {"default": {**POSTGRESQL, **facts}}}


@pytest.mark.parametrize(
    ("check", "dangerous", "harmless", "identifier"),
    [
        (
            checks.no_key_stands_twice_in_the_ring,
            {"PINION_SECRET_KEYS": {"new": KEY, "old": KEY}},
            {"PINION_SECRET_KEYS": {"new": KEY, "old": KEY[::-1]}},
            "pinion.E003",
        ),
        (
            checks.debug_is_off_where_others_come,
            {"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "pinion.example.com"]},
            {"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"]},
            "pinion.W004",
        ),
        (
            checks.debug_is_off_where_others_come,
            {"DEBUG": True, "ALLOWED_HOSTS": [".example.com"]},
            {"DEBUG": False, "ALLOWED_HOSTS": [".example.com"]},
            "pinion.W004",
        ),
        (
            checks.several_processes_share_no_sqlite,
            {"METRICS_FOLDER": "/run/pinion", "DATABASES": {"default": SQLITE}},
            {"METRICS_FOLDER": "", "DATABASES": {"default": SQLITE}},
            "pinion.W005",
        ),
        (
            checks.proxies_are_believed_only_with_tls,
            {"TRUSTED_PROXIES": 1, "SECURE_SSL_REDIRECT": False},
            {"TRUSTED_PROXIES": 1, "SECURE_SSL_REDIRECT": True},
            "pinion.W006",
        ),
        (
            checks.a_database_elsewhere_is_spoken_to_with_tls,
            database(OPTIONS={"sslmode": "prefer"}),
            database(OPTIONS={"sslmode": "verify-full"}),
            "pinion.W007",
        ),
        (
            checks.a_database_elsewhere_is_spoken_to_with_tls,
            database(HOST="10.0.0.1"),
            database(HOST="/run/postgresql.d"),
            "pinion.W007",
        ),
        (
            checks.access_tokens_end_soon,
            {"ACCESS_TOKEN_LIFETIME": timedelta(days=2)},
            {"ACCESS_TOKEN_LIFETIME": timedelta(days=1)},
            "pinion.W008",
        ),
    ],
)
def test_a_dangerous_setting_is_found_and_a_harmless_one_is_not(
    check: Any, dangerous: dict[str, Any], harmless: dict[str, Any], identifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for facts, expected in ((dangerous, [identifier]), (harmless, [])):
        with monkeypatch.context() as patched:
            for name, value in facts.items():
                patched.setattr(settings, name, value)
            assert found(check) == expected


def test_the_readme_names_every_check() -> None:
    code = (ROOT / "config" / "checks.py").read_text()
    named = re.findall(r"^\| `(pinion\.[EW]\d{3})` \|", sections(README.read_text())["Run it for real"], re.MULTILINE)
    assert named == sorted(set(re.findall(r"pinion\.[EW]\d{3}", code)))
