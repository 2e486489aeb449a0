"""Applying one wave: all of its pins move, or none does, in the same few statements however many they are."""

from array import array
from collections.abc import Sequence

from django.db import connection
from django.utils import timezone

from accounts.actors import Actor
from accounts.errors import Detail
from integrations.models import Revision, Template
from pipelines.models import Outcome, Pin, Pipeline, Rollout, RolloutTarget, RolloutWave
from pipelines.querysets import TargetQuerySet
from pipelines.rollouts.plans import record
from pipelines.rollouts.readiness import Unready, unready_targets
from pipelines.rollouts.sql import run, sql
from pipelines.rollouts.targets import DISABLED, as_reasons, refusals, write_outcomes
from pipelines.versions import new_version_id, take_version

NAMED = 20  # how many pipelines a refusal names
CHUNK = 1000

_LOCK = "SELECT count(*) FROM ({pipelines}) locked"
_HISTORY = """
    INSERT INTO pipelines_historyentry (version_id, pipeline_id, subject, subject_id, before_revision_id,
        after_revision_id, before_enabled, after_enabled, before_value, after_value, secret)
    SELECT {version}, pipeline_id, 'pin', pin_id, from_revision_id, to_revision_id, enabled, enabled, NULL, NULL, FALSE
    FROM ({targets}) target
"""
_MOVE = """
    UPDATE pipelines_pin SET revision_id = target.to_revision_id, resolvable = TRUE,
        row_version = pipelines_pin.row_version + 1, updated_at = {now}
    FROM ({targets}) target WHERE pipelines_pin.id = target.pin_id
"""


def apply_wave(*, actor: Actor, rollout: Rollout, wave: RolloutWave, lower: int) -> str | None:
    """Move the pins of one wave of a locked rollout, or return a sentence that says why it is held.

    A pin that is no longer as the plan has it is left alone, and detached. What is blocked by now holds the whole wave,
    or is left out where the rollout skips what is blocked.
    """
    targets = RolloutTarget.objects.filter(rollout=rollout).between(lower, wave.upper)
    _lock(rollout, targets)
    targets.moving().astray(moved=False).update(detached=True)
    revisions = _aims(rollout, targets.moving())
    if held := _hold_back(rollout, wave, targets.moving(), revisions):
        return held
    lame = array("Q")  # where pins that are off move to what would not run; compact, since all of them may
    for revision in revisions:
        for chunk in unready_targets(revision, targets.moving().filter(to_revision=revision)):
            lame.extend(subject.position for subject, _ in chunk if not subject.enabled)
            blocked = [unready for unready in chunk if unready.subject.enabled]
            if blocked and not rollout.skip_blocked:
                return _sentence(wave, blocked, targets)
            told = ((subject, Outcome.BLOCKED, as_reasons(problems)) for subject, problems in blocked)
            write_outcomes(rollout, told)
    _move(actor, rollout, wave, targets.moving(), lame)
    return None


def _lock(rollout: Rollout, targets: TargetQuerySet) -> None:
    """The template, then the pipelines in primary-key order, as every change locks them."""
    list(Template.objects.filter(pk=rollout.template_id).locked())
    locked = Pipeline.objects.filter(pk__in=targets.moving().values("pipeline_id")).locked().values("pk")
    run(sql(_LOCK, pipelines=locked))


def _hold_back(
    rollout: Rollout, wave: RolloutWave, targets: TargetQuerySet, revisions: Sequence[Revision]
) -> str | None:
    """Take out what may not move by now where the rollout skips that, else say why the wave is held.

    Nothing may move to a retired revision, whoever wants to skip it; a revert moves to several, and goes on without it.
    """
    for revision in revisions:
        for refusal in refusals(revision)[:1]:
            if not (rollout.skip_blocked and rollout.reverts_id):
                return f"Wave {wave.number} has not been applied. {refusal.message}"
            _block(targets.filter(to_revision=revision), refusal)
    asleep = targets.filter(pipeline__enabled=False)
    if rollout.reverts_id or rollout.selection.get("include_disabled") or not (count := asleep.count()):
        return None
    if not rollout.skip_blocked:
        which = "1 of its pipelines is" if count == 1 else f"{count:,} of its pipelines are"
        return f"Wave {wave.number} has not been applied: {which} disabled by now. Enable, or resume and skip what is blocked."
    _block(asleep, DISABLED)
    return None


def _block(targets: TargetQuerySet, reason: Detail) -> None:
    targets.update(outcome=Outcome.BLOCKED, reasons=as_reasons([reason]))


def _aims(rollout: Rollout, targets: TargetQuerySet) -> list[Revision]:
    """What is moved to: one revision, and for a revert as many as its pins came from."""
    aims = [rollout.revision_id] if rollout.revision_id else targets.order_by().values("to_revision_id").distinct()
    return list(Revision.objects.with_config().filter(pk__in=aims).order_by("number"))


def _move(actor: Actor, rollout: Rollout, wave: RolloutWave, targets: TargetQuerySet, lame: Sequence[int]) -> None:
    """Write pins, history, audit and the wave, and take the version last."""
    now, version_id = timezone.now(), new_version_id()
    shown = targets.values("position", "pipeline_id", "pin_id", "from_revision_id", "to_revision_id", "enabled")
    run(sql(_HISTORY, version=version_id, targets=shown.order_by("position")))
    wave.moved = run(sql(_MOVE, targets=shown, now=connection.ops.adapt_datetimefield_value(now)))
    _mark_unresolvable(targets, lame)
    Pipeline.objects.filter(pk__in=targets.values("pipeline_id")).update(changed_in=version_id)
    wave.applied_at = wave.watched_from = now
    wave.version_id = version_id if wave.moved else None
    wave.save(update_fields=["moved", "applied_at", "watched_from", "version"])
    rollout.waves_applied = wave.number
    rollout.row_version += 1
    rollout.save(update_fields=["waves_applied", "row_version"])
    changes = {"waves_applied": (wave.number - 1, wave.number), "moved": (None, wave.moved)}
    record(actor, "rollout.wave_applied", rollout, changes)
    if wave.moved:
        take_version(actor=actor, version_id=version_id)


def _mark_unresolvable(targets: TargetQuerySet, positions: Sequence[int]) -> None:
    """Pins that are off may stand on what would not run; lists find them by this."""
    for start in range(0, len(positions), CHUNK):
        chunk = targets.filter(position__in=positions[start : start + CHUNK])
        Pin.objects.filter(pk__in=chunk.values("pin_id")).update(resolvable=False)


def _sentence(wave: RolloutWave, blocked: Sequence[Unready], targets: TargetQuerySet) -> str:
    shown = {subject.position: problems[0].message for subject, problems in blocked[:NAMED]}
    named = targets.filter(position__in=shown).order_by("position").values_list("position", "pipeline__name")
    reasons = " ".join(f"{name}: {shown[position]}" for position, name in named)
    more = " There are more." if len(blocked) > NAMED else ""
    return (
        f"Wave {wave.number} has not been applied, because by now some of its pipelines could not run the revision. "
        f"{reasons}{more} Mend that and resume, or resume and skip what is blocked."
    )
