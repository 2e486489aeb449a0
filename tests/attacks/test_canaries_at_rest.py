"""Secrets put everywhere, and then looked for in the database itself, as a thief of its files or of a dump has them."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from argparse import ArgumentParser
from base64 import b64encode, urlsafe_b64encode
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import get_commands, load_command_class
from django.test import Client

from accounts.models import Organisation
from integrations.models import SealedValues
from pipelines.models import Parameter
from pipelines.parameters import delete_parameter
from pipelines.pins import remove_pin
from pipelines.rotation import SHELVES, rotate
from tests.attacks.canaries import PASSWORD, World, betrayed, world
from tests.clients import Api
from tests.environment import ENVIRONMENT
from tests.factories import system
from tests.pipelines.client.test_restore import programs
from tests.readme import ROOT

# Kept as a plain hash: 32 random bytes, which nobody guesses, so that their hash tells nothing.
RANDOM = ("bearer of ", "refresh token", "session", "kept answer")
NEW_KEY = b"n" * 32


def dump(url: str, database_kind: str, folder: Path) -> bytes:
    """Everything that the database keeps on disk or gives away; of SQLite all pages, also those that are free."""
    if database_kind == "sqlite":
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
    found = shutil.which("pg_dump", path=os.pathsep.join([*programs(url), os.environ["PATH"]]))
    assert found, "PostgreSQL's own pg_dump is not there."
    ran = subprocess.run([found, "--dbname", url], check=True, capture_output=True, timeout=60)
    return ran.stdout


def settled(url: str, database_kind: str) -> None:
    """SQLite's log is written into its file, and is empty."""
    if database_kind == "sqlite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


@pytest.fixture
def made(committed_db: str, organisation: Organisation) -> World:
    return world(organisation)


def sealed() -> list[str]:
    boxes = [*SealedValues.objects.values_list("box", flat=True), *Parameter.objects.values_list("sealed", flat=True)]
    return [box for box in boxes if box]


def test_no_secret_stands_in_the_database_in_any_disguise(
    made: World, committed_db: str, database_kind: str, tmp_path: Path
) -> None:
    """After people and programs sent them in every way, right and wrong, and with an answer kept to be given again."""
    wrong = {"typed": "canary-typed-at-the-login"}
    client = Client(raise_request_exception=False)
    credentials = {"email": made.email, "password": wrong["typed"]}
    assert client.post("/v1/admin/auth/login", credentials, content_type="application/json").status_code == 401
    client.post("/admin/login/", {"username": made.email, "password": wrong["typed"], "next": "/admin/"})
    client.post("/admin/pipelines/pipeline/new/", {"name": wrong["typed"], "form_key": "none"})
    client.get("/v1/admin/me", headers={"Authorization": f"Bearer {wrong['typed']}", "Idempotency-Key": "one"})
    text = dump(committed_db, database_kind, tmp_path)
    assert made.pipeline.pk.encode() in text, "The dump holds what there is."
    keys = {"SECRET_KEY": ENVIRONMENT["SECRET_KEY"], "ring": ENVIRONMENT["PINION_SECRET_KEYS"].partition(":")[2]}
    random = {name: secret for name, secret in made.secrets.items() if name.startswith(RANDOM)}
    others = {name: secret for name, secret in made.secrets.items() if name not in random} | wrong | keys
    assert betrayed(text, random, hashed=False) == []
    assert betrayed(text, others) == []


def test_what_a_request_said_is_not_kept_as_a_hash_that_guesses_could_be_tried_against(
    made: World, committed_db: str, database_kind: str, tmp_path: Path
) -> None:
    """A person's password may be weak, and one who knows the rest of a body could try all of them."""
    body = b'{"email": "new@acme.example", "name": "New", "role": "viewer", "password": "canary of another"}'
    answer = Api(made.bearers["admin"]).client.post(
        "/v1/admin/users", body, content_type="application/json", headers={"Idempotency-Key": "new"}
    )
    assert answer.status_code == 201
    said = b"POST /v1/admin/users\n" + body
    guesses = [hashlib.new(kind, text).hexdigest() for kind in ("sha256", "md5", "sha1") for text in (said, body)]
    text = dump(committed_db, database_kind, tmp_path)
    assert [guess for guess in guesses if guess.encode() in text] == []


def test_what_was_sealed_before_a_rotation_or_a_removal_is_gone_for_good(
    made: World, committed_db: str, database_kind: str, settings: Any, tmp_path: Path
) -> None:
    """PostgreSQL gives old rows away to nobody; SQLite writes over them, so that the old key opens nothing."""
    before = sealed()
    assert len(before) == 3
    settings.PINION_SECRET_KEYS = {"new": NEW_KEY, **settings.PINION_SECRET_KEYS}
    for shelf in SHELVES:
        list(rotate(shelf))
    rotated = sealed()
    actor = system(made.organisation)
    remove_pin(actor=actor, pipeline_id=made.pipeline.pk, pin_id=made.pin.pk)
    delete_parameter(actor=actor, pipeline_id=made.pipeline.pk, key="token")
    removed = set(rotated) - set(sealed())
    assert len(removed) == 1
    settled(committed_db, database_kind)
    text = dump(committed_db, database_kind, tmp_path)
    assert [box for box in [*before, *removed] if box.partition(":")[2].encode() in text] == []
    assert all(box.encode() in text for box in sealed())


def test_a_secret_is_found_in_whatever_it_hides() -> None:
    """The search itself: else nothing found would say nothing."""
    secret = {"it": 'canary/of+it=~"é'}
    raw = secret["it"].encode()
    hidden = [b"x" * shift + raw + b"yz" for shift in range(4)]
    looks = [raw, raw.hex().encode(), quote(raw, safe="").encode(), secret["it"][::-1].encode()]
    looks += [b64encode(text) for text in hidden] + [urlsafe_b64encode(text) for text in hidden]
    assert [look for look in looks if not betrayed(b"before " + look + b" after", secret)] == []
    assert betrayed(make_password("canary of it").encode(), {"it": "canary of it"}) == []


def test_no_command_takes_a_secret_from_its_command_line() -> None:
    """Where everybody on the machine could read it: passwords and tokens come by standard input."""
    ours = [name for name, app in get_commands().items() if app in ("accounts", "pipelines", "config")]
    assert {"create_user", "set_password", "issue_token", "watch_feed"} <= set(ours)
    taken = []
    for name in ours:
        parser: ArgumentParser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        taken += [(name, action.dest) for action in parser._actions if action.nargs != 0 and is_secret(action.dest)]  # noqa: SLF001  # the one way to ask
    assert taken == []


def is_secret(name: str) -> bool:
    return any(word in name for word in ("password", "token", "secret", "key"))


@pytest.mark.parametrize(
    ("command", "typed", "environment"),
    [
        (["set_password", "{email}", "--password-stdin"], "cnry-815", {}),
        (["set_password", "nobody@acme.example", "--password-stdin"], PASSWORD, {}),
        (["migrate"], "", {"DATABASE_URL": "postgresql://ann:cnry-815-of-a-database@127.0.0.1:1/pinion"}),
        (["check"], "", {"METRICS_TOKEN": "cnry-815-too-short"}),
        (["watch_feed", "--token-stdin", "--once", "--url", "http://127.0.0.1:1"], "pinion_cnry-815", {}),
    ],
)
def test_no_command_that_fails_says_the_secret_that_it_was_given(
    made: World, committed_db: str, command: list[str], typed: str, environment: dict[str, str]
) -> None:
    """With its traceback too."""
    named = [part.format(email=made.email) for part in command]
    ran = subprocess.run(
        [sys.executable, "manage.py", *named, "--traceback"],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "DATABASE_URL": committed_db, "LOG_LEVEL": "DEBUG", **environment},
        input=typed,
        text=True,
        timeout=60,
    )
    assert ran.returncode != 0
    assert "Traceback" in ran.stderr
    said = ran.stdout + ran.stderr
    assert [secret for secret in ("cnry-815", PASSWORD, *made.secrets.values()) if secret in said] == []
