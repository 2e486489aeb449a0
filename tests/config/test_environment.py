"""What the environment says, and what Pinion makes of it: loud on nonsense, closed where nothing is said."""

import json
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from environs import EnvError

from config import checks
from config.environment import database_from_url, development_keys, key_ring

ROOT = Path(__file__).resolve().parents[2]
KEY = urlsafe_b64encode(bytes(range(32))).decode()
PRODUCTION = {
    "SECRET_KEY": "sX9-3vLq8Wm2Zt7RbN4cKp6Yd1HfJg5AeUoTi0QwErMyCxVzBhGn4DkS",
    "PINION_SECRET_KEYS": f"2026:{KEY}",
    "ALLOWED_HOSTS": "pinion.example.com",
    "DATABASE_URL": "sqlite:///:memory:",
}
SHOW = """
import json, sys
from config import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


def run(environment: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    """A program with nothing but this in its environment."""
    return subprocess.run(
        [sys.executable, *command],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings", **environment},
        text=True,
    )


def shown(environment: dict[str, str], *names: str) -> dict[str, Any]:
    """These settings, as they are with this environment."""
    ran = run(environment, "-c", SHOW, *names)
    assert ran.returncode == 0, ran.stderr
    read: dict[str, Any] = json.loads(ran.stdout)
    return read


def complaint(environment: dict[str, str]) -> str:
    """The last line of what a start with this environment ends in."""
    ran = run(environment, "-c", "import config.settings")
    assert ran.returncode != 0
    assert "ImproperlyConfigured: The environment is not usable." in ran.stderr
    return ran.stderr.partition("ImproperlyConfigured")[2]


def test_every_bad_variable_is_named_at_once() -> None:
    bad = {
        "DEBUG": "yess",
        "PORT": "eighty",
        "DATABASE_URL": "mysql://localhost/pinion",
        "PINION_SECRET_KEYS": "2026:short",
        "ACCESS_TOKEN_SECONDS": "0",
        "REFRESH_TOKEN_DAYS": "-1",
        "LOGIN_ATTEMPTS": "none",
        "LOGIN_LOCKOUT_SECONDS": "0",
        "TRUSTED_PROXIES": "-1",
        "SECURE_SSL_REDIRECT": "maybe",
        "SECURE_HSTS_SECONDS": "a year",
        "LOG_LEVEL": "LOUD",
    }
    said = complaint(bad)
    assert [name for name in [*bad, "SECRET_KEY", "ALLOWED_HOSTS"] if name not in said] == []
    assert "short" not in said


def test_production_refuses_to_start_without_its_keys() -> None:
    said = complaint({"DEBUG": "false"})
    assert [name for name in ("SECRET_KEY", "PINION_SECRET_KEYS", "ALLOWED_HOSTS") if name not in said] == []


@pytest.mark.parametrize("missing", ["PINION_SECRET_KEYS", "ALLOWED_HOSTS"])
def test_whoever_sets_a_secret_key_must_set_the_rest(missing: str) -> None:
    assert missing in complaint({name: value for name, value in PRODUCTION.items() if name != missing})


def test_a_secret_key_turns_debug_off() -> None:
    assert shown(PRODUCTION, "DEBUG", "SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "SECURE_HSTS_SECONDS") == {
        "DEBUG": False,
        "SECURE_SSL_REDIRECT": True,
        "SESSION_COOKIE_SECURE": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
    }


def test_where_nothing_is_said_a_developer_finds_everything_ready() -> None:
    facts = shown({}, "DEBUG", "ALLOWED_HOSTS", "PORT", "SECURE_SSL_REDIRECT", "SECRET_KEY", "DATABASES")
    assert (facts["DEBUG"], facts["PORT"], facts["SECURE_SSL_REDIRECT"]) == (True, 8084, False)
    assert facts["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert facts["DATABASES"]["default"]["NAME"] == str(ROOT / "var" / "pinion.sqlite3")
    assert shown({}, "SECRET_KEY")["SECRET_KEY"] == facts["SECRET_KEY"]


def test_any_variable_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file-and-long-enough-to-be-a-key-of-fifty-characters\n")
    environment = {**PRODUCTION, "SECRET_KEY_FILE": str(tmp_path / "key")}
    del environment["SECRET_KEY"]
    assert shown(environment, "SECRET_KEY", "DEBUG") == {
        "SECRET_KEY": "from-a-file-and-long-enough-to-be-a-key-of-fifty-characters",
        "DEBUG": False,
    }


def test_a_file_that_is_not_there_is_named() -> None:
    environment = {name: value for name, value in PRODUCTION.items() if name != "PINION_SECRET_KEYS"}
    ran = run({**environment, "PINION_SECRET_KEYS_FILE": "/nowhere/keys"}, "-c", "import config.settings")
    assert ran.returncode != 0
    assert "/nowhere/keys" in ran.stderr


def test_development_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    keys = development_keys(folder)
    assert development_keys(folder) == keys
    assert [path.name for path in folder.iterdir()] == ["development-keys.json"]
    assert (folder / "development-keys.json").stat().st_mode & 0o777 == 0o600
    assert len(key_ring(keys["PINION_SECRET_KEYS"])["dev"]) == 32


def test_a_key_ring_keeps_its_order() -> None:
    other = urlsafe_b64encode(b"x" * 32).decode()
    assert list(key_ring(f" new:{KEY} , old:{other},")) == ["new", "old"]
    assert key_ring(f"new:{KEY}") == {"new": bytes(range(32))}
    assert key_ring(f"new:{KEY.rstrip('=')}") == {"new": bytes(range(32))}


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        KEY,
        f":{KEY}",
        "new:",
        "new:not base64!",
        f"new:{KEY}x",
        f"new:{KEY[:-8]}",
        f"new:{KEY},new:{KEY}",
        "ü:x",
        f"a b:{KEY}",
    ],
)
def test_a_key_ring_that_is_none_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(EnvError) as refused:
        key_ring(text)
    assert KEY[:16] not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///var/pinion.sqlite3", {"NAME": "var/pinion.sqlite3"}),
        ("sqlite:///var/a%20b.sqlite3", {"NAME": "var/a b.sqlite3"}),
        ("sqlite:///:memory:", {"NAME": ":memory:"}),
        (
            "postgresql://ann:p%40ss@db.example:5433/pinion?sslmode=require",
            {"NAME": "pinion", "USER": "ann", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": "5433"},
        ),
        (
            "postgres:///pinion?host=/run/postgresql&user=ann",
            {"NAME": "pinion", "USER": "ann", "HOST": "/run/postgresql", "PORT": ""},
        ),
        ("postgresql://[::1]/pinion", {"NAME": "pinion", "HOST": "::1"}),
    ],
)
def test_a_database_is_named_by_its_address(url: str, expected: dict[str, str]) -> None:
    made = database_from_url(url)
    assert {name: made[name] for name in expected} == expected


def test_options_of_the_address_go_to_the_driver() -> None:
    made = database_from_url("postgresql://db/pinion?sslmode=require&connect_timeout=3")
    assert made["OPTIONS"] == {"sslmode": "require", "connect_timeout": "3"}
    assert database_from_url("postgresql://db/pinion")["OPTIONS"] == {"connect_timeout": "10"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pinion",
        "mysql://db/pinion",
        "sqlite://",
        "sqlite:///",
        "sqlite:///a.sqlite3?mode=ro",
        "postgresql://db",
        "postgresql://db:port/pinion",
        "postgresql://db:99999/pinion",
        "postgresql://[::1/pinion",
    ],
)
def test_an_address_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(EnvError):
        database_from_url(url)


def test_a_bad_address_does_not_repeat_its_password() -> None:
    said = complaint({**PRODUCTION, "DATABASE_URL": "postgresql://ann:hunter2@db:port/pinion"})
    assert "DATABASE_URL" in said
    assert "hunter2" not in said


def test_a_production_environment_passes_every_check_of_a_deployment() -> None:
    ran = run(PRODUCTION, "-W", "error", "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert (ran.returncode, ran.stdout) == (0, "System check identified no issues (0 silenced).\n"), ran.stderr


def test_the_checks_are_run_by_manage_py() -> None:
    ran = run({**PRODUCTION, "ALLOWED_HOSTS": "*"}, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert ran.returncode == 1
    assert "(pinion.W002)" in ran.stderr


def ids(messages: list[CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def test_debug_on_a_real_database_is_doubtful(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for debug, engine, expected in (
        (True, "postgresql", ["pinion.W001"]),
        (True, "sqlite3", []),
        (False, "postgresql", []),
    ):
        settings.DEBUG = debug
        monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", f"django.db.backends.{engine}")
        assert ids(checks.debug_is_off_on_a_real_database()) == expected


def test_allowing_any_host_is_doubtful(settings: Any) -> None:
    for hosts, expected in ((["*"], ["pinion.W002"]), (["pinion.example.com"], [])):
        settings.ALLOWED_HOSTS = hosts
        assert ids(checks.any_host_is_not_allowed()) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (bytes(range(32)), []),
        (bytes(32), ["pinion.E001"]),
        (b"ab" * 16, ["pinion.E001"]),
        (b"the very key that signs, 32 long", ["pinion.E001"]),
    ],
)
def test_a_key_that_can_be_guessed_or_signs_too_is_an_error(key: bytes, expected: list[str], settings: Any) -> None:
    settings.SECRET_KEY = "the very key that signs, 32 long"
    settings.SECRET_KEY_FALLBACKS = []
    settings.PINION_SECRET_KEYS = {"new": key}
    messages = checks.keys_are_random_and_only_for_secrets()
    assert ids(messages) == expected
    assert all("'new'" in str(message.msg) for message in messages)
    settings.SECRET_KEY = urlsafe_b64encode(bytes(range(32))).decode()
    settings.PINION_SECRET_KEYS = {"new": bytes(range(32))}
    assert ids(checks.keys_are_random_and_only_for_secrets()) == ["pinion.E001"]
