"""Delivery figures: sums for whoever decides by them, and series for whoever looks at them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Organisation
from pipelines.feed.figures import SPANS, Totals, add_figures, delivery_series, delivery_totals, revision_changes
from pipelines.models import Pin
from pipelines.pins import remove_pin, update_pin
from tests.clients import Api
from tests.conftest import Cast
from tests.factories import OrganisationFactory, PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.queries import assert_same_queries, count_queries

NOON = datetime(2026, 2, 25, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def pin(organisation: Organisation) -> Iterator[Pin]:
    """Assigned two hours before noon, which it stays until the test is over."""
    template = TemplateFactory(organisation=organisation, revisions=2)
    with time_machine.travel(NOON - timedelta(hours=2), tick=False):
        made: Pin = PinFactory(organisation=organisation, template=template, number=1)
    with time_machine.travel(NOON, tick=False):
        yield made


def add(pin: Pin, ago: timedelta, delivered: int, failed: int = 0, number: int = 1) -> None:
    counts = {(pin.pk, revision_of(pin.template, number).pk): (delivered, failed)}
    add_figures(organisation_id=pin.organisation_id, counts=counts, moment=NOON - ago)


MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def test_totals_are_of_these_pins_these_revisions_and_this_time(organisation: Organisation, pin: Pin) -> None:
    other = PinFactory(organisation=organisation, template=pin.template, number=1)
    beside = PinFactory(organisation=organisation)
    add(pin, 0 * MINUTE, 1, 2)
    add(pin, 5 * MINUTE, 10, 20)
    add(pin, 5 * MINUTE, 100, 200, number=2)
    add(other, 5 * MINUTE, 1000, 2000)
    add(beside, 5 * MINUTE, 9, 9)
    pins = Pin.objects.filter(template=pin.template).values("pk")
    revisions = pin.template.revisions.filter(number=1).values("pk")
    with count_queries() as queries:
        sums = [
            delivery_totals(pins=pins, since=NOON - HOUR),
            delivery_totals(pins=pins, revisions=revisions, since=NOON - HOUR),
            delivery_totals(pins=[pin.pk], revisions=revisions, since=NOON - HOUR, until=NOON - MINUTE),
            delivery_totals(pins=[pin.pk], since=NOON - MINUTE),
            delivery_totals(pins=[], since=NOON - HOUR),
        ]
    assert sums == [Totals(1111, 2222), Totals(1011, 2022), Totals(10, 20), Totals(1, 2), Totals()]
    assert len(queries) == 4  # one each, and none for no pins


def test_a_time_that_begins_within_a_minute_has_all_of_it(pin: Pin) -> None:
    """Else whatever is reported in the first seconds after a wave began would be lost to its gate."""
    add(pin, 0 * MINUTE, 5)
    assert delivery_totals(pins=[pin.pk], since=NOON + timedelta(seconds=29)) == Totals(5, 0)
    assert delivery_totals(pins=[pin.pk], since=NOON - HOUR, until=NOON) == Totals(5, 0)
    assert delivery_totals(pins=[pin.pk], since=NOON - HOUR, until=NOON.replace(second=0)) == Totals()


def test_figures_outlive_their_pin(organisation: Organisation, pin: Pin) -> None:
    add(pin, 0 * MINUTE, 5)
    remove_pin(actor=system(organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk)
    assert not Pin.objects.exists()
    assert delivery_totals(pins=[pin.pk], since=NOON - HOUR) == Totals(5, 0)


def test_no_event_is_no_rate() -> None:
    assert Totals().failure_rate is None
    assert Totals(3, 1).failure_rate == 0.25
    assert Totals(0, 2).failure_rate == 1


def test_a_series_has_a_point_for_each_step_and_revision(pin: Pin) -> None:
    add(pin, 59 * MINUTE, 1)
    add(pin, 60 * MINUTE, 1000)  # before the hour's first minute
    add(pin, 1 * MINUTE, 3, 4)
    add(pin, 1 * MINUTE, 5, 6, number=2)
    points = delivery_series(pin_id=pin.pk, span=SPANS["hour"], now=NOON)
    minute = NOON.replace(second=0)
    assert [(point.started_at, point.revision_number, point.totals) for point in points] == [
        (minute - 59 * MINUTE, 1, Totals(1, 0)),
        (minute - MINUTE, 1, Totals(3, 4)),
        (minute - MINUTE, 2, Totals(5, 6)),
    ]


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        ("hour", "2026-02-25T11:01:00+00:00", "2026-02-25T12:00:00+00:00"),
        ("day", "2026-02-24T13:00:00+00:00", "2026-02-25T12:00:00+00:00"),
        ("week", "2026-02-19T00:00:00+00:00", "2026-02-25T00:00:00+00:00"),
    ],
)
def test_steps_begin_on_the_clock(span: str, first: str, last: str) -> None:
    starts = [start.isoformat() for start in SPANS[span].starts(NOON)]
    assert (starts[0], starts[-1], len(starts)) == (first, last, SPANS[span].steps)


def test_larger_steps_hold_the_sum_of_their_minutes(pin: Pin) -> None:
    for ago in (0 * MINUTE, 1 * MINUTE, 61 * MINUTE, DAY + HOUR):
        add(pin, ago, 2, 1)
    sums = {
        name: [
            (point.started_at.hour, point.totals.delivered)
            for point in delivery_series(pin_id=pin.pk, span=span, now=NOON)
        ]
        for name, span in SPANS.items()
    }
    assert sums == {"hour": [(11, 2), (12, 2)], "day": [(10, 2), (11, 2), (12, 2)], "week": [(0, 2), (0, 6)]}


def test_the_moments_when_the_revision_changed_are_known(organisation: Organisation, pin: Pin) -> None:
    key: dict[str, Any] = {"actor": system(organisation), "pipeline_id": pin.pipeline_id, "pin_id": pin.pk}
    update_pin(**key, enabled=False)
    update_pin(**key, revision_id=revision_of(pin.template, 2).pk)
    update_pin(**key, enabled=True)
    PinFactory(organisation=organisation, pipeline=pin.pipeline)

    def changes(since: datetime) -> list[str]:
        found = revision_changes(pin=pin, since=since, until=NOON)
        return [f"{entry.before_revision} → {entry.after_revision}" for entry in found]

    name = pin.template.name
    assert changes(NOON - 3 * HOUR) == [f"None → {name} v1", f"{name} v1 → {name} v2"]
    assert changes(NOON - HOUR) == [f"{name} v1 → {name} v2"]


@pytest.mark.parametrize(
    ("person", "expected"),
    {"viewer": 200, "editor": 200, "admin": 200, "stranger": 404, "processor": 403, "nobody": 401}.items(),
)
def test_everybody_of_the_organisation_but_a_processor_reads_figures(
    cast: Cast, organisation: Organisation, person: str, expected: int
) -> None:
    pin = PinFactory(organisation=organisation)
    assert cast[person].get(path_of(pin)).status_code == expected


def path_of(pin: Pin) -> str:
    return f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}/deliveries"


def test_figures_are_told_by_step_and_revision(viewer: Api, pin: Pin) -> None:
    add(pin, 1 * MINUTE, 3, 4)
    add(pin, 1 * MINUTE, 5, 6, number=2)
    first, second = revision_of(pin.template, 1), revision_of(pin.template, 2)
    minute = "2026-02-25T11:59:00Z"
    assert viewer.get(path_of(pin)).json() == {
        "span": "hour",
        "since": "2026-02-25T11:01:00Z",
        "until": "2026-02-25T12:00:30Z",
        "step_seconds": 60,
        "delivered": 8,
        "failed": 10,
        "points": [
            {"started_at": minute, "revision_id": first.pk, "revision_number": 1, "delivered": 3, "failed": 4},
            {"started_at": minute, "revision_id": second.pk, "revision_number": 2, "delivered": 5, "failed": 6},
        ],
    }
    week = viewer.get(path_of(pin), {"span": "week"}).json()
    assert (week["since"], week["step_seconds"], week["delivered"]) == ("2026-02-19T00:00:00Z", 86_400, 8)


def test_a_span_that_is_none_is_refused(viewer: Api, pin: Pin) -> None:
    answer = viewer.get(path_of(pin), {"span": "year"})
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "span")


def test_figures_of_a_pin_elsewhere_are_not_found(viewer: Api, organisation: Organisation) -> None:
    foreign = PinFactory(organisation=OrganisationFactory())
    ours = PipelineFactory(organisation=organisation)
    for path in (path_of(foreign), f"pipelines/{ours.pk}/integrations/{foreign.pk}/deliveries"):
        assert viewer.get(path).status_code == 404


def test_figures_take_the_same_statements_however_many(viewer: Api, pin: Pin) -> None:
    counts = []
    for more in (1, 30):
        for number in range(more):
            add(pin, number * MINUTE, 1)
        with count_queries() as queries:
            viewer.get(path_of(pin))
        counts.append(queries)
    assert_same_queries(*counts)
