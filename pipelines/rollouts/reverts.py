"""Taking a rollout back: each pin returns to where this rollout took it from, if it still stands where it was put."""

from django.db import transaction

from accounts.actors import Actor
from accounts.errors import Conflict, Detail
from accounts.preconditions import require_unchanged
from integrations.models import Revision
from pipelines.models import Outcome, Rollout, RolloutState, RolloutTarget
from pipelines.rollouts.lifecycle import applied_upper, begin, finish, lock_rollout, require_no_active
from pipelines.rollouts.plans import AT_ONCE, complete_plan, plan_counts, record
from pipelines.rollouts.readiness import unready_targets
from pipelines.rollouts.sql import as_json, run, sql
from pipelines.rollouts.targets import as_reasons, refusals, tell_planner_of, write_outcomes

NAMED = 20  # how many pins a refusal looks at for its reasons

# A pin that was removed, or that somebody moved on, is superseded: whoever did that knew what they wanted.
_WRITE = """
    INSERT INTO pipelines_rollouttarget (rollout_id, position, pipeline_id, pin_id, pin_row_version, enabled,
        from_revision_id, to_revision_id, outcome, reasons, detached)
    SELECT {rollout}, target.position, target.pipeline_id, target.pin_id,
        coalesce(pin.row_version, target.pin_row_version + 1), coalesce(pin.enabled, target.enabled),
        target.to_revision_id, target.from_revision_id,
        CASE WHEN pin.revision_id = target.to_revision_id AND NOT target.detached THEN 'moves' ELSE 'superseded' END, {nothing}, FALSE
    FROM ({moved}) target LEFT JOIN pipelines_pin pin ON pin.id = target.pin_id
"""


@transaction.atomic
def revert_rollout(*, actor: Actor, rollout_id: str, expected: str | None = None) -> Rollout:
    """Take back what a rollout has moved, as a rollout of its own that is started at once; an active one is aborted.

    Pins that somebody moved on are *superseded* and left alone; those whose earlier config would not resolve any more,
    or is retired, are *revert blocked*. The revert is a rollout like any other: it can be reverted too. Raises
    NotFound, Stale, and Conflict: `NOTHING_MOVES`, or `ROLLOUT_ACTIVE` while another rollout of the template is.
    """
    original = lock_rollout(actor=actor, rollout_id=rollout_id)
    require_unchanged(original, expected)
    if not original.waves_applied:
        raise Conflict("This rollout has moved nothing that could be taken back.", code="NOTHING_MOVES")
    return take_back(actor, original, f"{actor.label} took it back.")


def take_back(actor: Actor, original: Rollout, reason: str) -> Rollout:
    """Revert a locked rollout that has moved something. Raises as `revert_rollout` does."""
    if original.is_active:
        finish(actor, original, RolloutState.ABORTED, reason)
    require_no_active(original.template)
    revert = _plan(actor, original)
    if not revert.wave_count:
        message = "Nothing can be taken back: every pin has been moved on since, or could not run its earlier revision."
        raise Conflict(message, _obstacles(revert), code="NOTHING_MOVES")
    return begin(actor, revert)


def _plan(actor: Actor, original: Rollout) -> Rollout:
    revert = Rollout.objects.create(
        organisation_id=original.organisation_id, template=original.template, reverts=original, **Rollout.facts(actor)
    )
    moved = RolloutTarget.objects.filter(rollout=original, outcome=Outcome.MOVES).between(0, applied_upper(original))
    pin = ("pipeline_id", "pin_id", "pin_row_version", "enabled", "detached")
    facts = ("position", "from_revision_id", "to_revision_id", *pin)
    tell_planner_of(run(sql(_WRITE, rollout=revert.pk, moved=moved.values(*facts), nothing=as_json([]))))
    _settle(revert)
    complete_plan(revert, AT_ONCE)
    record(actor, "rollout.planned", revert, {"reverts": (None, original.pk), "targets": (None, plan_counts(revert))})
    return revert


def _settle(revert: Rollout) -> None:
    """Block what could not run its earlier revision, or may not be pinned to it any more."""
    moving = RolloutTarget.objects.filter(rollout=revert, outcome=Outcome.MOVES)
    earlier = moving.order_by().values("to_revision_id").distinct()
    for revision in list(Revision.objects.with_config().filter(pk__in=earlier).order_by("number")):
        back = moving.filter(to_revision=revision)
        if refused := refusals(revision):
            back.update(outcome=Outcome.REVERT_BLOCKED, reasons=as_reasons(refused))
            continue
        for chunk in unready_targets(revision, back):
            blocked = ((subject, problems) for subject, problems in chunk if subject.enabled)
            told = ((subject, Outcome.REVERT_BLOCKED, as_reasons(problems)) for subject, problems in blocked)
            write_outcomes(revert, told)


def _obstacles(revert: Rollout) -> list[Detail]:
    """Why pins cannot go back, each reason once."""
    blocked = RolloutTarget.objects.filter(rollout=revert, outcome=Outcome.REVERT_BLOCKED).order_by("position")
    reasons = {reason["message"]: reason["code"] for target in blocked[:NAMED] for reason in target.reasons}
    return [Detail("id", code, message) for message, code in reasons.items()]
