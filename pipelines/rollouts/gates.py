"""The gate between two waves: what processors report of the pins that moved decides whether the rollout goes on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from accounts.errors import Invalid
from pipelines.feed.figures import Totals, delivery_totals
from pipelines.models import Claim, Processor, RolloutTarget, RolloutWave, RunningPin, Verdict
from pipelines.rollouts.waves import MAX_SECONDS

BASELINE = timedelta(hours=1)  # how far back the figures before a wave reach


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


class Judgement(NamedTuple):
    """A verdict and a sentence with the figures that led to it."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What processors report of the pins of one wave; `refusals` are those that did not take what they were given."""

    before: Totals
    after: Totals
    refusals: int = 0


def judge(gate: Gate, evidence: Evidence) -> Judgement:
    """What the gate says of this; too few events are never a pass, and a refusal is always a failure."""
    before, after = evidence.before, evidence.after
    if evidence.refusals:
        return Judgement(Verdict.FAIL, f"{_processors(evidence.refusals)} refused the new config.")
    if after.events < gate.min_events:
        return _too_few(after, gate, "since the wave")
    if gate.max_failure_ratio is not None and (after.failure_rate or 0) > gate.max_failure_ratio:
        return Judgement(Verdict.FAIL, f"{_said(after)}, and at most {gate.max_failure_ratio:.2%} may.")
    if gate.max_increase is None:
        return Judgement(Verdict.PASS, f"{_said(after)}.")
    return _compared(gate, gate.max_increase, before, after)


def _compared(gate: Gate, most: float, before: Totals, after: Totals) -> Judgement:
    """Whether the failures rose by more than they may over those of the same pins before."""
    if before.events < gate.min_events:
        return _too_few(before, gate, "in the hour before the wave")
    said = f"{_said(after)}, {before.failure_rate or 0:.2%} before the wave"
    if (after.failure_rate or 0) - (before.failure_rate or 0) > most:
        return Judgement(Verdict.FAIL, f"{said}, and it may rise by at most {most:.2%}.")
    return Judgement(Verdict.PASS, f"{said}.")


def _said(totals: Totals) -> str:
    return f"{totals.failed:,} of {totals.events:,} events failed ({totals.failure_rate or 0:.2%})"


def evidence_of(wave: RolloutWave, lower: int, now: datetime) -> Evidence:
    """Of the wave's pins: three statements, however many they are.

    Before is the hour before the wave at their earlier revisions, after is since the gate has watched them at their
    new ones; the revision tells the minute of the wave itself apart.
    """
    if wave.applied_at is None or wave.watched_from is None:
        raise ValueError("Only a wave that has been applied can be judged.")
    targets = RolloutTarget.objects.filter(rollout_id=wave.rollout_id).between(lower, wave.upper).moving()
    pins = targets.values("pin_id")
    earlier, newer = (targets.order_by().values(side).distinct() for side in ("from_revision_id", "to_revision_id"))
    before = delivery_totals(pins=pins, since=wave.applied_at - BASELINE, until=wave.applied_at, revisions=earlier)
    after = delivery_totals(pins=pins, since=wave.watched_from, revisions=newer)
    return Evidence(before, after, _refusals(pins, newer, wave.watched_from, now))


def _refusals(pins: QuerySet[Any, Any], newer: QuerySet[Any, Any], since: datetime, now: datetime) -> int:
    """How many live instances say since then that they refused the new revision, or kept what they had instead of it."""
    live = Processor.objects.live(now)
    said = RunningPin.objects.filter(processor__in=live, pin_id__in=pins, reported_at__gte=since)
    refused = Q(claim=Claim.REJECTED, revision__in=newer) | Q(claim=Claim.KEPT_LAST_GOOD)
    return said.filter(refused).values("processor").distinct().count()


def _processors(count: int) -> str:
    return "1 processor has" if count == 1 else f"{count:,} processors have"


def _too_few(figures: Totals, gate: Gate, when: str) -> Judgement:
    reason = f"{figures.events:,} events were reported {when}, and it takes {gate.min_events:,} to judge."
    return Judgement(Verdict.INCONCLUSIVE, reason)
