"""One view of the database, also where the connection died while nobody read; and finding pipelines by their names."""

import psycopg
import pytest
from django.db import close_old_connections, connection

from accounts.models import Organisation
from pipelines.feed.reading import one_view, rows_named
from pipelines.models import Pipeline
from tests.factories import PipelineFactory
from tests.pipelines.rollouts.crowds import build_fleet
from tests.queries import count_queries


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


def test_pipelines_are_found_by_id_and_by_key_at_once(organisation: Organisation) -> None:
    one, other, third = (PipelineFactory(organisation=organisation) for _ in range(3))
    with count_queries() as queries:
        found = rows_named([one.pk, other.pipeline_key, third.pk, third.pipeline_key, "pip_nothing"])
    assert sorted(row.id for row in found) == sorted([one.pk, other.pk, third.pk, third.pk])
    assert len(queries) == 1


def test_no_pipeline_is_looked_at_whose_name_was_not_asked_for(organisation: Organisation, database_kind: str) -> None:
    build_fleet(organisation, 1000)  # and, on PostgreSQL, counted
    pipeline = Pipeline.objects.earliest("pk")
    with count_queries() as queries:
        rows_named([pipeline.pk, pipeline.pipeline_key])
    with connection.cursor() as cursor:
        cursor.execute(connection.ops.explain_query_prefix() + " " + queries.statements[0])
        plan = "\n".join(str(line) for line in cursor.fetchall())
    assert {"postgresql": "Index Scan using", "sqlite": "SEARCH pipelines_pipeline"}[database_kind] in plan
    assert {"postgresql": "Seq Scan on pipelines_pipeline", "sqlite": "SCAN pipelines_pipeline"}[
        database_kind
    ] not in plan
