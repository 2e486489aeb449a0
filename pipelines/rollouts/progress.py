"""What a rollout is doing: every target accounted for, and what changes in the configs on the way."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, Subquery, Value
from django.db.models.functions import Coalesce

from integrations.models import Revision
from pipelines.differences import Difference, compare
from pipelines.models import Outcome, Rollout, RolloutTarget, RolloutWave
from pipelines.querysets import TargetQuerySet

STANDINGS = ("waiting", "moved", "detached", *(outcome.value for outcome in Outcome if outcome != Outcome.MOVES))
SHOWN_PATHS = 20  # pairs of revisions whose difference is shown


@dataclass(frozen=True)
class Path:
    """So many pins go from one revision to another; the difference masks what is secret."""

    before: Revision
    after: Revision
    pins: int
    difference: Difference


def count_targets(rollout: Rollout) -> dict[str, int]:
    """How many targets stand how: every standing by name, in sum all targets; a few statements, however many they are.

    A wave that is applied meanwhile would look as if somebody else had moved its pins: then it is counted once more.
    """
    while True:
        upper = _applied_upper(rollout)
        counts = _count(rollout, upper)
        if not rollout.is_active or upper == _applied_upper(rollout):
            return counts


def targets_of(rollout: Rollout, standing: str | None = None) -> TargetQuerySet:
    """The targets with their names and their `standing`, in the order of the waves; only those that stand so, if given."""
    targets = RolloutTarget.objects.filter(rollout=rollout).with_names()
    upper = Coalesce(Subquery(_applied(rollout)[:1]), Value(0))  # in the same statement, so that no wave comes between
    shown = targets.with_standing(upper, live=rollout.is_active).order_by("position")
    return shown.filter(Q(standing=standing)) if standing else shown


def paths_of(rollout: Rollout) -> list[Path]:
    """From which revisions to which the planned moves go, the most travelled first, with what changes on each."""
    moves = RolloutTarget.objects.filter(rollout=rollout, outcome__in=[Outcome.MOVES, Outcome.BLOCKED]).order_by()
    pairs = moves.values("from_revision", "to_revision").annotate(pins=Count("position")).order_by("-pins")
    counted = list(pairs.values_list("from_revision", "to_revision", "pins")[:SHOWN_PATHS])
    ids = {revision for before, after, _ in counted for revision in (before, after)}
    revisions = Revision.objects.with_config().in_bulk(list(ids))
    return [
        Path(revisions[before], revisions[after], pins, compare(revisions[before], revisions[after]))
        for before, after, pins in counted
    ]


def _applied(rollout: Rollout) -> Any:
    """How far the waves reach that have been applied by now, whatever was read of the rollout earlier; furthest first."""
    applied = RolloutWave.objects.filter(rollout=rollout, applied_at__isnull=False)
    return applied.order_by("-number").values_list("upper", flat=True)


def _applied_upper(rollout: Rollout) -> int:
    return _applied(rollout).first() or 0


def _count(rollout: Rollout, upper: int) -> dict[str, int]:
    targets = RolloutTarget.objects.filter(rollout=rollout)
    counts = dict.fromkeys(STANDINGS, 0) | targets.counted_by_standing(upper)
    if rollout.is_active:
        _count_detached(counts, targets.moving(), upper)
    return counts


def _count_detached(counts: dict[str, int], moving: TargetQuerySet, upper: int) -> None:
    """While a rollout is active, pins tell by themselves that somebody changed them."""
    for standing, targets in (
        ("moved", moving.filter(position__lte=upper).astray(moved=True)),
        ("waiting", moving.filter(position__gt=upper).astray(moved=False)),
    ):
        astray = targets.count()
        counts[standing] -= astray
        counts["detached"] += astray
