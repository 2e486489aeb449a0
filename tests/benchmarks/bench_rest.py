"""Pins over REST beside a plain DRF `ModelViewSet` with simplejwt over the same rows (`plain/`), in turns in one run.

`make bench` runs it. Both are served by gunicorn as in production, one process with four threads on one core, with the
same connections to the same database. Whoever asks, asks from the other core and keeps its connections open.
"""

import json
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle
from statistics import median

import psycopg
import pytest
from rest_framework_simplejwt.tokens import AccessToken

from accounts.credentials import access_token
from accounts.models import AuditEntry, Organisation, User
from pipelines.models import HistoryEntry, Pin, Pipeline
from tests.benchmarks.last_run import Record
from tests.benchmarks.loads import GTHREAD, GUNICORN, request_for, requests_per_second, served_on_one_core
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, wishes

PINS = 10
EDITORS = 8
CONNECTIONS = 8
ROUNDS = 9
SECONDS = 1.0
MOVES = 160
FEWEST_TIMES_PLAIN = 2.0
MOST_TIMES_PLAIN = 1.0
MOST_TIMES_SQL = 15.0

# What moving a pin comes to: the row, its history, its audit entry and the next configuration version.
BARE = [
    "SELECT id FROM pipelines_pin WHERE id = %(pin)s FOR NO KEY UPDATE",
    "UPDATE pipelines_pin SET revision_id = %(after)s, row_version = row_version + 1, updated_at = now() WHERE id = %(pin)s",
    """INSERT INTO accounts_auditentry (organisation_id, actor_type, actor_id, actor_label, request_id, action,
            resource_type, resource_id, resource_label, changes, created_at)
        VALUES (%(organisation)s, 'user', 'usr', 'bench', '', 'pin.updated', 'pipeline_integration', %(pin)s, 'bench', '{}',
            now())""",
    """INSERT INTO pipelines_historyentry (version_id, pipeline_id, subject, subject_id, before_revision_id,
            after_revision_id, before_enabled, after_enabled, secret)
        VALUES (%(version)s, %(pipeline)s, 'pin', %(pin)s, %(before)s, %(after)s, true, true, false)""",
    "UPDATE pipelines_pipeline SET changed_in_id = %(version)s WHERE id = %(pipeline)s",
    """UPDATE pipelines_configurationhead SET number = number + 1, changed_at = now()
        WHERE organisation_id = %(organisation)s""",
    """INSERT INTO pipelines_configurationversion (id, organisation_id, number, created_at, actor_type, actor_id,
            actor_label, request_id)
        SELECT %(version)s, organisation_id, number, changed_at, 'user', 'usr', 'bench', '' FROM pipelines_configurationhead
        WHERE organisation_id = %(organisation)s""",
]

pytestmark = pytest.mark.usefixtures("other_core")


@dataclass(frozen=True)
class Side:
    """One of the two, and how it spells what they have in common."""

    name: str
    port: int
    pins: str  # the address of the pins of a pipeline
    revision: str  # the field that moves a pin
    bearer: str


@pytest.fixture
def sides(committed_db: str, editor_user: User) -> Generator[tuple[Side, Side]]:
    with (
        served_on_one_core("config.wsgi", GUNICORN, DATABASE_URL=committed_db) as (ours, _),
        served_on_one_core("tests.benchmarks.plain.wsgi", GTHREAD, DATABASE_URL=committed_db) as (plain, _),
    ):
        yield (
            Side("Pinion", ours, "/v1/admin/pipelines/{}/integrations", "revision_id", access_token(editor_user)),
            Side("plain DRF", plain, "/pipelines/{}/pins", "revision", str(AccessToken.for_user(editor_user))),
        )


def pins_on(pipelines: list[Pipeline]) -> list[Pin]:
    """One on each, of a template of its own with two revisions, a secret and a placeholder."""
    templates = [TemplateFactory(organisation=each.organisation, vendor="ga4", revisions=2) for each in pipelines]
    return [
        PinFactory(organisation=pipeline.organisation, pipeline=pipeline, template=template)
        for pipeline, template in zip(pipelines, templates, strict=True)
    ]


def pipeline_of(organisation: Organisation) -> Pipeline:
    pipeline: Pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4_measurement_id="G-1"))
    return pipeline


def test_listing_ten_pins_answers_twice_as_often(
    organisation: Organisation, sides: tuple[Side, Side], record: Record
) -> None:
    pipeline = pipeline_of(organisation)
    pins_on([pipeline] * PINS)
    rates: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for side, rate in zip(sides, rates, strict=True):
            request = request_for(side.pins.format(pipeline.pk), Authorization=f"Bearer {side.bearer}")
            rate.append(requests_per_second(side.port, request, b"200", CONNECTIONS, SECONDS))
    ratio = median(ours / plain for ours, plain in zip(*rates, strict=True))
    ours, plain = map(median, rates)
    figure = f"{ours:,.0f}/s, {plain:,.0f}/s by plain DRF: {ratio:.2f} ×"
    record(f"REST: listing {PINS} pins", figure, f"≥ {FEWEST_TIMES_PLAIN} ×")
    assert ratio >= FEWEST_TIMES_PLAIN


@pytest.mark.parametrize("editors", [1, EDITORS])
def test_moving_a_pin_takes_no_longer(
    editors: int, committed_db: str, organisation: Organisation, sides: tuple[Side, Side], record: Record
) -> None:
    pins = pins_on([pipeline_of(organisation) for _ in range(editors)])
    taken: list[list[float]] = [[], []]
    bare = []
    for _ in range(ROUNDS):
        for side, times in zip(sides, taken, strict=True):
            times.append(median(edit_at_once(side, pins)))
        bare.append(median(move_by_sql(committed_db, pins[0], MOVES)))
    assert_every_move_is_recorded(pins, MOVES // editors * editors * ROUNDS)
    ratio = median(ours / plain for ours, plain in zip(*taken, strict=True))
    times_sql = median(ours / sql for ours, sql in zip(taken[0], bare, strict=True))
    ours, plain, sql = (median(times) * 1000 for times in (*taken, bare))
    figure = f"{ours:.2f} ms, {plain:.2f} ms by plain DRF: {ratio:.2f} ×"
    record(f"REST: moving a pin, {editors} at once", figure, f"≤ {MOST_TIMES_PLAIN} ×")
    if editors == 1:
        record(
            "REST: moving a pin, and the bare SQL", f"{sql:.2f} ms of SQL: {times_sql:.1f} ×", f"≤ {MOST_TIMES_SQL} ×"
        )
    assert ratio <= MOST_TIMES_PLAIN
    assert editors > 1 or times_sql <= MOST_TIMES_SQL


def edit_at_once(side: Side, pins: list[Pin]) -> list[float]:
    """How long each move took, with one editor for each pin."""
    taken: list[float] = []

    def edit(pin: Pin, revisions: tuple[str, str]) -> None:
        taken.extend(moves(side, pin, revisions, MOVES // len(pins)))

    threads = [threading.Thread(target=edit, args=(pin, both_revisions(pin))) for pin in pins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == MOVES // len(pins) * len(pins)  # an editor that failed has left some out
    return taken


def both_revisions(pin: Pin) -> tuple[str, str]:
    return revision_of(pin.template, 1).pk, revision_of(pin.template, 2).pk


def moves(side: Side, pin: Pin, revisions: tuple[str, str], count: int) -> Iterator[float]:
    """Back to the first revision, and on to the second again."""
    headers = {"Authorization": f"Bearer {side.bearer}", "Content-Type": "application/json", "Host": "localhost"}
    path = f"{side.pins.format(pin.pipeline_id)}/{pin.pk}"
    with closing(HTTPConnection("127.0.0.1", side.port)) as client:
        for _, revision in zip(range(count), cycle(revisions), strict=False):
            began = time.perf_counter()
            client.request("PATCH", path, json.dumps({side.revision: revision}), headers)
            answer = client.getresponse()
            text = answer.read()
            yield time.perf_counter() - began
            assert (answer.status, revision in text.decode()) == (200, True), text


def move_by_sql(database_url: str, pin: Pin, count: int) -> list[float]:
    """The same, by nothing but the statements."""
    first, second = both_revisions(pin)
    taken = []
    with psycopg.connect(database_url) as connection:
        for number in range(count):
            before, after = (second, first) if number % 2 == 0 else (first, second)
            values = {
                "organisation": pin.organisation_id,
                "pipeline": pin.pipeline_id,
                "pin": pin.pk,
                "before": before,
                "after": after,
                "version": f"ver_{time.monotonic_ns()}",
            }
            began = time.perf_counter()
            for statement in BARE:
                connection.execute(statement, values)
            connection.commit()
            taken.append(time.perf_counter() - began)
    return taken


def assert_every_move_is_recorded(pins: list[Pin], ours: int) -> None:
    """None of the two is fast for having done less: each moved each time, and ours wrote history, audit and versions."""
    bare = MOVES * ROUNDS
    made = HistoryEntry.objects.filter(subject_id__in=[pin.pk for pin in pins], before_revision__isnull=False)
    assert made.count() == ours + bare
    assert made.values("version").distinct().count() == ours + bare
    assert AuditEntry.objects.filter(action="pin.updated").count() == 2 * ours + bare
