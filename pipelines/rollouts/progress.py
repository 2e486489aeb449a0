"""What a rollout is doing: every target accounted for, and what changes in the configs on the way."""

from dataclasses import dataclass

from django.db.models import Count, Q

from integrations.models import Revision
from pipelines.differences import Difference, compare
from pipelines.models import Outcome, Rollout, RolloutTarget
from pipelines.querysets import TargetQuerySet
from pipelines.rollouts.lifecycle import applied_upper

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
    """How many targets stand how: every standing by name, in sum all targets; two statements, and two more while it is active."""
    targets = RolloutTarget.objects.filter(rollout=rollout)
    upper = applied_upper(rollout)
    counts = dict.fromkeys(STANDINGS, 0) | targets.counted_by_standing(upper)
    if rollout.is_active:
        _count_detached(counts, targets.moving(), upper)
    return counts


def targets_of(rollout: Rollout, standing: str | None = None) -> TargetQuerySet:
    """The targets with their names and their `standing`, in the order of the waves; only those that stand so, if given."""
    targets = RolloutTarget.objects.filter(rollout=rollout).with_names()
    shown = targets.with_standing(applied_upper(rollout), live=rollout.is_active).order_by("position")
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


def _count_detached(counts: dict[str, int], moving: TargetQuerySet, upper: int) -> None:
    """While a rollout is active, pins tell by themselves that somebody changed them."""
    for standing, targets in (
        ("moved", moving.filter(position__lte=upper).astray(moved=True)),
        ("waiting", moving.filter(position__gt=upper).astray(moved=False)),
    ):
        astray = targets.count()
        counts[standing] -= astray
        counts["detached"] += astray
