"""Migrating while others migrate and serve: one process at a time, and nobody is kept waiting for long."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.core.management.base import CommandError
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import DeadlockDetected, LockNotAvailable

Tell = Callable[[str], None]

TURN = int.from_bytes(b"pinion")  # the number of the advisory lock, which nothing else of ours takes
LOOK_AGAIN = 0.2  # seconds between two looks whether it is our turn
PATIENCE = "500ms"  # so long a migration waits for a table, as all do behind it; less than breaks a deadlock
PAUSE = 1.0  # seconds in which they go on before it tries again
ATTEMPTS = 400  # ten minutes of both
WAITS = "Another process migrates this database. Waiting for it to end …"
BUSY = "Somebody has been using a table for a while. Trying again …"
GAVE_UP = (
    "A table was in use all the time, so this migration has not been applied; those before it have. "
    "pg_stat_activity shows who uses it: end that, and migrate again."
)


def migrate_alone(database: BaseDatabaseWrapper, migrate: Callable[[], object], tell: Tell) -> None:
    """Migrate when no other process does, and again while a table is in use: what failed has left nothing.

    One that is killed lets the next one go on. Raises CommandError.
    """
    turn = {"postgresql": _turn_on_postgresql, "sqlite": _turn_on_sqlite}[database.vendor]
    for _ in range(ATTEMPTS):
        try:
            with turn(database, tell):
                migrate()
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                raise
        else:
            return
        database.close()
        database.connect()  # at once, since Django leaves a transaction behind whose last statements have failed
        tell(BUSY)
        time.sleep(PAUSE)
    raise CommandError(GAVE_UP)


@contextmanager
def _turn_on_postgresql(database: BaseDatabaseWrapper, tell: Tell) -> Generator[None]:
    """Held by the session that migrates, so that it ends with whatever the session still does when its client is dead.

    Asked for again and again, since CREATE INDEX CONCURRENTLY would wait for others that wait inside a statement. Locks
    of tables are waited for so briefly that whoever comes after does not notice.
    """

    def is_ours() -> bool:
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [TURN])
            return bool(cursor.fetchone()[0])

    _wait(is_ours, tell)
    with database.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{PATIENCE}'")
    yield
    with database.cursor() as cursor:  # where it fails, its session ends
        cursor.execute("RESET lock_timeout")
        cursor.execute("SELECT pg_advisory_unlock(%s)", [TURN])


@contextmanager
def _turn_on_sqlite(database: BaseDatabaseWrapper, tell: Tell) -> Generator[None]:
    """By a lock on the folder: one on the file itself would be in the way of SQLite's own, and another file would stay."""
    with ExitStack() as stack:
        if not database.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's has it
            folder = os.open(Path(database.settings_dict["NAME"]).resolve().parent, os.O_RDONLY)
            stack.callback(os.close, folder)
            _wait(lambda: _taken(folder), tell)
        yield


def _taken(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(is_our_turn: Callable[[], bool], tell: Tell) -> None:
    if is_our_turn():
        return
    tell(WAITS)
    while not is_our_turn():
        time.sleep(LOOK_AGAIN)
