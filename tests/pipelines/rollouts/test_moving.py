"""Applying waves: whole or not at all, in constant statements, with history, audit and one version each."""

from typing import Any

import pytest

from accounts.models import AuditEntry, Organisation
from integrations.models import Status
from integrations.revisions import set_status
from pipelines.configs import config_at, current_config
from pipelines.models import (
    ConfigurationHead,
    ConfigurationVersion,
    HistoryEntry,
    Parameter,
    Pin,
    Pipeline,
    Rollout,
    RolloutTarget,
)
from pipelines.parameters import change_parameters
from pipelines.pins import remove_pin
from pipelines.registry import update_pipeline
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import resume_rollout
from pipelines.rollouts.progress import count_targets, targets_of
from pipelines.rollouts.selection import Selection
from tests.factories import wishes
from tests.pipelines.rollouts.fleets import GA4, Fleet, fleet_of, in_waves
from tests.pipelines.traces import counts, grown, version_of
from tests.queries import Queries, assert_same_queries, count_queries

EVERYBODY = Selection(include_disabled=True)


def standing(rollout: Rollout) -> dict[str, int]:
    """How many targets stand how, where any do."""
    return {name: count for name, count in count_targets(rollout).items() if count}


def test_waves_move_one_after_the_other_and_the_counts_add_up_all_the_while(organisation: Organisation) -> None:
    fleet = fleet_of(10, organisation)
    rollout = fleet.start(fleet.plan(schedule=in_waves("1,30%,100%")))
    seen = [standing(rollout)]
    for _ in range(3):
        rollout = advance(rollout.pk)
        seen.append(standing(rollout))
    assert seen == [{"waiting": 10}, {"moved": 1, "waiting": 9}, {"moved": 3, "waiting": 7}, {"moved": 10}]
    assert (rollout.state, rollout.waves_applied, rollout.next_at) == ("done", 3, None)
    assert fleet.numbers() == [2] * 10
    assert list(rollout.waves.values_list("number", "size", "moved")) == [(1, 1, 1), (2, 2, 2), (3, 7, 7)]


def test_a_wave_leaves_a_line_of_history_for_each_pin_one_version_and_one_audit_entry(
    organisation: Organisation,
) -> None:
    fleet = fleet_of(3, organisation)
    started = fleet.start(fleet.plan())
    before = counts()

    rollout = advance(started.pk)

    assert grown(before) == {"history": 3, "versions": 1, "audit": 2}
    version = ConfigurationVersion.objects.get(number=version_of(organisation))
    assert rollout.waves.get().version == version
    assert (version.actor, version.organisation_id) == (rollout.runs_for, organisation.pk)
    one, two = fleet.revision(1).pk, fleet.revision(2).pk
    lines = HistoryEntry.objects.filter(version=version)
    assert set(lines.values_list("pipeline_id", "subject", "subject_id", "secret")) == {
        (pin.pipeline_id, "pin", pin.pk, False) for pin in fleet.pins
    }
    assert set(lines.values_list("before_revision", "after_revision", "before_enabled", "after_enabled")) == {
        (one, two, True, True)
    }
    assert set(Pipeline.objects.filter(pins__in=fleet.pins).values_list("changed_in", flat=True)) == {version.pk}
    entry = AuditEntry.objects.get(action="rollout.wave_applied")
    assert entry.changes == {"waves_applied": {"old": 0, "new": 1}, "moved": {"old": None, "new": 3}}
    assert (entry.resource_type, entry.resource_id) == ("rollout", rollout.pk)


def test_what_runs_and_what_ran_follow_the_wave(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    pipeline = fleet.pins[0].pipeline
    number = version_of(organisation)
    fleet.run()
    (now,), (then,) = current_config(pipeline).integrations, config_at(pipeline, number).integrations
    assert (now.revision.number, then.revision.number) == (2, 1)
    assert (now.config["measurement_id"], now.state) == ("G-1", "ok")


def test_a_pin_is_new_to_whoever_saw_it_before_the_wave(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation)
    before = fleet.pins[0]
    fleet.run()
    after = Pin.objects.get()
    assert after.row_version == before.row_version + 1
    assert after.updated_at > before.updated_at
    assert (after.enabled, after.created_at) == (before.enabled, before.created_at)


def test_disabled_pins_move_where_asked_and_say_whether_they_could_run(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=1, config={**GA4, "measurement_id": "G-9"})
    fleet.add(enabled=False, parameters=wishes(ga4="G-1"))
    fleet.add(enabled=False)
    fleet.revise(GA4)
    assert fleet.run(EVERYBODY).state == "done"
    assert fleet.numbers() == [2, 2]
    found = {pin.pk: (pin.enabled, pin.resolvable) for pin in Pin.objects.all()}
    assert [found[pin.pk] for pin in fleet.pins] == [(False, True), (False, False)]


def test_a_pin_changed_by_hand_is_detached_and_left_alone(organisation: Organisation) -> None:
    fleet = fleet_of(4, organisation, revisions=3)
    rollout = fleet.start(fleet.plan(schedule=in_waves("2,100%"), revision="2"))
    advance(rollout.pk)
    moved = list(targets_of(rollout, "moved").values_list("pin_id", flat=True))
    waiting = list(targets_of(rollout, "waiting").values_list("pin_id", flat=True))
    by_id = {pin.pk: pin for pin in fleet.pins}
    fleet.change(by_id[moved[0]], revision_id=fleet.revision(3).pk)
    fleet.change(by_id[waiting[0]], enabled=False)

    assert standing(rollout) == {"moved": 1, "waiting": 1, "detached": 2}
    assert {target.pin_id for target in targets_of(rollout, "detached")} == {moved[0], waiting[0]}
    done = advance(rollout.pk)

    assert (done.state, standing(done)) == ("done", {"moved": 2, "detached": 2})
    left = Pin.objects.get(pk=waiting[0])
    assert (left.revision.number, left.enabled) == (1, False)
    assert Pin.objects.get(pk=moved[0]).revision.number == 3
    assert done.waves.get(number=2).moved == 1


def test_what_became_of_a_rollout_stays_as_it_was_at_its_end(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.run()
    fleet.change(fleet.pins[0], enabled=False)
    assert standing(rollout) == {"moved": 2}


def test_a_removed_pin_is_detached(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.start(fleet.plan())
    gone = fleet.pins[0]
    remove_pin(actor=fleet.actor, pipeline_id=gone.pipeline_id, pin_id=gone.pk)
    done = advance(rollout.pk)
    assert (done.state, standing(done)) == ("done", {"moved": 1, "detached": 1})


def test_a_wave_whose_pins_are_all_gone_takes_no_version(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation)
    rollout = fleet.start(fleet.plan())
    fleet.change(fleet.pins[0], enabled=False)
    number = version_of(organisation)
    assert advance(rollout.pk).state == "done"
    assert version_of(organisation) == number
    wave = rollout.waves.get()
    assert (wave.moved, wave.version) == (0, None)


def lose_a_parameter_between_waves(organisation: Organisation) -> tuple[Fleet, Rollout]:
    """A rollout of four, of which one has moved, and one of the others could not run the revision by now."""
    fleet = fleet_of(4, organisation, revisions=1, config={**GA4, "measurement_id": "G-9"})
    fleet.revise(GA4)
    rollout = fleet.start(fleet.plan(schedule=in_waves("1,100%")))
    rollout = advance(rollout.pk)
    waiting = targets_of(rollout, "waiting").first()
    assert waiting is not None
    change_parameters(actor=fleet.actor, pipeline_id=waiting.pipeline_id, wishes=wishes({"ga4": None}))
    return fleet, rollout


def test_a_wave_of_which_something_could_not_run_by_now_is_held_whole(organisation: Organisation) -> None:
    fleet, rollout = lose_a_parameter_between_waves(organisation)
    before = counts()

    held = advance(rollout.pk)

    assert held.state == "paused"
    lost = Parameter.objects.values("pipeline")
    name = Pipeline.objects.filter(pins__in=fleet.pins).exclude(pk__in=lost).get().name
    assert held.reason == (
        "Wave 2 has not been applied, because by now some of its pipelines could not run the revision. "
        f"{name}: Set the parameter ga4 on this pipeline: the config needs it. "
        "Mend that and resume, or resume and skip what is blocked."
    )
    assert grown(before) == {"history": 0, "versions": 0, "audit": 1}
    assert sorted(fleet.numbers()) == [1, 1, 1, 2]


def test_a_held_wave_goes_on_when_it_is_mended(organisation: Organisation) -> None:
    fleet, rollout = lose_a_parameter_between_waves(organisation)
    advance(rollout.pk)
    lacking = Pipeline.objects.filter(pins__in=fleet.pins, parameters=None).get()
    change_parameters(actor=fleet.actor, pipeline_id=lacking.pk, wishes=wishes(ga4="G-7"))
    resume_rollout(actor=fleet.actor, rollout_id=rollout.pk)
    assert advance(rollout.pk).state == "done"
    assert fleet.numbers() == [2] * 4


def test_a_held_wave_goes_on_without_what_is_blocked_where_that_is_said(organisation: Organisation) -> None:
    fleet, rollout = lose_a_parameter_between_waves(organisation)
    advance(rollout.pk)
    resume_rollout(actor=fleet.actor, rollout_id=rollout.pk, skip_blocked=True)
    done = advance(rollout.pk)
    assert (done.state, standing(done)) == ("done", {"moved": 3, "blocked": 1})
    blocked = targets_of(done, "blocked").get()
    assert [reason["code"] for reason in blocked.reasons] == ["missing_parameter"]
    assert sorted(fleet.numbers()) == [1, 2, 2, 2]


def test_a_revision_retired_between_waves_holds_the_next(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.start(fleet.plan(schedule=in_waves("1,100%")))
    advance(rollout.pk)
    set_status(
        actor=fleet.actor, template_id=fleet.template.pk, revision="2", status=Status.RETIRED, reason="It leaks."
    )
    held = advance(rollout.pk)
    assert (held.state, held.reason) == (
        "paused",
        "Wave 2 has not been applied. Revision 2 is retired: choose another revision. It leaks.",
    )
    assert sorted(fleet.numbers()) == [1, 2]


@pytest.mark.parametrize(
    ("how", "state", "left"),
    [({}, "paused", {"moved": 1, "waiting": 2}), ({"skip_blocked": True}, "done", {"moved": 2, "blocked": 1})],
)
def test_a_pipeline_disabled_between_waves_holds_the_next_or_is_left_out(
    organisation: Organisation, how: dict[str, bool], state: str, left: dict[str, int]
) -> None:
    fleet = fleet_of(3, organisation)
    rollout = advance(fleet.start(fleet.plan(schedule=in_waves("1,100%")), **how).pk)
    waiting = targets_of(rollout, "waiting").first()
    assert waiting is not None
    update_pipeline(actor=fleet.actor, pipeline_id=waiting.pipeline_id, fields={"enabled": False})
    held = advance(rollout.pk)
    assert (held.state, standing(held)) == (state, left)
    if state == "paused":
        assert held.reason == (
            "Wave 2 has not been applied: 1 of its pipelines is disabled by now. "
            "Enable, or resume and skip what is blocked."
        )


def test_the_soak_lies_between_waves_and_not_after_the_last(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.start(fleet.plan(schedule=in_waves("1,100%", soak_seconds=600)))
    first = advance(rollout.pk)
    wave = first.waves.get(number=1)
    assert first.next_at is not None
    assert wave.applied_at is not None
    assert (first.next_at - wave.applied_at).total_seconds() == 600
    assert advance(rollout.pk).waves_applied == 1  # it is not due
    Rollout.objects.filter(pk=rollout.pk).update(next_at=first.created_at)
    assert advance(rollout.pk).waves_applied == 1  # looked at too early, it waits on
    first.waves.filter(number=1).update(watched_from=first.created_at.replace(year=2025))
    Rollout.objects.filter(pk=rollout.pk).update(next_at=first.created_at)
    assert advance(rollout.pk).state == "done"


@pytest.mark.parametrize("config", [GA4, {"measurement_id": "G-9", "api_secret": "s"}])
def test_a_wave_takes_the_same_statements_however_many_pins_it_moves(
    organisation: Organisation, config: dict[str, str]
) -> None:
    def applying(size: int) -> Queries:
        fleet = fleet_of(size, organisation, config=config)
        rollout = fleet.start(fleet.plan())
        with count_queries() as queries:
            assert advance(rollout.pk).state == "done"
        return queries

    few, many = applying(2), applying(40)
    assert_same_queries(few, many)
    assert len(few) <= 27, str(few)


def test_planning_starting_and_counting_take_the_same_statements_at_any_size(organisation: Organisation) -> None:
    def doing(size: int) -> Queries:
        fleet = fleet_of(size, organisation)
        with count_queries() as queries:
            rollout = fleet.start(fleet.plan(schedule=in_waves("1,100%")))
            count_targets(rollout)
        return queries

    assert_same_queries(doing(3), doing(40))


def test_other_templates_and_organisations_stay_as_they_are(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    fleet, beside, foreign = fleet_of(2, organisation), fleet_of(1, organisation), fleet_of(1, other_organisation)
    number = version_of(other_organisation)
    fleet.run()
    assert (beside.numbers(), foreign.numbers(), version_of(other_organisation)) == ([1], [1], number)
    assert ConfigurationHead.objects.get(pk=organisation.pk).number == version_of(organisation)


def test_a_plan_that_was_blocked_in_part_moves_the_rest_where_that_is_said(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=1, config={**GA4, "measurement_id": "G-9"})
    fleet.add(parameters=wishes(ga4="G-1"))
    fleet.add()
    fleet.revise(GA4)
    rollout = fleet.plan()
    assert RolloutTarget.objects.filter(rollout=rollout, outcome="blocked").count() == 1
    done = advance(fleet.start(rollout, skip_blocked=True).pk)
    assert (done.state, standing(done), fleet.numbers()) == ("done", {"moved": 1, "blocked": 1}, [2, 1])


def test_what_is_counted_is_of_one_moment_whatever_a_worker_did_since_the_rollout_was_read(
    organisation: Organisation,
) -> None:
    fleet = fleet_of(4, organisation)
    read_before = fleet.start(fleet.plan(schedule=in_waves("1,100%")))
    advance(read_before.pk)
    assert standing(read_before) == {"moved": 1, "waiting": 3}
    shown: Any = targets_of(read_before)  # the stubs forget what that annotates
    assert [target.standing for target in shown] == ["moved", *["waiting"] * 3]
