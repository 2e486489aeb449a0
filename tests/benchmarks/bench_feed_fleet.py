"""The runtime feed of an organisation with 100,000 pipelines of three pins each: all of it, and one change in it.

`make bench` runs it.
"""

import time
from contextlib import closing
from http.client import HTTPConnection
from statistics import median

import pytest
from django.db import connection

from accounts.models import Organisation
from pipelines.feed.changes import Question, changes, snapshot
from pipelines.feed.documents import Documents
from pipelines.models import ConfigurationHead, ConfigurationVersion
from pipelines.registry import update_pipeline
from tests.benchmarks.bench_feed_streams import megabytes
from tests.benchmarks.conftest import KEY, MOMENT, NUMBERED, ROWS
from tests.benchmarks.last_run import Record
from tests.benchmarks.loads import served_on_one_core
from tests.factories import PipelineFactory, TemplateFactory, revision_of, system
from tests.pipelines.feed.clients import processor_token

LEAST_PER_SECOND = 20_000
MOST_GROWTH = 20  # MB from the second snapshot to the last
MOST_MILLISECONDS = 10.0
VENDORS = {"a": "ga4", "b": "meta_capi", "c": "webhook"}

FILL = [
    "SET session_replication_role = replica",
    f"""INSERT INTO pipelines_pipeline (id, organisation_id, name, slug, type, pipeline_key, enabled, row_version,
            changed_in_id, created_at, updated_at)
        SELECT 'pip_' || {KEY}, %(organisation)s, 'Shop ' || n, 'shop-' || n, 'web', 'pk_' || {KEY}, true, 1, %(version)s,
            {MOMENT}, {MOMENT} FROM {NUMBERED}""",
    f"""INSERT INTO pipelines_parameter (pipeline_id, key, value, sealed, secret, updated_at)
        SELECT 'pip_' || {KEY}, 'ga4_measurement_id', 'G-' || n, '', false, {MOMENT} FROM {NUMBERED}""",
    *(
        f"""INSERT INTO pipelines_pin (id, organisation_id, pipeline_id, template_id, revision_id, enabled, resolvable,
                row_version, created_at, updated_at)
            SELECT 'pi_{name}' || {KEY}, %(organisation)s, 'pip_' || {KEY}, %(template_{name})s, %(revision_{name})s, true,
                true, 1, {MOMENT}, {MOMENT} FROM {NUMBERED}"""
        for name in VENDORS
    ),
    "SET session_replication_role = origin",
    "VACUUM ANALYZE",
]


@pytest.fixture
def fleet(committed_db: str, organisation: Organisation) -> Organisation:
    PipelineFactory(organisation=organisation)
    names = {"organisation": organisation.pk, "version": ConfigurationVersion.objects.get().pk}
    for name, vendor in VENDORS.items():
        template = TemplateFactory(organisation=organisation, vendor=vendor)
        names |= {f"template_{name}": template.pk, f"revision_{name}": revision_of(template).pk}
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, names)
    return organisation


def test_a_snapshot_of_a_hundred_thousand_pipelines_is_quick_and_takes_no_memory(
    committed_db: str, fleet: Organisation, other_core: None, record: Record
) -> None:
    bearer = {"Authorization": f"Bearer {processor_token(fleet)[1]}"}
    walls, sizes = [], []
    with served_on_one_core("config.asgi:application", DATABASE_URL=committed_db) as (port, pid):
        for _ in range(4):
            began = time.perf_counter()
            with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as client:
                client.request("GET", "/v1/runtime/snapshot", headers=bearer)
                answer = client.getresponse()
                lines = 0
                while piece := answer.read(65536):
                    lines += piece.count(b"\n")
            walls.append(ROWS / (time.perf_counter() - began))
            sizes.append(megabytes(pid))
            assert lines == ROWS + 3
    works = []
    for _ in range(3):
        began = time.process_time()
        for _ in snapshot(fleet.pk, None, Documents()):
            pass
        works.append(ROWS / (time.process_time() - began))
    figure = f"{max(walls):,.0f} pipelines/s over a socket, {median(works):,.0f} per second of its own work"
    record(f"feed: a snapshot of {ROWS:,} pipelines", figure, f"≥ {LEAST_PER_SECOND:,}/s")
    record("feed: memory after each of four snapshots", f"{', '.join(map(str, sizes))} MB", "flat")
    assert max(walls) >= LEAST_PER_SECOND
    assert sizes[-1] - sizes[1] < MOST_GROWTH


def test_what_changed_by_one_edit_in_a_hundred_thousand_pipelines_is_found_at_once(
    fleet: Organisation, record: Record
) -> None:
    documents = Documents()
    taken = []
    for number in range(1, 21):
        update_pipeline(actor=system(fleet), pipeline_id=f"pip_{number:016}", fields={"enabled": False})
        newest = ConfigurationHead.objects.get().number
        began = time.perf_counter()
        page = changes(Question(fleet.pk, newest - 1), documents)
        taken.append((time.perf_counter() - began) * 1000)
        assert page.count(b'"pipeline_id"') == 1
    figure = f"median {median(taken):.1f} ms, at best {min(taken):.1f} ms"
    record(f"feed: changes after one edit in {ROWS:,} pipelines", figure, f"< {MOST_MILLISECONDS} ms")
    assert median(taken) < MOST_MILLISECONDS
