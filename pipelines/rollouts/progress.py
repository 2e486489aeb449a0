"""What a rollout is doing: every target accounted for, and what changes in the configs on the way."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, Q

from integrations.models import Revision
from pipelines.differences import Difference, compare
from pipelines.models import Outcome, Rollout, RolloutTarget
from pipelines.querysets import TargetQuerySet
from pipelines.rollouts.sql import Sql, rows, sql

STANDINGS = ("waiting", "moved", "detached", *(outcome.value for outcome in Outcome if outcome != Outcome.MOVES))
SHOWN_PATHS = 20  # pairs of revisions whose difference is shown

# As `TargetQuerySet.with_standing` has it, but with one join for all of them.
_COUNT = """
    SELECT CASE
            WHEN target.outcome <> 'moves' THEN target.outcome
            WHEN target.detached OR {astray} THEN 'detached'
            WHEN target.position <= reached.upper THEN 'moved'
            ELSE 'waiting'
        END AS standing, count(*)
    FROM pipelines_rollouttarget target
    CROSS JOIN (SELECT coalesce(max(upper), 0) AS upper FROM pipelines_rolloutwave
        WHERE rollout_id = {rollout} AND applied_at IS NOT NULL) reached
    LEFT JOIN pipelines_pin pin ON pin.id = target.pin_id
    WHERE target.rollout_id = {rollout} GROUP BY 1
"""
_ASTRAY = """
    (pin.id IS NULL
        OR pin.row_version <> target.pin_row_version + CASE WHEN target.position <= reached.upper THEN 1 ELSE 0 END)
"""


@dataclass(frozen=True)
class Path:
    """So many pins go from one revision to another; the difference masks what is secret."""

    before: Revision
    after: Revision
    pins: int
    difference: Difference


def count_targets(rollout: Rollout) -> dict[str, int]:
    """How many targets stand how: every standing by name, in sum all targets, and all of one moment."""
    parts = {"rollout": rollout.pk, "astray": Sql(_ASTRAY if rollout.is_active else "FALSE")}
    return dict.fromkeys(STANDINGS, 0) | dict(rows(sql(_COUNT, **parts)))


def targets_of(rollout: Rollout, standing: str | None = None) -> TargetQuerySet:
    """The targets with their names and their `standing`, in the order of the waves; only those that stand so, if given."""
    targets = RolloutTarget.objects.filter(rollout=rollout).with_names()
    shown = targets.with_standing(rollout).order_by("position")
    return shown.filter(Q(standing=standing)) if standing else shown


def paths_of(rollout: Rollout) -> list[Path]:
    """From which revisions to which the planned moves go, the most travelled first, with what changes on each."""
    moves = RolloutTarget.objects.filter(rollout=rollout, outcome__in=[Outcome.MOVES, Outcome.BLOCKED]).order_by()
    pairs = (
        moves.values("from_revision", "to_revision")
        .annotate(pins=Count("position"))
        .order_by("-pins", "from_revision__number", "to_revision__number")
    )
    counted = list(pairs.values_list("from_revision", "to_revision", "pins")[:SHOWN_PATHS])
    ids = {revision for before, after, _ in counted for revision in (before, after)}
    revisions = Revision.objects.with_config().in_bulk(list(ids))
    return [
        Path(revisions[before], revisions[after], pins, compare(revisions[before], revisions[after]))
        for before, after, pins in counted
    ]


def moving_pins(template_id: str, pins: Collection[str]) -> dict[str, str]:
    """Of these pins of one template those that its active rollout has moved or will move, each with the rollout's id.

    A pin that somebody took out of its hands is not among them. One statement, and one more while a rollout is active.
    """
    active = Rollout.objects.filter(template=template_id).active().first()
    if active is None:
        return {}
    held = targets_of(active).filter(Q(standing__in=["waiting", "moved"]), pin_id__in=pins)
    return dict.fromkeys(held.values_list("pin_id", flat=True), active.pk)
