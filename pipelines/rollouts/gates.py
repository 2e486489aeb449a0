"""The gate between two waves: what processors report of the pins that moved decides whether the rollout goes on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import QuerySet, Sum

from accounts.errors import Invalid
from pipelines.models import DeliveryFigure, RolloutTarget, RolloutWave, Verdict
from pipelines.rollouts.waves import MAX_SECONDS

BASELINE = timedelta(hours=1)  # how far back the figures before a wave reach
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Gate:
    """What the figures of a wave's pins have to show.

    Ratios are of failed events to all events, from 0 to 1. `max_increase` is how much higher the ratio may be than that
    of the same pins in the hour before the wave. Fewer than `min_events`, on either side, say nothing; after
    `patience_seconds` of that, beyond the soak, the gate gives up.
    """

    max_failure_ratio: float | None = None
    max_increase: float | None = None
    min_events: int = 1
    patience_seconds: int = 1800

    def __post_init__(self) -> None:
        """Raises Invalid for a gate that would ask nothing, or that cannot be."""
        if self.max_failure_ratio is None and self.max_increase is None:
            message = "A gate needs max_failure_ratio, max_increase or both. Leave it out for soak time alone."
            raise Invalid.because("gate", "asks_nothing", message)
        for name in ("max_failure_ratio", "max_increase"):
            ratio = getattr(self, name)
            if ratio is not None and not 0 <= ratio <= 1:
                raise Invalid.because(f"gate/{name}", "out_of_range", f"{name} is a ratio from 0 to 1, such as 0.02.")
        if self.min_events < 1:
            raise Invalid.because("gate/min_events", "out_of_range", "min_events is at least 1.")
        if not 0 <= self.patience_seconds <= MAX_SECONDS:
            raise Invalid.because("gate/patience_seconds", "out_of_range", "A gate is patient for at most 30 days.")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Gate":
        return cls(**kept)


class Figures(NamedTuple):
    """Events of some pins over some time."""

    delivered: int
    failed: int

    @property
    def events(self) -> int:
        return self.delivered + self.failed

    @property
    def failure_ratio(self) -> float:
        return self.failed / self.events if self.events else 0.0


class Judgement(NamedTuple):
    """A verdict and a sentence with the figures that led to it."""

    verdict: Verdict
    reason: str


def judge(gate: Gate, before: Figures, after: Figures) -> Judgement:
    """What the gate says of these figures; too few events are never a pass."""
    if after.events < gate.min_events:
        return _too_few(after, gate, "since the wave")
    said = f"{after.failed:,} of {after.events:,} events failed ({after.failure_ratio:.2%})"
    if gate.max_failure_ratio is not None and after.failure_ratio > gate.max_failure_ratio:
        return Judgement(Verdict.FAIL, f"{said}, and at most {gate.max_failure_ratio:.2%} may.")
    if gate.max_increase is None:
        return Judgement(Verdict.PASS, f"{said}.")
    if before.events < gate.min_events:
        return _too_few(before, gate, "in the hour before the wave")
    said = f"{said}, {before.failure_ratio:.2%} before the wave"
    if after.failure_ratio - before.failure_ratio > gate.max_increase:
        return Judgement(Verdict.FAIL, f"{said}, and it may rise by at most {gate.max_increase:.2%}.")
    return Judgement(Verdict.PASS, f"{said}.")


def figures_before(wave: RolloutWave, lower: int) -> Figures:
    """What the wave's pins delivered at their earlier revision in the hour before it, in whole minutes."""
    until = _applied_at(wave)
    since = until - BASELINE
    return _figures(_moved(wave, lower), "from_revision", since, until)


def figures_after(wave: RolloutWave, lower: int, now: datetime) -> Figures:
    """What they delivered at the revision of the rollout since the gate has watched them."""
    since = (wave.watched_from or now).replace(second=0, microsecond=0)
    return _figures(_moved(wave, lower), "to_revision", since, now + MINUTE)


def _figures(targets: QuerySet[RolloutTarget], side: str, since: datetime, until: datetime) -> Figures:
    """One statement; the revision tells the minute of the wave itself apart."""
    figures = DeliveryFigure.objects.filter(
        pin_id__in=targets.values("pin_id"),
        revision_id__in=targets.values(f"{side}_id"),
        started_at__gte=since,
        started_at__lt=until,
    )
    sums = figures.aggregate(delivered=Sum("delivered"), failed=Sum("failed"))
    return Figures(sums["delivered"] or 0, sums["failed"] or 0)


def _moved(wave: RolloutWave, lower: int) -> QuerySet[RolloutTarget]:
    return RolloutTarget.objects.filter(rollout_id=wave.rollout_id).between(lower, wave.upper).moving()


def _applied_at(wave: RolloutWave) -> datetime:
    if wave.applied_at is None:
        raise ValueError("Only a wave that has been applied can be judged.")
    return wave.applied_at


def _too_few(figures: Figures, gate: Gate, when: str) -> Judgement:
    reason = f"{figures.events:,} events were reported {when}, and it takes {gate.min_events:,} to judge."
    return Judgement(Verdict.INCONCLUSIVE, reason)
