"""One view of the database, also where the connection died while nobody read."""

import psycopg
import pytest
from django.db import close_old_connections, connection

from pipelines.feed.reading import one_view


def backend() -> int:
    connection.ensure_connection()
    pid: int = connection.connection.info.backend_pid
    return pid


def begun() -> tuple[str, str]:
    """How the transaction that runs was begun."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        isolation, read_only = cursor.fetchone()
    return isolation, read_only


def test_a_connection_that_died_while_it_was_idle_is_replaced_by_one_with_one_view(
    committed_db: str, database_kind: str
) -> None:
    if database_kind != "postgresql":
        pytest.skip("SQLite has no connections to lose")
    before = backend()
    with psycopg.connect(committed_db, autocommit=True) as outside:
        outside.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    close_old_connections()  # as before each job of a clerk that rested
    with one_view():
        assert begun() == ("repeatable read", "on")
        assert backend() != before
    assert begun() == ("read committed", "off")
