"""Delivery figures: how many events were delivered and how many failed, by pin, revision and minute.

Instances report in intervals, so a minute holds what was reported in it; nothing is known of when in the interval an
event was delivered.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Coalesce, Trunc

from pipelines.feed.rows import upsert
from pipelines.models import DeliveryFigure, HistoryEntry, Pin, Subject

SWEEP = 2000  # old figures taken away with each report: twice as many as one can bring, so that they never pile up

Ids = QuerySet[Any, Any] | Collection[str]


@dataclass(frozen=True)
class Totals:
    """Events over some time."""

    delivered: int = 0
    failed: int = 0

    @property
    def events(self) -> int:
        return self.delivered + self.failed

    @property
    def failure_rate(self) -> float | None:
        """The part of all events that failed; None where there was no event to judge by."""
        return self.failed / self.events if self.events else None


def sum_of(totals: Iterable[Totals]) -> Totals:
    every = list(totals)
    return Totals(sum(each.delivered for each in every), sum(each.failed for each in every))


@dataclass(frozen=True)
class Span:
    """A stretch of time up to now, in so many steps that begin on the clock: minutes, hours or days in UTC."""

    step_name: str
    step: timedelta
    steps: int

    def starts(self, now: datetime) -> list[datetime]:
        """When each step begins, the oldest first; the last one is not over yet."""
        passed = (now - datetime.min.replace(tzinfo=UTC)) % self.step
        return [now - passed - self.step * back for back in reversed(range(self.steps))]


SPANS = {
    "hour": Span("minute", timedelta(minutes=1), 60),
    "day": Span("hour", timedelta(hours=1), 24),
    "week": Span("day", timedelta(days=1), 7),
}


@dataclass(frozen=True)
class Point:
    """The events of one step at one revision."""

    started_at: datetime
    revision_id: str
    revision_number: int
    totals: Totals


def minute_of(moment: datetime) -> datetime:
    """The beginning of its minute."""
    return moment.replace(second=0, microsecond=0)


def delivery_totals(
    *, pins: Ids, since: datetime, until: datetime | None = None, revisions: Ids | None = None
) -> Totals:
    """The sums over these pins, at these revisions or at any, in every minute that the time touches: one statement.

    Pins and revisions are ids, or a query of ids (`Pin.objects.….values("pk")`), which runs inside this one. The
    first minute counts whole, so what began in the middle of it is not lost.
    """
    figures = DeliveryFigure.objects.filter(pin_id__in=pins, started_at__gte=minute_of(since))
    if until is not None:
        figures = figures.filter(started_at__lt=until)
    if revisions is not None:
        figures = figures.filter(revision__in=revisions)
    sums = figures.aggregate(delivered=Coalesce(Sum("delivered"), 0), failed=Coalesce(Sum("failed"), 0))
    return Totals(int(sums["delivered"]), int(sums["failed"]))


def delivery_series(*, pin_id: str, span: Span, now: datetime) -> list[Point]:
    """The figures of one pin over time, by revision: one statement. A step without events has no point."""
    since = span.starts(now)[0]
    figures = DeliveryFigure.objects.filter(pin_id=pin_id, started_at__gte=since, started_at__lte=now)
    stepped = figures.values(step=Trunc("started_at", span.step_name, tzinfo=UTC), number=F("revision__number"))
    sums = stepped.annotate(good=Sum("delivered"), bad=Sum("failed")).order_by("step", "number")
    rows = sums.values_list("step", "revision_id", "number", "good", "bad")
    return [Point(step, revision, number, Totals(int(good), int(bad))) for step, revision, number, good, bad in rows]


def revision_changes(*, pin: Pin, since: datetime, until: datetime) -> list[HistoryEntry]:
    """When the pin came to another revision, oldest first: one statement."""
    history = HistoryEntry.objects.filter(pipeline=pin.pipeline_id, subject=Subject.PIN, subject_id=pin.pk)
    moved = history.exclude(before_revision=F("after_revision"))
    return list(moved.filter(version__created_at__range=(since, until)).with_names().order_by("pk"))


def add_figures(*, organisation_id: str, counts: Mapping[tuple[str, str], tuple[int, int]], moment: datetime) -> None:
    """Add delivered and failed, by pin and revision, to the minute of this moment: one statement.

    The database adds, so that any number of instances may report at once.
    """
    rows = [
        {"pin_id": pin_id, "revision_id": revision_id, "delivered": delivered, "failed": failed}
        for (pin_id, revision_id), (delivered, failed) in counts.items()
        if delivered or failed
    ]
    upsert(
        DeliveryFigure,
        columns={"pin_id": "text", "revision_id": "text", "delivered": "bigint", "failed": "bigint"},
        rows=rows,
        same={"organisation_id": organisation_id, "started_at": minute_of(moment)},
        unique=("pin_id", "revision_id", "started_at"),
        added=("delivered", "failed"),
    )


def forget_old_figures(*, now: datetime) -> int:
    """Take away some of the figures that are past their time, and say how many: one statement, cheap where none is."""
    old = DeliveryFigure.objects.filter(started_at__lt=now - settings.REPORT_RETENTION)
    some = old.order_by("started_at").select_for_update(skip_locked=True).values("pk")[:SWEEP]
    gone, _ = DeliveryFigure.objects.filter(pk__in=some).delete()
    return gone
