"""A pytest plugin for tests that really commit: threads, processes, live servers.

Such a test asks for `committed_db`. After it every table is put back to what the migrations left in it. Django's own
way, `flush`, would fail on the triggers that refuse to delete history; the clean-up here sets them aside meanwhile.
It serves pytest-django's `transactional_db` and `live_server` too, and goes well with fixtures that ask for `db`.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

from tests.databases import current_database_url

Rows = dict[str, list[tuple[Any, ...]]]

ATTEMPTS = 5
TURN_ON = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}  # by pg_trigger.tgenabled


@pytest.fixture
def committed_db(transactional_db: None) -> str:
    """A database in which commits are real and seen by every thread; gives its DATABASE_URL for other processes.

    A thread that used the database must close its connection: `django.db.connection.close()`.
    """
    return current_database_url()


def pytest_configure(config: pytest.Config) -> None:
    clean_up = patch.multiple(TransactionTestCase, _fixture_setup=classmethod(_set_up), _fixture_teardown=_tear_down)
    clean_up.start()
    config.add_cleanup(clean_up.stop)


def _set_up(case: type[TransactionTestCase]) -> None:
    case.migrated = rows_of(tables())  # type: ignore[attr-defined]  # pytest-django makes a class for each test


def _tear_down(case: TransactionTestCase) -> None:
    restore(case.migrated)  # type: ignore[attr-defined]  # set above


def tables() -> list[str]:
    """All tables but the one that records the migrations."""
    return [table for table in connection.introspection.table_names() if table != "django_migrations"]


def rows_of(names: Iterable[str]) -> Rows:
    """What the tables hold, without those that hold nothing."""
    found = {}
    with connection.cursor() as cursor:
        for table in names:
            cursor.execute(f"SELECT * FROM {quoted(table)}")
            found[table] = cursor.fetchall()
    return {table: rows for table, rows in found.items() if rows}


def restore(migrated: Rows) -> None:
    """Leave exactly these rows in the database, whatever its triggers say to that.

    A server that a test began may be reading meanwhile, and PostgreSQL may choose this as the one to give way.
    """
    connection.close()  # with whatever transaction the test left open
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _restore(migrated)
            return
        except OperationalError as error:
            if attempt == ATTEMPTS or not isinstance(error.__cause__, DeadlockDetected):
                raise


def _restore(migrated: Rows) -> None:
    with connection.constraint_checks_disabled(), transaction.atomic(), connection.cursor() as cursor:
        empty = _empty_postgresql if connection.vendor == "postgresql" else _empty_sqlite
        with empty(cursor, tables()):
            for table, rows in migrated.items():
                values = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {quoted(table)} VALUES ({values})", rows)


@contextmanager
def _empty_postgresql(cursor: CursorWrapper, names: list[str]) -> Generator[None]:
    """Empty the tables, and be open for rows without triggers until the end."""
    cursor.execute("SET LOCAL lock_timeout = '20s'")  # a test's forgotten transaction is an error, not a hang
    cursor.execute(
        "SELECT quote_ident(relname), quote_ident(tgname), tgenabled FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid"
        " WHERE NOT tgisinternal AND tgenabled <> 'D' AND relnamespace = current_schema()::regnamespace"
    )
    triggers = cursor.fetchall()
    for table, trigger, _ in triggers:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    cursor.execute(f"TRUNCATE {', '.join(map(quoted, names))} RESTART IDENTITY CASCADE")
    yield
    for table in names:
        for sequence in connection.introspection.get_sequences(cursor, table):
            column = quoted(sequence["column"])
            cursor.execute(f"SELECT setval(%s, max({column})) FROM {quoted(table)}", [sequence["name"]])
    for table, trigger, state in triggers:
        cursor.execute(f"ALTER TABLE {table} {TURN_ON[state]} TRIGGER {trigger}")


@contextmanager
def _empty_sqlite(cursor: CursorWrapper, names: list[str]) -> Generator[None]:
    """Empty the tables, and be open for rows without triggers until the end."""
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    triggers = cursor.fetchall()
    for trigger, _ in triggers:
        cursor.execute(f"DROP TRIGGER {quoted(trigger)}")
    for table in [*names, "sqlite_sequence"]:
        cursor.execute(f"DELETE FROM {quoted(table)}")
    yield
    for _, sql in triggers:
        cursor.execute(sql)


def quoted(name: str) -> str:
    """A name as SQL wants it."""
    return connection.ops.quote_name(name)
