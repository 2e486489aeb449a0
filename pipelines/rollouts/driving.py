"""Driving rollouts: what is due next, done in one transaction, by any number of workers on any machine."""

from datetime import datetime, timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from accounts.actors import Actor, ActorType
from accounts.errors import Conflict, Refused
from accounts.roles import Role
from pipelines.feed.figures import minute_of
from pipelines.models import OnFailure, OnInconclusive, Rollout, RolloutState, RolloutWave, Verdict
from pipelines.rollouts.gates import Gate, evidence_of, judge
from pipelines.rollouts.lifecycle import finish, hold, last_wave, runner
from pipelines.rollouts.moving import apply_wave
from pipelines.rollouts.reverts import take_back

MOST_AT_ONCE = 100  # due rollouts that a worker takes up before it asks again
LOOK_AGAIN = timedelta(seconds=5)  # how often a gate reads the figures


def due_rollouts() -> list[str]:
    """The ids of those that should be looked at by now, the longest waiting first."""
    return list(Rollout.objects.due(timezone.now()).values_list("pk", flat=True)[:MOST_AT_ONCE])


def advance_if_free(rollout_id: str) -> Rollout | None:
    """Take the next step of a rollout; None where it is not due any more, or another worker has it in hand.

    A step is a wave, a verdict or an end, and whole or not at all.
    """
    return _steps(rollout_id, skip_locked=True)


def advance(rollout_id: str) -> Rollout:
    """Take the next step of one rollout, if it runs and one is due; waits for whoever has it in hand."""
    return _steps(rollout_id, skip_locked=False) or _found(rollout_id)


def _steps(rollout_id: str, *, skip_locked: bool) -> Rollout | None:
    """The next step, and the end where only that is left, each in a transaction of its own."""
    rollout = _take(rollout_id, skip_locked=skip_locked)
    return _take(rollout_id, skip_locked=skip_locked) or rollout if rollout and _ends(rollout) else rollout


@transaction.atomic
def _take(rollout_id: str, *, skip_locked: bool) -> Rollout | None:
    now = timezone.now()
    due = Rollout.objects.due(now).select_related("template", "revision").filter(pk=rollout_id)
    rollout = due.select_for_update(no_key=True, of=("self",), skip_locked=skip_locked).first()
    return rollout and _step(rollout, now)


def _step(rollout: Rollout, now: datetime) -> Rollout:
    """One step; what cannot be done by any repetition pauses the rollout, so that somebody mends it."""
    try:
        with transaction.atomic():
            _advance(rollout, now)
            return _found(rollout.pk)
    except (Refused, ImproperlyConfigured, IntegrityError, DataError) as error:
        return hold(_system(rollout, "worker"), _found(rollout.pk), f"The next step failed: {error}")


def _found(rollout_id: str) -> Rollout:
    return Rollout.objects.select_related("template", "revision").get(pk=rollout_id)


def _advance(rollout: Rollout, now: datetime) -> None:
    wave = last_wave(rollout)
    if wave is not None:
        _keep_in_time(wave, now)
    if wave is not None and not _may_go_on(rollout, wave, now):
        return
    if rollout.waves_applied == rollout.wave_count:
        finish(runner(rollout), rollout, RolloutState.DONE)
        return
    _apply_next(rollout, wave, now)


def _apply_next(rollout: Rollout, wave: RolloutWave | None, now: datetime) -> None:
    following = rollout.waves.get(number=rollout.waves_applied + 1)
    held = apply_wave(actor=runner(rollout), rollout=rollout, wave=following, lower=wave.upper if wave else 0)
    if held is not None:
        hold(_system(rollout, "preflight"), rollout, held)
    elif _ends(rollout):
        _look_again(rollout, now)
    else:
        _look_again(rollout, _next_look(rollout, following, now) if following.moved else now)


def _ends(rollout: Rollout) -> bool:
    """Whether nothing is left to do but to end it: a step of its own, so that a wave holds its version's lock briefly."""
    return rollout.state == RolloutState.RUNNING and rollout.waves_applied == rollout.wave_count and not rollout.gate


def _keep_in_time(wave: RolloutWave, now: datetime) -> None:
    """What is watched from a time to come was applied before the clock was put back, and is watched anew from now on."""
    soonest = minute_of(now) + timedelta(minutes=1)  # as after a pause: what this minute holds already is not of after
    if wave.watched_from is not None and wave.watched_from > soonest:
        wave.watched_from = soonest
        wave.save(update_fields=["watched_from"])


def _may_go_on(rollout: Rollout, wave: RolloutWave, now: datetime) -> bool:
    """Whether the wave has been soaked and judged; where it has not, it is said when to look again, or what became.

    A wave of which nothing was left to move changed nothing that could be watched.
    """
    if not wave.moved:
        return True
    if rollout.gate and wave.verdict not in (Verdict.PASS, Verdict.OVERRIDDEN):
        return _judge(rollout, wave, now)
    over = _soaked_at(rollout, wave)
    if now < over and rollout.waves_applied < rollout.wave_count and wave.verdict != Verdict.OVERRIDDEN:
        _look_again(rollout, over)
        return False
    return True


def _judge(rollout: Rollout, wave: RolloutWave, now: datetime) -> bool:
    """Fail as soon as the figures say so; pass when the soak is over; wait for events as long as the gate is patient."""
    gate = Gate.from_json(rollout.gate or {})
    lower = rollout.waves.filter(number=wave.number - 1).values_list("upper", flat=True).first() or 0
    verdict, reason = judge(gate, evidence_of(rollout, wave, lower, now))
    soaked_at = _soaked_at(rollout, wave)
    patient_until = soaked_at + timedelta(seconds=gate.patience_seconds)
    gives_up = verdict == Verdict.INCONCLUSIVE and now >= patient_until
    if not gives_up and verdict != Verdict.FAIL and (now < soaked_at or verdict == Verdict.INCONCLUSIVE):
        _look_again(rollout, _next_look(rollout, wave, now))
        return False
    _keep_verdict(wave, verdict, reason)
    if verdict == Verdict.FAIL:
        _fail(rollout, wave, reason)
        return False
    if gives_up and rollout.on_inconclusive == OnInconclusive.PAUSE:
        hold(_system(rollout, "gate"), rollout, f"The gate could not judge wave {wave.number}: {reason}")
        return False
    return True


def _fail(rollout: Rollout, wave: RolloutWave, reason: str) -> None:
    sentence = f"Wave {wave.number} failed its gate: {reason}"
    if rollout.on_failure == OnFailure.ROLLBACK:
        _roll_back(rollout, sentence)
    else:
        hold(_system(rollout, "gate"), rollout, sentence)


def _roll_back(rollout: Rollout, sentence: str) -> None:
    """Take the rollout back; where nothing can be, it is paused instead, so that somebody looks at it."""
    try:
        with transaction.atomic():
            take_back(_system(rollout, "gate"), rollout, sentence)
    except Conflict as refusal:
        hold(_system(rollout, "gate"), _found(rollout.pk), f"{sentence} {refusal.message}")


def _keep_verdict(wave: RolloutWave, verdict: Verdict, reason: str) -> None:
    wave.verdict, wave.verdict_reason = verdict, reason
    wave.save(update_fields=["verdict", "verdict_reason"])


def _next_look(rollout: Rollout, wave: RolloutWave, now: datetime) -> datetime:
    """Without a gate nothing happens until the soak is over; a gate reads the figures meanwhile."""
    soaked_at = _soaked_at(rollout, wave)
    return (min(soaked_at, now + LOOK_AGAIN) if now < soaked_at else now + LOOK_AGAIN) if rollout.gate else soaked_at


def _look_again(rollout: Rollout, moment: datetime) -> None:
    rollout.next_at = moment
    rollout.save(update_fields=["next_at"])


def _soaked_at(rollout: Rollout, wave: RolloutWave) -> datetime:
    if wave.watched_from is None:
        raise ValueError("Only a wave that has been applied can soak.")
    return wave.watched_from + timedelta(seconds=rollout.soak_seconds)


def _system(rollout: Rollout, who: str) -> Actor:
    """Nobody: what Pinion does by itself because it was told to when the rollout was planned."""
    return Actor(ActorType.SYSTEM, f"rollouts.{who}", f"{who} of {rollout.pk}", rollout.organisation_id, Role.EDITOR)
