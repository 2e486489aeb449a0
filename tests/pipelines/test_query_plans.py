"""What PostgreSQL makes of lists: it knows how many rows they have, and reads a page of pipelines in one process."""

import json
from collections.abc import Iterator

import pytest
from django.db import connection

from accounts.models import Organisation
from pipelines.models import Label, Pin, Pipeline
from tests.clients import Api
from tests.pipelines.rollouts.crowds import build_fleet
from tests.queries import count_queries

SIZE = 400
TEAMS = 20
LISTS = ["pipelines", "pipeline-integrations"]


@pytest.fixture(autouse=True)
def only_postgresql(database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite counts no values, and reads in one process.")


@pytest.fixture
def labelled(organisation: Organisation) -> None:
    """So many pipelines with a pin each, every second one in production, every twentieth in the same team."""
    build_fleet(organisation, SIZE)
    Label.objects.bulk_create(
        Label(organisation=organisation, pipeline=pipeline, key=key, value=value)
        for number, pipeline in enumerate(Pipeline.objects.order_by("pk"))
        for key, value in {
            "environment": ["production", "staging"][number % 2],
            "team": f"team-{number % TEAMS}",
            "fleet": "all",
        }.items()
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pipelines_label, pipelines_pipeline, pipelines_pin")


def plan_of(api: Api, path: str) -> dict[str, object]:
    """How PostgreSQL would read the rows of this list."""
    with count_queries() as queries:
        assert api.get(path).status_code == 200
    (listing,) = [sql for sql in queries.statements if "LIMIT 3" in sql]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {listing.replace('LIMIT 3', '')}")
        found = cursor.fetchone()[0]
    plan: dict[str, object] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return plan


def kinds_of(plan: dict[str, object]) -> Iterator[object]:
    yield plan["Node Type"]
    for part in plan.get("Plans", []):  # type: ignore[attr-defined]  # a list, where it is there
        yield from kinds_of(part)


@pytest.mark.parametrize("listed", LISTS)
@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ("label=environment:production", SIZE / 2),
        ("label=team:team-2", SIZE / TEAMS),
        (
            "label=environment:production&label=team:team-2",
            SIZE / TEAMS / 2,
        ),  # every one in that team is in production: as far as two keys go it cannot know
    ],
)
def test_it_expects_as_many_rows_as_carry_the_labels(
    viewer: Api, labelled: None, listed: str, labels: str, rows: float
) -> None:
    assert Pin.objects.count() == SIZE
    assert plan_of(viewer, f"{listed}?{labels}&limit=2")["Plan Rows"] == pytest.approx(rows, rel=0.1)


def test_it_starts_no_other_process_for_a_page_of_pipelines_however_cheap_that_seems(
    viewer: Api, labelled: None
) -> None:
    with connection.cursor() as cursor:
        for setting in (
            "parallel_setup_cost",
            "parallel_tuple_cost",
            "min_parallel_table_scan_size",
            "min_parallel_index_scan_size",
        ):
            cursor.execute(f"SET LOCAL {setting} = 0")
    assert started(viewer) == set()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what still waits for the end would be in the way
        for table in ("pipelines_pipeline", "pipelines_label"):
            cursor.execute(f"ALTER TABLE {table} RESET (parallel_workers)")
    assert started(viewer) != set()  # so it would


def started(viewer: Api) -> set[object]:
    """What in the plans of lists of pipelines gathers rows from other processes."""
    queries = ("", "&label=environment:production", "&label=environment:production&label=team:team-2")
    kinds = {kind for query in queries for kind in kinds_of(plan_of(viewer, f"pipelines?limit=2{query}"))}
    return kinds & {"Gather", "Gather Merge"}
