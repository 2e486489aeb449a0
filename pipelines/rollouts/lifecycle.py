"""Starting, pausing, resuming, ending and discarding rollouts: each function is one transition, held by the row's lock."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actors import Actor, ActorType
from accounts.errors import Conflict, Detail, NotFound
from accounts.preconditions import require_unchanged
from accounts.roles import Role
from integrations.models import Revision, Template
from pipelines.feed.figures import minute_of
from pipelines.models import ACTIVE, Outcome, Rollout, RolloutState, RolloutTarget, RolloutWave, Verdict
from pipelines.rollouts.plans import record
from pipelines.rollouts.selection import Selection
from pipelines.rollouts.targets import Aim, changes_since

MISSING = "There is no such rollout in this organisation."
NAMED = 20  # how many pipelines a refusal names


@transaction.atomic
def start_rollout(
    *,
    actor: Actor,
    rollout_id: str,
    plan_hash: str | None = None,
    skip_blocked: bool = False,
    expected: str | None = None,
) -> Rollout:
    """Let a plan become what happens, exactly as it was shown; the first wave is due at once.

    Raises NotFound, Stale, and Conflict: `PLAN_CHANGED` where `plan_hash` is another plan's or what it was made from
    has changed, with what did; `ROLLOUT_BLOCKED` for blocked pipelines unless they are skipped; `NOTHING_MOVES`;
    `ROLLOUT_ACTIVE` while another rollout of the template is; `ROLLOUT_STATE` for what is no plan any more.
    """
    rollout = lock_rollout(actor=actor, rollout_id=rollout_id)
    require_unchanged(rollout, expected)
    _require_state(rollout, "started", RolloutState.PLANNED)
    if plan_hash not in (None, rollout.plan_hash):
        raise Conflict("This is not the plan that you saw: its hash is another. Look at it again.", code="PLAN_CHANGED")
    _lock_template(rollout)
    require_no_active(rollout.template)
    _require_as_planned(rollout)
    _require_startable(rollout, skip_blocked)
    rollout.skip_blocked = skip_blocked
    return begin(actor, rollout)


@transaction.atomic
def pause_rollout(*, actor: Actor, rollout_id: str, reason: str = "", expected: str | None = None) -> Rollout:
    """Apply no further wave until somebody resumes it. Raises NotFound, Stale and Conflict (`ROLLOUT_STATE`)."""
    rollout = lock_rollout(actor=actor, rollout_id=rollout_id)
    require_unchanged(rollout, expected)
    _require_state(rollout, "paused", RolloutState.RUNNING)
    return hold(actor, rollout, reason or f"{actor.label} paused it.")


@transaction.atomic
def resume_rollout(
    *,
    actor: Actor,
    rollout_id: str,
    skip_gate: bool = False,
    skip_blocked: bool = False,
    expected: str | None = None,
) -> Rollout:
    """Let a paused rollout go on in the actor's name; the gate watches the last wave anew, from now on.

    `skip_gate` goes on at once, without the gate's word on that wave; where there is no gate it says nothing. `skip_blocked` leaves out what is blocked, from now on.
    Raises NotFound, Stale and Conflict (`ROLLOUT_STATE`).
    """
    rollout = lock_rollout(actor=actor, rollout_id=rollout_id)
    require_unchanged(rollout, expected)
    _require_state(rollout, "resumed", RolloutState.PAUSED)
    wave = last_wave(rollout)
    now = timezone.now()
    if wave is not None and rollout.gate and wave.verdict not in (Verdict.PASS, Verdict.OVERRIDDEN):
        wave.watched_from = minute_of(now) + timedelta(minutes=1)  # what this minute holds already is not of after
        wave.verdict = Verdict.OVERRIDDEN if skip_gate else Verdict.NONE
        wave.verdict_reason = f"{actor.label} went on without the gate." if skip_gate else ""
        wave.save(update_fields=["watched_from", "verdict", "verdict_reason"])
    rollout.skip_blocked = rollout.skip_blocked or skip_blocked
    rollout.runs_for = facts_of(actor)
    return _move_to(actor, rollout, RolloutState.RUNNING, reason="", next_at=now)


@transaction.atomic
def abort_rollout(*, actor: Actor, rollout_id: str, reason: str = "", expected: str | None = None) -> Rollout:
    """End a rollout for good: what has moved stays there, what waits stays where it is.

    Raises NotFound, Stale and Conflict (`ROLLOUT_STATE`).
    """
    rollout = lock_rollout(actor=actor, rollout_id=rollout_id)
    require_unchanged(rollout, expected)
    _require_state(rollout, "aborted", *ACTIVE)
    return finish(actor, rollout, RolloutState.ABORTED, reason or f"{actor.label} aborted it.")


@transaction.atomic
def discard_plan(*, actor: Actor, rollout_id: str, expected: str | None = None) -> None:
    """Delete a plan that was never started; whatever was started is kept for good.

    Raises NotFound, Stale and Conflict (`ROLLOUT_STATE`).
    """
    rollout = lock_rollout(actor=actor, rollout_id=rollout_id)
    require_unchanged(rollout, expected)
    _require_state(rollout, "discarded", RolloutState.PLANNED)
    record(actor, "rollout.discarded", rollout, {"plan_hash": (rollout.plan_hash, None)})
    rollout.delete()


def lock_rollout(*, actor: Actor, rollout_id: str) -> Rollout:
    """The rollout, locked against every other change until the transaction ends. Raises NotFound."""
    rollouts = Rollout.objects.in_organisation(actor.organisation_id).locked().filter(pk=rollout_id)
    rollout = rollouts.select_related("template", "revision").first()
    if rollout is None:
        raise NotFound(MISSING)
    return rollout


def begin(actor: Actor, rollout: Rollout) -> Rollout:
    """Start a locked plan that may be started. Raises Conflict (`ROLLOUT_ACTIVE`) where another one was quicker."""
    rollout.started_at = timezone.now()
    rollout.runs_for = facts_of(actor)
    try:
        with transaction.atomic():
            return _move_to(actor, rollout, RolloutState.RUNNING, reason="", next_at=rollout.started_at)
    except IntegrityError as error:
        if "one_active_rollout_per_template" not in str(error) and "pipelines_rollout.template_id" not in str(error):
            raise
        raise _active(None) from None


def hold(actor: Actor, rollout: Rollout, reason: str) -> Rollout:
    """Pause a locked rollout that runs."""
    return _move_to(actor, rollout, RolloutState.PAUSED, reason=reason, next_at=None)


def finish(actor: Actor, rollout: Rollout, state: RolloutState, reason: str = "") -> Rollout:
    """End a locked rollout, and keep which of its pins somebody else has changed meanwhile."""
    targets = RolloutTarget.objects.filter(rollout=rollout)
    upper = applied_upper(rollout)
    targets.moving().between(0, upper).astray(moved=True).update(detached=True)
    targets.moving().filter(position__gt=upper).astray(moved=False).update(detached=True)
    rollout.finished_at = timezone.now()
    return _move_to(actor, rollout, state, reason=reason, next_at=None)


def last_wave(rollout: Rollout) -> RolloutWave | None:
    """The wave that was applied last."""
    return rollout.waves.exclude(applied_at=None).order_by("-number").first()


def applied_upper(rollout: Rollout) -> int:
    """The last position that a wave has reached."""
    wave = last_wave(rollout)
    return wave.upper if wave else 0


def facts_of(actor: Actor) -> dict[str, str]:
    return {"type": actor.type.value, "id": actor.id, "label": actor.label}


def runner(rollout: Rollout) -> Actor:
    """In whose name waves are applied: who started the rollout, or resumed it last."""
    facts = rollout.runs_for or {}  # the database keeps them from the start on
    return Actor(ActorType(facts["type"]), facts["id"], facts["label"], rollout.organisation_id, Role.EDITOR)


def require_no_active(template: Template) -> None:
    """Raises Conflict (`ROLLOUT_ACTIVE`) that names the rollout which moves this template's pins already."""
    active = Rollout.objects.filter(template=template).active().first()
    if active is not None:
        raise _active(active.pk)


def _active(rollout_id: str | None) -> Conflict:
    which = f"{rollout_id} is active" if rollout_id else "another one has just been started"
    message = f"A template has one active rollout at a time, and {which}. Wait for its end, or abort it."
    return Conflict(message, [Detail("id", "active", message)], code="ROLLOUT_ACTIVE")


def _lock_template(rollout: Rollout) -> None:
    list(Template.objects.filter(pk=rollout.template_id).locked())


def _require_state(rollout: Rollout, verb: str, *states: str) -> None:
    if rollout.state not in states:
        message = f"This rollout is {rollout.state}, and only one that is {' or '.join(states)} can be {verb}."
        raise Conflict(message, [Detail("state", "wrong_state", message)], code="ROLLOUT_STATE")


def aim_of(rollout: Rollout) -> Aim:
    """What a plan was made from, as it stands now."""
    revision = Revision.objects.with_config().get(pk=rollout.revision_id)
    return Aim(revision, Selection.from_json(rollout.selection))


def _require_as_planned(rollout: Rollout) -> None:
    changes = changes_since(rollout, aim_of(rollout), NAMED)
    if changes:
        said = " ".join(change.message for change in changes[:3])
        more = f" There is more: {len(changes)} in all." if len(changes) > 3 else ""
        message = (
            f"Nothing has been started, because something changed since this was planned. {said}{more} Plan again."
        )
        raise Conflict(message, changes, code="PLAN_CHANGED")


def _require_startable(rollout: Rollout, skip_blocked: bool) -> None:
    targets = RolloutTarget.objects.filter(rollout=rollout)
    blocked = targets.filter(outcome=Outcome.BLOCKED)
    if not skip_blocked and (count := blocked.count()):
        named = blocked.select_related("pipeline").order_by("position")[:NAMED]
        details = [
            Detail(target.pin_id, reason["code"], f"{target.pipeline.name}: {reason['message']}")
            for target in named
            for reason in target.reasons
        ]
        message = f"{_pipelines(count)} blocked. Mend what stands in the way and plan again, or skip what is blocked."
        raise Conflict(message, details, code="ROLLOUT_BLOCKED")
    if not rollout.wave_count:
        raise Conflict("There is nothing to move: no pipeline of this plan moves.", code="NOTHING_MOVES")


def _pipelines(count: int) -> str:
    return "1 pipeline is" if count == 1 else f"{count:,} pipelines are"


def _move_to(actor: Actor, rollout: Rollout, state: RolloutState, *, reason: str, next_at: datetime | None) -> Rollout:
    """The one place where a rollout's state changes; which changes there are at all, the database holds too."""
    before = rollout.state
    rollout.state, rollout.reason, rollout.next_at = state, reason, next_at
    rollout.row_version += 1
    rollout.save()
    verb = "started" if before == RolloutState.PLANNED else "resumed" if state == RolloutState.RUNNING else str(state)
    changes = {"state": (str(before), str(state))} | ({"reason": ("", reason)} if reason else {})
    record(actor, f"rollout.{verb}", rollout, changes)
    return rollout
