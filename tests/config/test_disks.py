"""A disk that is full: writes say so and leave nothing half, reads go on, and so do writes once there is room."""

import os
import resource
import secrets
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from django.db import connection

from pipelines.demo import load_demo
from tests.config.rest import PIN, PINS, Client
from tests.config.servers import serving
from tests.databases import beside
from tests.pipelines.client.disks import Disk

FULL = (507, "STORAGE_FULL")
KEY = "5f0c8a1e-7a35-4a53-9d39-6b1f1f7c0a11"
LARGE = {"config": {"pixel_id": "1", "access_token": "a", "more": "x" * 200_000}}
REVISIONS = "integration-templates/tmpl_abc123/revisions"


def rows(file: Path) -> list[str]:
    """All there is, but for a note that a key has been seen, which is taken over when it comes again."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return [line for line in database.iterdump() if "accounts_idempotentanswer" not in line]


def refuses_to_write_and_reads(client: Client) -> None:
    for _ in range(2):
        made = client.send("POST", REVISIONS, LARGE, Idempotency_Key=KEY)
        assert made.fault == FULL
        assert made.headers["Retry-After"] == "30"
        assert "free space" in made.body["error"]["message"]
        assert client.send("GET", PIN).body["revision_number"] == 3
        assert len(client.send("GET", PINS).body["integrations"]) == 3
    assert client.send("GET", "/livez").status == 200
    assert client.send("GET", "/readyz").status == 200
    assert client.send("GET", "/admin/login/").status == 200


def writes_again(client: Client) -> None:
    """And the key that was refused acts once."""
    made = client.send("POST", REVISIONS, LARGE, Idempotency_Key=KEY)
    assert (made.status, made.body["revision_number"]) == (201, 6)
    again = client.send("POST", REVISIONS, LARGE, Idempotency_Key=KEY)
    assert (again.body, again.headers["Idempotent-Replayed"]) == (made.body, "true")
    assert client.send("PUT", PIN, {"revision_id": made.body["id"]}).status == 200


# --- SQLite -----------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path) -> Generator[Disk]:
    with Disk(folder / "disk", 6 << 20) as disk:
        if not disk.mounted:
            pytest.skip("Only who may mount a file system can fill one; the limit below does without.")
        yield disk


def copied(folder: Path) -> Path:
    """The demo organisation in a file of its own."""
    load_demo()
    file = folder / "pinion.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(file)])
    return file


@pytest.fixture
def only_sqlite(database_kind: str) -> None:
    if database_kind != "sqlite":
        pytest.skip("Of PostgreSQL's disk, see below.")


def test_a_full_disk_under_sqlite(only_sqlite: None, committed_db: str, tmp_path: Path) -> None:
    with mounted(tmp_path) as disk:
        file = copied(disk.folder)
        with serving(f"sqlite:///{file}", tmp_path, "gunicorn") as served:
            client = Client(served.url)
            before = rows(file)
            disk.fill()
            refuses_to_write_and_reads(client)
            assert rows(file) == before
            disk.free()
            writes_again(client)
        assert client.bearer not in served.log.read_text()


def test_a_limit_of_what_may_be_written_under_sqlite(only_sqlite: None, committed_db: str, tmp_path: Path) -> None:
    file = copied(tmp_path)
    with serving(f"sqlite:///{file}", tmp_path, "uvicorn") as served:
        client = Client(served.url)
        assert client.send("GET", PIN).status == 200
        before = rows(file)
        unlimited = resource.prlimit(served.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(served.pid, resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
        refuses_to_write_and_reads(client)
        assert rows(file) == before
        resource.prlimit(served.pid, resource.RLIMIT_FSIZE, unlimited)
        writes_again(client)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@contextmanager
def small_database(url: str) -> Generator[tuple[str, Disk]]:
    """A copy of this database on a small disk, where the server runs as somebody who can be given one."""
    home = Path(parse_qs(urlsplit(url).query).get("host", ["/nowhere"])[0])
    if not (home / "data").is_dir():
        pytest.skip("The server of TEST_DATABASE_URL has a disk of its own.")
    owner = (home / "data").stat()
    name = f"small_{secrets.token_hex(4)}"
    connection.close()
    with Disk(home / name, 48 << 20) as disk:
        if not disk.mounted:
            (home / name).rmdir()
            pytest.skip("Only who may mount a file system can fill one.")
        os.chown(disk.folder, owner.st_uid, owner.st_gid)
        with psycopg.connect(beside(url, "postgres"), autocommit=True) as server:
            server.execute(f"CREATE TABLESPACE {name} LOCATION '{disk.folder}'")
            server.execute(f"CREATE DATABASE {name} TEMPLATE {urlsplit(url).path[1:]} TABLESPACE {name}")
            try:
                yield beside(url, name), disk
            finally:
                disk.free()
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")
                server.execute(f"DROP TABLESPACE {name}")
    shutil.rmtree(home / name)


def test_a_full_disk_under_postgresql(committed_db: str, database_kind: str, tmp_path: Path) -> None:
    if database_kind != "postgresql":
        pytest.skip("Of SQLite's disk, see above.")
    load_demo()
    with small_database(committed_db) as (url, disk), serving(url, tmp_path, "gunicorn") as served:
        client = Client(served.url)
        disk.fill()
        with psycopg.connect(url, autocommit=True) as database:
            before = standing(database)
            refuses_to_write_and_reads(client)
            assert standing(database) == before
            disk.free()
            writes_again(client)
    assert client.bearer not in served.log.read_text()


def standing(database: "psycopg.Connection[tuple[int, ...]]") -> tuple[int, ...] | None:
    return database.execute(
        "SELECT (SELECT count(*) FROM integrations_revision), (SELECT count(*) FROM accounts_auditentry), "
        "(SELECT max(number) FROM pipelines_configurationhead), (SELECT count(*) FROM pipelines_historyentry)"
    ).fetchone()
