"""Being told by the database that something changed: PostgreSQL says so itself, SQLite is looked at often."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

logger = logging.getLogger(__name__)

CHANNEL = "pinion_feed"
QUIET = 10.0  # seconds without a word after which PostgreSQL is asked whether it is still there
PATIENCE = 5.0  # seconds for its answer
RETRY = 0.25  # seconds before connecting again
GLANCE = 0.02  # seconds between two looks at SQLite
# A machine that vanished says nothing any more; these make the connection fail by itself.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}

Tell = Callable[[str | None], None]  # what changed, or None: look at everything


async def listen(tell: Tell) -> None:
    """Pass on what the database says, for ever; after every connection anew, that anything may have changed."""
    if connection.vendor == "postgresql":
        await _listen_to_postgresql(tell)
    else:
        await _look_at_sqlite(tell)


async def _listen_to_postgresql(tell: Tell) -> None:
    connects = True
    while True:
        try:
            async with await _connect() as database:
                await database.execute(f"LISTEN {CHANNEL}")
                connects = True
                tell(None)
                await _pass_on(database, tell)
        except (OSError, psycopg.Error):
            if connects:  # once for each time that it is lost, not for every attempt
                logger.warning("The feed has lost the connection on which PostgreSQL tells of changes", exc_info=True)
            connects = False
        await asyncio.sleep(RETRY)


async def _connect() -> "psycopg.AsyncConnection[Any]":
    """As Django connects, without what only its own connections understand."""
    known = connection.get_connection_params()
    params = {name: value for name, value in known.items() if name not in ("cursor_factory", "context")}
    named = {"fallback_application_name": "pinion feed", **KEEPALIVES}
    return await psycopg.AsyncConnection.connect(**{**named, **params, "autocommit": True})


async def _pass_on(database: "psycopg.AsyncConnection[Any]", tell: Tell) -> None:
    while True:
        async for notice in database.notifies(timeout=QUIET):
            tell(notice.payload)
        async with asyncio.timeout(PATIENCE):
            await database.execute("SELECT 1")


async def _look_at_sqlite(tell: Tell) -> None:
    """`data_version` changes with every commit of another connection, and asking for it takes microseconds."""
    while True:
        try:
            with closing(_sqlite()) as database:
                await _glance(database, tell)
        except sqlite3.Error:  # held by somebody, or not there yet: either way it may have changed
            tell(None)
        await asyncio.sleep(RETRY)


async def _glance(database: sqlite3.Connection, tell: Tell) -> None:
    seen = None
    while True:
        version = database.execute("PRAGMA data_version").fetchone()
        if version != seen:
            tell(None)
        seen = version
        await asyncio.sleep(GLANCE)


def _sqlite() -> sqlite3.Connection:
    """A connection that only looks, and waits for nobody."""
    path = Path(connection.settings_dict["NAME"]).resolve()
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0, isolation_level=None)
