"""Starting, pausing, resuming, aborting: who may follow whom, and what is kept of it."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from accounts.errors import Conflict, NotFound, Stale
from accounts.models import AuditEntry, Organisation
from pipelines.models import Rollout, RolloutTarget
from pipelines.rollouts.driving import advance, advance_if_free, due_rollouts
from pipelines.rollouts.lifecycle import abort_rollout, discard_plan, pause_rollout, resume_rollout, start_rollout
from pipelines.rollouts.progress import count_targets
from pipelines.rollouts.reverts import revert_rollout
from pipelines.rollouts.worker import forget_old_plans, work_through
from tests.factories import actor_of, system, wishes
from tests.pipelines.rollouts.fleets import GA4, Fleet, fleet_of, in_waves
from tests.pipelines.rollouts.refusals import refusing_history_of
from tests.pipelines.test_concurrency import together
from tests.pipelines.traces import kept

Action = Callable[..., Any]
ACTIONS: dict[str, Action] = {
    "start": start_rollout,
    "pause": pause_rollout,
    "resume": resume_rollout,
    "abort": abort_rollout,
    "discard": discard_plan,
    "revert": revert_rollout,
}
ALLOWED = {
    "planned": {"start", "discard"},
    "running": {"pause", "abort", "revert"},
    "paused": {"resume", "abort", "revert"},
    "done": {"revert"},
    "aborted": {"revert"},
}


def rollout_in(state: str, organisation: Organisation) -> tuple[Fleet, Rollout]:
    """A rollout of three, of which the first wave has moved one unless it is a plan."""
    fleet = fleet_of(3, organisation)
    rollout = fleet.plan(schedule=in_waves("1,100%"))
    if state == "planned":
        return fleet, rollout
    rollout = advance(fleet.start(rollout).pk)
    if state == "paused":
        rollout = pause_rollout(actor=fleet.actor, rollout_id=rollout.pk)
    if state == "aborted":
        rollout = abort_rollout(actor=fleet.actor, rollout_id=rollout.pk)
    if state == "done":
        rollout = advance(rollout.pk)
    return fleet, rollout


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", ALLOWED)
def test_each_state_allows_what_it_allows_and_refuses_the_rest(
    organisation: Organisation, state: str, action: str
) -> None:
    fleet, rollout = rollout_in(state, organisation)
    assert rollout.state == state
    before = kept()

    def act() -> Any:
        return ACTIONS[action](actor=fleet.actor, rollout_id=rollout.pk)

    if action in ALLOWED[state]:
        act()
        return
    with pytest.raises(Conflict) as caught:
        act()
    assert caught.value.code in ("ROLLOUT_STATE", "NOTHING_MOVES")
    assert kept() == before
    rollout.refresh_from_db()
    assert rollout.state == state


@pytest.mark.parametrize("action", ACTIONS)
def test_another_organisations_rollout_is_not_there(
    organisation: Organisation, other_organisation: Organisation, action: str
) -> None:
    _, rollout = rollout_in("running", organisation)
    before = kept()
    with pytest.raises(NotFound):
        ACTIONS[action](actor=system(other_organisation), rollout_id=rollout.pk)
    assert kept() == before


@pytest.mark.parametrize("action", ["pause", "abort", "revert"])
def test_who_saw_another_state_is_told_so(organisation: Organisation, action: str) -> None:
    fleet, rollout = rollout_in("running", organisation)
    seen = f'"{rollout.tag}"'
    advance(rollout.pk)
    before = kept()
    with pytest.raises(Stale):
        ACTIONS[action](actor=fleet.actor, rollout_id=rollout.pk, expected=seen)
    assert kept() == before


def test_nothing_moves_while_it_is_paused(organisation: Organisation) -> None:
    fleet, rollout = rollout_in("paused", organisation)
    assert due_rollouts() == []
    assert advance_if_free(rollout.pk) is None
    assert advance(rollout.pk).waves_applied == 1
    assert sorted(fleet.numbers()) == [1, 1, 2]


def test_an_aborted_rollout_leaves_everything_where_it_is(organisation: Organisation) -> None:
    fleet, rollout = rollout_in("aborted", organisation)
    assert due_rollouts() == []
    assert (rollout.reason, sorted(fleet.numbers())) == ("tests aborted it.", [1, 1, 2])
    assert {name: count for name, count in count_targets(rollout).items() if count} == {"moved": 1, "waiting": 2}


def test_waves_are_applied_in_the_name_of_who_started_or_resumed_it(
    organisation: Organisation, editor_user: Any, admin_user: Any
) -> None:
    fleet = fleet_of(3, organisation)
    plan = fleet.plan(schedule=in_waves("1,100%"))
    rollout = start_rollout(actor=actor_of(editor_user), rollout_id=plan.pk)
    advance(rollout.pk)
    pause_rollout(actor=actor_of(admin_user), rollout_id=rollout.pk, reason="Let us wait.")
    resume_rollout(actor=actor_of(admin_user), rollout_id=rollout.pk)
    done = advance(rollout.pk)
    names = [wave.version and wave.version.actor_label for wave in done.waves.order_by("number")]
    assert names == ["editor@acme.example", "admin@acme.example"]
    told = AuditEntry.objects.filter(resource_id=rollout.pk).order_by("pk").values_list("action", "actor_label")
    assert list(told) == [
        ("rollout.planned", "tests"),
        ("rollout.started", "editor@acme.example"),
        ("rollout.wave_applied", "editor@acme.example"),
        ("rollout.paused", "admin@acme.example"),
        ("rollout.resumed", "admin@acme.example"),
        ("rollout.wave_applied", "admin@acme.example"),
        ("rollout.done", "admin@acme.example"),
    ]


def test_skipping_a_gate_that_is_not_there_says_nothing_and_keeps_the_soak(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = advance(fleet.start(fleet.plan(schedule=in_waves("1,100%", soak_seconds=3600))).pk)
    pause_rollout(actor=fleet.actor, rollout_id=rollout.pk)
    resume_rollout(actor=fleet.actor, rollout_id=rollout.pk, skip_gate=True)
    assert advance(rollout.pk).waves_applied == 1
    assert rollout.waves.get(number=1).verdict == ""


def test_a_template_has_one_active_rollout(organisation: Organisation) -> None:
    fleet, rollout = rollout_in("paused", organisation)
    second = fleet.plan()
    before = kept()
    with pytest.raises(Conflict) as caught:
        fleet.start(second, skip_blocked=True)
    assert caught.value.code == "ROLLOUT_ACTIVE"
    assert rollout.pk in caught.value.message
    assert kept() == before


def test_of_two_who_start_at_the_same_moment_one_does(committed_db: str, organisation: Organisation) -> None:
    fleet = fleet_of(4, organisation)
    plans = [fleet.plan(), fleet.plan()]
    answers = together(*(lambda plan=plan: fleet.start(plan).state for plan in plans))
    assert sorted(answers) == ["ROLLOUT_ACTIVE", "running"]
    assert Rollout.objects.active().count() == 1


def test_blocked_pipelines_refuse_the_start_by_name_unless_they_are_skipped(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=1, config={**GA4, "measurement_id": "G-9"})
    fleet.add(name="Lacking")
    fleet.add(name="Ready", parameters=wishes(ga4="G-1"))
    fleet.revise(GA4)
    plan = fleet.plan()
    before = kept()
    with pytest.raises(Conflict) as caught:
        fleet.start(plan)
    assert (caught.value.code, [detail.message for detail in caught.value.details]) == (
        "ROLLOUT_BLOCKED",
        ["Lacking: Set the parameter ga4 on this pipeline: the config needs it."],
    )
    assert kept() == before
    assert fleet.start(plan, skip_blocked=True).state == "running"


def test_a_plan_that_moves_nothing_cannot_be_started(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    with pytest.raises(Conflict) as caught:
        fleet.start(fleet.plan(revision="1"))
    assert caught.value.code == "NOTHING_MOVES"


def test_a_step_that_cannot_be_done_pauses_the_rollout_with_the_reason(
    organisation: Organisation, settings: Any
) -> None:
    """Another rollout's step is not held up by it."""
    fleet = fleet_of(1, organisation, config={**GA4, "api_secret": "sealed"})
    rollout = fleet.start(fleet.plan())
    settings.PINION_SECRET_KEYS = {"other": b"0" * 32}
    held = advance(rollout.pk)
    assert held.state == "paused"
    assert "is not in PINION_SECRET_KEYS" in held.reason
    assert fleet.numbers() == [1]


def test_a_discarded_plan_is_gone_with_its_targets(organisation: Organisation) -> None:
    fleet, rollout = rollout_in("planned", organisation)
    discard_plan(actor=fleet.actor, rollout_id=rollout.pk)
    assert (Rollout.objects.count(), RolloutTarget.objects.count()) == (0, 0)
    assert AuditEntry.objects.filter(action="rollout.discarded", resource_id=rollout.pk).count() == 1


def test_plans_that_nobody_starts_within_a_week_are_forgotten(organisation: Organisation) -> None:
    fleet, old = rollout_in("planned", organisation)
    _, started = rollout_in("running", organisation)
    fresh = fleet.plan()
    long_ago = old.created_at.replace(year=2025)
    Rollout.objects.filter(pk__in=[old.pk, started.pk]).update(created_at=long_ago)
    forget_old_plans()
    assert set(Rollout.objects.values_list("pk", flat=True)) == {started.pk, fresh.pk}


def test_a_step_that_fails_in_the_database_holds_up_no_other_rollout(
    committed_db: str, organisation: Organisation
) -> None:
    """The first in line meets what no repetition mends; the one behind it moves all the same."""
    broken, sound = fleet_of(1, organisation), fleet_of(1, organisation)
    first, second = broken.start(broken.plan()), sound.start(sound.plan())
    with refusing_history_of(broken.pins[0].pk):
        failed = work_through(Event())
    states = [Rollout.objects.get(pk=rollout.pk).state for rollout in (first, second)]
    assert (failed, states) == (True, ["running", "done"])
    assert (broken.numbers(), sound.numbers()) == ([1], [2])
    assert work_through(Event()) is False
    assert broken.numbers() == [2]
