"""The chart on a pin's page: delivered and failed over time, as shapes whose places are attributes, not styles."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf
from typing import Any

from django.utils import timezone

from pipelines.feed.figures import SPANS, Point, Span, Totals, delivery_series, revision_changes, sum_of
from pipelines.models import HistoryEntry, Pin

WIDTH, HEIGHT, TOP = 720, 140, 18  # in the units of the drawing; above TOP stand the names of revisions
NAME_WIDTH = 72  # of a change of revision


@dataclass(frozen=True)
class Bar:
    """One step: delivered from the ground up, failed on top of it."""

    x: float
    width: float
    delivered_y: float
    delivered_height: float
    failed_y: float
    failed_height: float
    text: str


@dataclass(frozen=True)
class Moment:
    """The pin came to another revision; it is named on the side where there is room, if there is any before the next."""

    x: float
    text_x: float
    anchor: str
    text: str
    at: datetime
    named: bool = True


@dataclass(frozen=True)
class Chart:
    bars: Sequence[Bar]
    moments: Sequence[Moment]
    totals: Totals
    since: datetime
    most: int  # events in the highest bar
    rows: Sequence[Point]  # the same as a table, newest first
    width: int = WIDTH
    height: int = HEIGHT
    top: int = TOP


def deliveries(pin: Pin, asked: str) -> dict[str, Any]:
    """The chart of the last hour, day or week for the page of a pin; the hour where none of them is asked for."""
    name = asked if asked in SPANS else "hour"
    now, span = timezone.now(), SPANS[name]
    points = delivery_series(pin_id=pin.pk, span=span, now=now)
    changes = revision_changes(pin=pin, since=span.starts(now)[0], until=now)
    return {"span": name, "chart": chart_of(points, changes, span, now)}


def chart_of(points: Sequence[Point], changes: Iterable[HistoryEntry], span: Span, now: datetime) -> Chart:
    """All steps of the span with what was delivered and failed in them, and the changes between them."""
    starts = span.starts(now)
    sums = _sums(points)
    most = max((totals.events for totals in sums.values()), default=0)
    bars = [_bar(place, start, sums[start], most, span) for place, start in enumerate(starts) if sums[start].events]
    moments = _apart([_moment(entry, starts[0], starts[-1] + span.step) for entry in changes])
    return Chart(bars, moments, sum_of(sums.values()), starts[0], most, list(reversed(points)))


def _sums(points: Iterable[Point]) -> defaultdict[datetime, Totals]:
    sums: defaultdict[datetime, Totals] = defaultdict(Totals)
    for point in points:
        sums[point.started_at] = sum_of([sums[point.started_at], point.totals])
    return sums


def _bar(place: int, start: datetime, totals: Totals, most: int, span: Span) -> Bar:
    slot = WIDTH / span.steps
    scale = (HEIGHT - TOP) / most
    good, bad = totals.delivered * scale, totals.failed * scale
    return Bar(
        x=round(place * slot + slot * 0.1, 1),
        width=round(slot * 0.8, 1),
        delivered_y=round(HEIGHT - good, 1),
        delivered_height=round(good, 1),
        failed_y=round(HEIGHT - good - bad, 1),
        failed_height=round(bad, 1),
        text=f"{_clock(start, span.step)}: {totals.delivered} delivered, {totals.failed} failed",
    )


def _moment(entry: HistoryEntry, since: datetime, until: datetime) -> Moment:
    at = entry.version.created_at
    x = round(WIDTH * ((at - since) / (until - since)), 1)
    names = [f"v{each.number}" if each else "none" for each in (entry.before_revision, entry.after_revision)]
    fits = x < WIDTH * 0.8
    return Moment(x, round(x + (4 if fits else -4), 1), "start" if fits else "end", " → ".join(names), at)


def _apart(moments: Sequence[Moment]) -> list[Moment]:
    """Of names that would lie on one another only the last stands; the table has them all."""
    following = [*(moment.x for moment in moments[1:]), inf]
    pairs = zip(moments, following, strict=False)  # no moment: nothing follows
    return [replace(moment, named=after - moment.x >= NAME_WIDTH) for moment, after in pairs]


def _clock(moment: datetime, step: timedelta) -> str:
    return moment.strftime("%Y-%m-%d" if step >= timedelta(days=1) else "%Y-%m-%d %H:%M")
