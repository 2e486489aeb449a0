"""Going back: each pin returns to where the rollout took it from, if it still stands where it was put."""

import pytest

from accounts.errors import Conflict
from accounts.models import AuditEntry, Organisation
from integrations.models import Status
from integrations.revisions import set_status
from integrations.templates import update_template
from pipelines.models import HistoryEntry, Pin, Rollout, RolloutTarget
from pipelines.parameters import change_parameters
from pipelines.pins import remove_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.progress import targets_of
from pipelines.rollouts.reverts import revert_rollout
from tests.factories import wishes
from tests.pipelines.rollouts.fleets import GA4, Fleet, fleet_of, in_waves
from tests.pipelines.rollouts.test_moving import EVERYBODY, standing
from tests.pipelines.traces import kept, version_of


def revert(fleet: Fleet, rollout: Rollout) -> Rollout:
    """Taken back, and applied."""
    return advance(revert_rollout(actor=fleet.actor, rollout_id=rollout.pk).pk)


def test_every_pin_returns_to_where_it_came_from(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=3)
    for number in (1, 2, 1, 3):
        fleet.add(number=number, parameters=wishes(ga4="G-1"))
    rollout = fleet.run()
    assert fleet.numbers() == [3, 3, 3, 3]
    before = version_of(organisation)
    back = revert(fleet, rollout)
    assert (back.state, standing(back), fleet.numbers()) == ("done", {"moved": 3}, [1, 2, 1, 3])
    assert version_of(organisation) == before + 1
    assert HistoryEntry.objects.filter(version=back.waves.get().version).count() == 3
    assert AuditEntry.objects.filter(action="rollout.started", resource_id=back.pk).exists()


def test_what_somebody_moved_on_is_superseded_and_left_alone(organisation: Organisation) -> None:
    fleet = fleet_of(3, organisation, revisions=3)
    rollout = advance(fleet.start(fleet.plan(revision="2")).pk)
    fleet.change(fleet.pins[0], revision_id=fleet.revision(3).pk)
    gone = fleet.pins.pop()
    remove_pin(actor=fleet.actor, pipeline_id=gone.pipeline_id, pin_id=gone.pk)
    back = revert(fleet, rollout)
    assert (standing(back), fleet.numbers()) == ({"moved": 1, "superseded": 2}, [3, 1])


def test_a_pin_that_somebody_else_moved_during_the_rollout_is_not_taken_back(organisation: Organisation) -> None:
    """The rollout never moved it, though it stands where the rollout would have put it."""
    fleet = fleet_of(2, organisation)
    rollout = advance(fleet.start(fleet.plan(schedule=in_waves("1,100%"))).pk)
    waiting = targets_of(rollout, "waiting").get()
    by_hand = next(pin for pin in fleet.pins if pin.pk == waiting.pin_id)
    fleet.change(by_hand, revision_id=fleet.revision(2).pk)
    assert standing(advance(rollout.pk)) == {"moved": 1, "detached": 1}
    back = revert(fleet, rollout)
    assert standing(back) == {"moved": 1, "superseded": 1}
    by_hand.refresh_from_db()
    assert by_hand.revision_id == fleet.revision(2).pk


def test_why_nothing_can_be_taken_back_is_told(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.run()
    update_template(actor=fleet.actor, template_id=fleet.template.pk, archived=True)
    with pytest.raises(Conflict) as caught:
        revert_rollout(actor=fleet.actor, rollout_id=rollout.pk)
    assert [(detail.code, detail.message) for detail in caught.value.details] == [
        ("archived", "The template is archived: unarchive it first.")
    ]


def test_a_pin_that_was_only_turned_off_goes_back_and_stays_off(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation)
    rollout = fleet.run()
    fleet.change(fleet.pins[0], enabled=False)
    revert(fleet, rollout)
    pin = Pin.objects.get()
    assert (pin.revision.number, pin.enabled) == (1, False)


def test_what_could_not_run_its_earlier_config_is_revert_blocked(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation, revisions=1)
    fleet.revise({**GA4, "measurement_id": "G-9"})
    rollout = fleet.run()
    lost = fleet.pins[0]
    change_parameters(actor=fleet.actor, pipeline_id=lost.pipeline_id, wishes=wishes({"ga4": None}))
    back = revert(fleet, rollout)
    assert (back.state, standing(back), fleet.numbers()) == ("done", {"moved": 1, "revert_blocked": 1}, [2, 1])
    blocked = RolloutTarget.objects.get(rollout=back, outcome="revert_blocked")
    assert (blocked.pin_id, [reason["code"] for reason in blocked.reasons]) == (lost.pk, ["missing_parameter"])


def test_a_pin_that_is_off_goes_back_even_to_what_would_not_run(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=1)
    fleet.add(enabled=False)
    fleet.revise({**GA4, "measurement_id": "G-9"})
    rollout = fleet.run(EVERYBODY)
    assert Pin.objects.get().resolvable is True
    revert(fleet, rollout)
    pin = Pin.objects.get()
    assert (pin.revision.number, pin.resolvable) == (1, False)


def test_a_retired_earlier_revision_is_revert_blocked(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=3)
    fleet.add(number=1, parameters=wishes(ga4="G-1"))
    fleet.add(number=2, parameters=wishes(ga4="G-1"))
    rollout = fleet.run()
    set_status(actor=fleet.actor, template_id=fleet.template.pk, revision="1", status=Status.RETIRED, reason="Leaks.")
    back = revert(fleet, rollout)
    assert (standing(back), fleet.numbers()) == ({"moved": 1, "revert_blocked": 1}, [3, 2])


def test_a_rollout_half_way_is_aborted_and_only_what_moved_goes_back(organisation: Organisation) -> None:
    fleet = fleet_of(5, organisation)
    rollout = advance(fleet.start(fleet.plan(schedule=in_waves("2,100%"))).pk)
    back = revert(fleet, rollout)
    rollout.refresh_from_db()
    assert (rollout.state, rollout.reason) == ("aborted", "tests took it back.")
    assert (standing(back), fleet.numbers()) == ({"moved": 2}, [1] * 5)


def test_a_revert_can_be_reverted(organisation: Organisation) -> None:
    fleet = fleet_of(3, organisation)
    first = fleet.run()
    back = revert(fleet, first)
    again = revert(fleet, back)
    assert (fleet.numbers(), again.reverts_id, back.reverts_id) == ([2, 2, 2], back.pk, first.pk)
    assert str(again) == f"{fleet.template.name} takes {back.pk} back"


def test_a_second_revert_finds_everything_superseded(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.run()
    revert(fleet, rollout)
    before = kept()
    with pytest.raises(Conflict) as caught:
        revert_rollout(actor=fleet.actor, rollout_id=rollout.pk)
    assert caught.value.code == "NOTHING_MOVES"
    assert kept() == before
    assert Rollout.objects.count() == 2


def test_a_revert_waits_for_another_rollout_of_the_template(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation, revisions=3)
    first = advance(fleet.start(fleet.plan(revision="2")).pk)
    fleet.start(fleet.plan(revision="3"))
    with pytest.raises(Conflict) as caught:
        revert_rollout(actor=fleet.actor, rollout_id=first.pk)
    assert caught.value.code == "ROLLOUT_ACTIVE"
