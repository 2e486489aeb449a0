"""Real processes, really killed: the client serves its last good config all the while, and misses no change."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.models import Organisation
from pipelines.client import Change, Client
from pipelines.client.shelf import Shelf
from pipelines.client.store import Store
from pipelines.models import Pin
from pipelines.pins import update_pin
from tests.environment import ENVIRONMENT
from tests.factories import CONFIGS, PinFactory, TemplateFactory, revision_of, system
from tests.pipelines.client.conftest import Connect
from tests.pipelines.client.disks import Disk
from tests.pipelines.client.planes import until
from tests.pipelines.client.servers import KillableServer, Operator, killable
from tests.postgresql import Server
from tests.readme import ROOT

POLL = 1.0  # seconds
SLOW = 2.0  # more, on a machine that does much else
NOWHERE = "http://127.0.0.1:9"


class Watch:
    """Looks at a client all the while from another thread, and remembers whether it ever had nothing to say."""

    def __init__(self, client: Client, pipeline_id: str) -> None:
        self.looks = self.blanks = 0
        self.slowest = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, args=[client, pipeline_id])

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self, client: Client, pipeline_id: str) -> None:
        while not self._ended.wait(0.001):
            began = time.monotonic()
            config = client.config(pipeline_id)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.looks += 1
            self.blanks += config is None or not config.integrations


def revision(client: Client, pin: Pin) -> int | None:
    config = client.config(pin.pipeline_id)
    return config.integrations[0].revision_number if config and config.integrations else None


def pin_to(pin: Pin, number: int) -> None:
    """By the service, so that no server needs to be there."""
    update_pin(
        actor=system(pin.organisation),
        pipeline_id=pin.pipeline_id,
        pin_id=pin.pk,
        revision_id=revision_of(pin.template, number).pk,
    )


def converges(client: Client, pin: Pin, number: int) -> None:
    """Within a poll interval."""
    began = time.monotonic()
    until(lambda: revision(client, pin) == number, 20)
    assert time.monotonic() - began < POLL + SLOW


# --- the server -------------------------------------------------------------------------------------------------------


def test_a_server_that_is_killed_and_comes_back(server: KillableServer, connect: Connect, meta: Pin) -> None:
    with connect() as client:
        until(lambda: revision(client, meta) == 1)
        with Watch(client, meta.pipeline_id) as watch:
            server.kill()
            pin_to(meta, 2)
            until(lambda: "cannot be reached" in client.status.trouble)
            time.sleep(POLL)
            assert revision(client, meta) == 1
            server.start()
            converges(client, meta, 2)
        assert client.status.trouble == ""
    assert (watch.blanks, watch.looks > 500) == (0, True)


def test_no_change_is_skipped_while_the_server_is_killed_again_and_again(
    server: KillableServer, connect: Connect, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=3)
    pins = [PinFactory(organisation=organisation, template=template) for _ in range(4)]
    revisions = {number: revision_of(template, number).pk for number in (1, 2, 3)}
    heard: list[Change] = []
    ended = threading.Event()

    def write() -> None:
        chance = random.Random(5)  # noqa: S311  # the same each time
        while not ended.wait(0.03):
            pin = chance.choice(pins)
            wish = {"revision_id": chance.choice(list(revisions.values())), "enabled": chance.random() > 0.3}
            update_pin(actor=system(organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk, **wish)
        connection.close()

    with connect(on_change=heard.append) as client:
        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(2):
            time.sleep(0.7)
            server.kill()
            time.sleep(0.3)
            server.start()
        time.sleep(0.5)
        ended.set()
        writer.join()
        wanted = {pin.pipeline_id: standing(pin) for pin in pins}
        until(lambda: {pin.pipeline_id: now(client, pin) for pin in pins} == wanted, POLL + SLOW)
    assert_in_order(heard)


def standing(pin: Pin) -> dict[str, str]:
    """What the database says that a pin delivers."""
    pin.refresh_from_db()
    return {pin.pk: pin.revision_id} if pin.enabled else {}


def now(client: Client, pin: Pin) -> dict[str, str]:
    config = client.config(pin.pipeline_id)
    return {entry.id: entry.revision_id for entry in config.integrations} if config else {}


def assert_in_order(heard: list[Change]) -> None:
    """Of each pipeline no version came after a later one, and each change began where the one before had ended."""
    last: dict[str, Any] = {}
    for change in heard:
        assert change.before == last.get(change.pipeline_id)
        assert change.after is not None
        assert change.before is None or change.after.version > change.before.version
        last[change.pipeline_id] = change.after
    assert len(heard) > len(last) > 0


# --- the database -----------------------------------------------------------------------------------------------------


def test_the_listening_connection_is_cut(
    server: KillableServer, connect: Connect, meta: Pin, database_kind: str
) -> None:
    if database_kind == "sqlite":  # where nothing listens
        return
    with connect(poll_seconds=300) as client:
        until(lambda: revision(client, meta) == 1)
        for number in (2, 1, 2):
            until(cut)  # it comes back by itself
            pin_to(meta, number)
            converges(client, meta, number)


def cut() -> bool:
    """Whether there was a connection that listens; there is none now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        return bool(cursor.fetchone()[0])


def test_postgresql_is_killed_and_comes_back(tmp_path: Path, database_kind: str) -> None:
    if database_kind == "sqlite":
        return
    database = Server()
    database.start()
    try:
        with psycopg.connect(database.url.replace("/pinion?", "/postgres?"), autocommit=True) as first:
            first.execute("CREATE DATABASE pinion")
        logins = json.loads(manage(database.url, "quickstart", "--no-serve", "--format", "json").splitlines()[-1])
        token = manage(database.url, "issue_token", "edge", "--scope", "processor").strip()
        with killable(database.url, tmp_path) as server, logged_in(server, logins["logins"]["editor"]) as editor:
            kill_and_revive(database, server, editor, token, tmp_path)
    finally:
        database.stop()


def kill_and_revive(database: Server, server: KillableServer, editor: Operator, token: str, folder: Path) -> None:
    pin = "pipelines/pip_xyz789/integrations/pi_abc123"
    with Client(server.url, token, store=folder / "state", instance="edge-1", poll_seconds=POLL) as client:
        until(lambda: client.config("pip_xyz789") is not None)
        with Watch(client, "pip_xyz789") as watch:
            database.inner().kill()
            until(lambda: client.status.trouble != "", 20)
            database.inner().run()
            until(lambda: revived(editor, pin), 20)
            began = time.monotonic()
            until(lambda: numbers(client) == [5, 2], 20)
            assert time.monotonic() - began < POLL + SLOW
            until(lambda: client.status.trouble == "")
    assert watch.blanks == 0


def revived(editor: Operator, pin: str) -> bool:
    """Whether the change went through."""
    try:
        return bool(editor.send("PUT", pin, {"revision_id": "rev_new456"})["revision_number"] == 5)
    except AssertionError:
        return False


def numbers(client: Client) -> list[int]:
    config = client.config("pip_xyz789")
    return [entry.revision_number for entry in config.integrations] if config else []


def manage(database_url: str, *arguments: str) -> str:
    environment = {**os.environ, **ENVIRONMENT, "DATABASE_URL": database_url}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment, text=True).stdout


@contextmanager
def logged_in(server: KillableServer, login: dict[str, str]) -> Generator[Operator]:
    with closing(Operator(server.url)) as somebody:
        bearer = somebody.send("POST", "auth/login", login)["access_token"]
    with closing(Operator(server.url, bearer)) as operator:
        yield operator


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_and_then_is_not(
    connect: Connect,
    meta: Pin,
    processor_token: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipelines.client.shelf.AGAIN", 0.1)
    with Disk(tmp_path / "disk") as disk:
        store = Store(disk.folder / "state", processor_token)
        with connect(store=store.path) as client:
            until(lambda: kept(store, meta) == 1)
            disk.fill()
            pin_to(meta, 2)
            converges(client, meta, 2)
            until(lambda: "Going on from memory" in caplog.text)
            assert kept(store, meta) == 1
            disk.free()
            until(lambda: kept(store, meta) == 2)
            assert revision(client, meta) == 2
    assert processor_token not in caplog.text
    assert CONFIGS["meta_capi"]["access_token"] not in caplog.text


def test_a_file_cut_at_any_length_counts_as_absent_and_what_runs_converges(
    connect: Connect, meta: Pin, processor_token: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "pinion.state", processor_token)
    with connect() as client:
        until(lambda: revision(client, meta) == 1)
    whole = store.path.read_bytes()
    for length in range(len(whole)):
        store.path.write_bytes(whole[:length])
        assert Shelf(store).load() is None
    assert CONFIGS["meta_capi"]["access_token"] not in caplog.text
    for length in range(0, len(whole), len(whole) // 4):
        store.path.write_bytes(whole[:length])
        with connect(NOWHERE) as client:
            assert (client.config(meta.pipeline_id), client.status.epoch) == (None, "")
        with connect() as client:
            converges(client, meta, 1)
        assert kept(store, meta) == 1


def kept(store: Store, pin: Pin) -> int | None:
    """The revision that a start from the disk would begin with."""
    found = Shelf(store).load()
    config = found and found.find(pin.pipeline_id)
    return config.integrations[0].revision_number if config else None
