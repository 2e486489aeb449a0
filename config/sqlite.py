"""SQLite on a disk that is full: it can be read as long as somebody has it open.

Who opens it first has to make two files beside it, and who closes it last takes them away. Requests open and close it
one after the other; so every server keeps one connection of its own.
"""

import atexit
import os
import sqlite3
from contextlib import suppress

from django.db import connection

_kept: list[sqlite3.Connection] = []


def keep_readable() -> None:
    """For as long as this process lives; whether there is a database to keep is `/readyz`'s to say."""
    if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's has it
        return
    _open()
    atexit.register(_close)  # which leaves all in the one file, for whoever copies it
    os.register_at_fork(before=_close, after_in_parent=_open, after_in_child=_open)  # none is carried into a child


def _open() -> None:
    with suppress(sqlite3.Error):
        kept = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
        _kept.append(kept)
        kept.execute("PRAGMA journal_mode = WAL").fetchall()
        kept.execute("SELECT count(*) FROM sqlite_master").fetchall()  # which makes the files


def _close() -> None:
    while _kept:
        _kept.pop().close()
