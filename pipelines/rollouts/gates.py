"""The gate between two waves: what processors report of the pins that moved decides whether the rollout goes on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from accounts.errors import Invalid
from pipelines.feed.figures import Totals, delivery_totals
from pipelines.feed.hashes import was_issued
from pipelines.models import Claim, Processor, Rollout, RolloutTarget, RolloutWave, RunningPin, Verdict
from pipelines.rollouts.waves import MAX_SECONDS

ENOUGH = 1000  # refusals that are looked at; one is enough to fail
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
    if gate.max_failure_ratio is not None and _exactly(after) > Fraction(str(gate.max_failure_ratio)):
        return Judgement(Verdict.FAIL, f"{_said(after)}, and at most {gate.max_failure_ratio:.2%} may.")
    if gate.max_increase is None:
        return Judgement(Verdict.PASS, f"{_said(after)}.")
    return _compared(gate, gate.max_increase, before, after)


def _compared(gate: Gate, most: float, before: Totals, after: Totals) -> Judgement:
    """Whether the failures rose by more than they may over those of the same pins before."""
    if before.events < gate.min_events:
        return _too_few(before, gate, "in the hour before the wave")
    said = f"{_said(after)}, {before.failure_rate or 0:.2%} before the wave"
    if _exactly(after) - _exactly(before) > Fraction(str(most)):
        return Judgement(Verdict.FAIL, f"{said}, and it may rise by at most {most:.2%}.")
    return Judgement(Verdict.PASS, f"{said}.")


def _exactly(totals: Totals) -> Fraction:
    """The part that failed without rounding: what stands at its limit does not exceed it."""
    return Fraction(totals.failed, max(totals.events, 1))


def _said(totals: Totals) -> str:
    return f"{totals.failed:,} of {totals.events:,} events failed ({totals.failure_rate or 0:.2%})"


def evidence_of(rollout: Rollout, wave: RolloutWave, lower: int, now: datetime) -> Evidence:
    """Of the wave's pins: a few statements, however many they are.

    Before is the hour before the wave at their earlier revisions, after is since the gate has watched them at the new
    one; the revision tells the minute of the wave itself apart. What was before is asked once and kept.
    """
    if wave.applied_at is None or wave.watched_from is None:
        raise ValueError("Only a wave that has been applied can be judged.")
    targets = RolloutTarget.objects.filter(rollout=rollout).between(lower, wave.upper).moving()
    pins = targets.values("pin_id")
    if wave.delivered_before is None or wave.failed_before is None:
        earlier = targets.order_by().values("from_revision_id").distinct()
        since, until = wave.applied_at - BASELINE, wave.applied_at
        before = delivery_totals(pins=pins, since=since, until=until, revisions=earlier)
        wave.delivered_before, wave.failed_before = before.delivered, before.failed
        wave.save(update_fields=["delivered_before", "failed_before"])
    after = delivery_totals(pins=pins, since=wave.watched_from, revisions=[str(rollout.revision_id)])
    untouched = targets.as_planned(moved=True).values("pin_id")
    refusals = _refusals(untouched, str(rollout.revision_id), wave.watched_from, now)
    return Evidence(Totals(wave.delivered_before, wave.failed_before), after, refusals)


def _refusals(pins: QuerySet[Any, Any], revision_id: str, since: datetime, now: datetime) -> int:
    """How many live instances say since then that they refused the new revision, or kept another one instead of it."""
    said = RunningPin.objects.filter(processor__in=Processor.objects.live(now), pin_id__in=pins, reported_at__gte=since)
    refused = Q(claim=Claim.REJECTED, revision=revision_id) | Q(claim=Claim.KEPT_LAST_GOOD) & ~Q(revision=revision_id)
    facts = said.filter(refused).values_list("processor", "claim", "pin_id", "refused_hash")[:ENOUGH]
    return len({processor for processor, *fact in facts if _is_about(revision_id, *fact)})


def _is_about(revision_id: str, claim: str, pin_id: str, refused_hash: str) -> bool:
    """Whether a refusal is of the new revision's config; one that names no hash was of nothing that has one."""
    if claim == Claim.REJECTED or not refused_hash:
        return True
    return was_issued(pin_id=pin_id, revision_id=revision_id, config_hash=refused_hash)


def _processors(count: int) -> str:
    return "1 processor has" if count == 1 else f"{count:,} processors have"


def _too_few(figures: Totals, gate: Gate, when: str) -> Judgement:
    reason = f"{figures.events:,} events were reported {when}, and it takes {gate.min_events:,} to judge."
    return Judgement(Verdict.INCONCLUSIVE, reason)
