"""Delivery figures: how many events were delivered and how many failed, by pin, revision and minute.

Instances report in intervals, so a minute holds what was reported in it; nothing is known of when in the interval an
event was delivered.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce

from pipelines.feed.rows import upsert
from pipelines.models import DeliveryFigure

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
