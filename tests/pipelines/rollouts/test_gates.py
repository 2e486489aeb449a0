"""The gate: what processors report lets a rollout go on, pauses it or takes it back; silence is never a pass."""

from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
import time_machine

from accounts.errors import Invalid
from accounts.models import AuditEntry, Organisation
from accounts.roles import Role
from accounts.tokens import issue_token
from pipelines.feed.figures import Totals
from pipelines.models import DeliveryFigure, Pin, Processor, Rollout, RolloutTarget, RunningPin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.gates import Evidence, Gate, judge
from pipelines.rollouts.lifecycle import resume_rollout
from pipelines.rollouts.plans import Schedule
from pipelines.rollouts.progress import count_targets
from pipelines.rollouts.waves import parse_waves
from pipelines.rollouts.worker import work_through
from tests.pipelines.rollouts.fleets import Fleet, fleet_of

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
RATIO = Gate(max_failure_ratio=0.02, min_events=100, patience_seconds=1800)
INCREASE = Gate(max_increase=0.01, min_events=100, patience_seconds=1800)


@pytest.mark.parametrize(
    ("gate", "before", "after", "verdict", "reason"),
    [
        (RATIO, (0, 0), (98, 2), "pass", "2 of 100 events failed (2.00%)."),
        (RATIO, (0, 0), (97, 3), "fail", "3 of 100 events failed (3.00%), and at most 2.00% may."),
        (RATIO, (0, 0), (99, 0), "inconclusive", "99 events were reported since the wave, and it takes 100 to judge."),
        (RATIO, (0, 0), (0, 0), "inconclusive", "0 events were reported since the wave, and it takes 100 to judge."),
        (RATIO, (0, 0), (0, 1000), "fail", "1,000 of 1,000 events failed (100.00%), and at most 2.00% may."),
        (INCREASE, (95, 5), (94, 6), "pass", "6 of 100 events failed (6.00%), 5.00% before the wave."),
        (
            INCREASE,
            (95, 5),
            (93, 7),
            "fail",
            "7 of 100 events failed (7.00%), 5.00% before the wave, and it may rise by at most 1.00%.",
        ),
        (
            INCREASE,
            (9, 0),
            (100, 0),
            "inconclusive",
            "9 events were reported in the hour before the wave, and it takes 100 to judge.",
        ),
        (INCREASE, (97, 3), (96, 4), "pass", "4 of 100 events failed (4.00%), 3.00% before the wave."),
        (Gate(max_failure_ratio=0.5, max_increase=0.1), (1, 0), (6, 4), "fail", None),
        (Gate(max_failure_ratio=0.5, max_increase=0.4), (1, 0), (6, 4), "pass", None),
        (Gate(max_failure_ratio=0.3, max_increase=0.4), (1, 0), (6, 4), "fail", None),
    ],
)
def test_a_gate_judges_by_the_figures_alone(
    gate: Gate, before: tuple[int, int], after: tuple[int, int], verdict: str, reason: str | None
) -> None:
    found = judge(gate, Evidence(Totals(*before), Totals(*after)))
    assert found.verdict == verdict
    assert reason in (None, found.reason)


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({}, "gate"),
        ({"max_failure_ratio": 1.01}, "gate/max_failure_ratio"),
        ({"max_failure_ratio": -0.1}, "gate/max_failure_ratio"),
        ({"max_failure_ratio": float("nan")}, "gate/max_failure_ratio"),
        ({"max_increase": 2}, "gate/max_increase"),
        ({"max_increase": 0.1, "min_events": 0}, "gate/min_events"),
        ({"max_increase": 0.1, "patience_seconds": -1}, "gate/patience_seconds"),
    ],
)
def test_a_gate_that_cannot_be_is_refused(how: dict[str, float], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        Gate(**how)  # type: ignore[arg-type]  # any number
    assert caught.value.details[0].field == field


class Watched:
    """A fleet of four in two waves of two with a soak of ten minutes, the first wave applied, and a clock to turn."""

    def __init__(self, organisation: Organisation, clock: time_machine.Traveller, gate: Gate, **how: str) -> None:
        self.clock = clock
        self.fleet: Fleet = fleet_of(4, organisation)
        schedule = Schedule(waves=parse_waves("2,100%"), soak_seconds=600, gate=gate, **how)  # type: ignore[arg-type]  # choices as text
        self.rollout: Rollout = self.fleet.start(self.fleet.plan(schedule=schedule))
        self.after(0)
        self.moved = list(RolloutTarget.objects.filter(rollout=self.rollout, position__lte=2).order_by("position"))

    def after(self, seconds: int) -> Rollout:
        """What became of it so much later, when whatever is due has been done."""
        self.clock.shift(timedelta(seconds=seconds))
        work_through(Event())
        self.rollout.refresh_from_db()
        return self.rollout

    def report(self, delivered: int, failed: int, *, number: int = 2, minutes_ago: int = 0, place: int = 0) -> None:
        """What processors delivered for one of the pins of the first wave."""
        moment = self.clock_now() - timedelta(minutes=minutes_ago)
        DeliveryFigure.objects.create(
            organisation=self.fleet.organisation,
            pin_id=self.moved[place].pin_id,
            revision=self.fleet.revision(number),
            started_at=moment.replace(second=0, microsecond=0),
            delivered=delivered,
            failed=failed,
        )

    def refuse(self, claim: str, number: int, seen_ago: int = 0) -> None:
        """What one instance, seen so many seconds ago, says of the first pin that moved and one of its revisions."""
        token, _ = issue_token(actor=self.fleet.actor, name="edge", scope=Role.PROCESSOR)
        processor = Processor.objects.create(
            organisation=self.fleet.organisation,
            token=token,
            instance="edge-1",
            run="r",
            sequence=1,
            last_seen_at=self.clock_now() - timedelta(seconds=seen_ago),
        )
        RunningPin.objects.create(
            processor=processor,
            pipeline=self.moved[0].pipeline,
            pin_id=self.moved[0].pin_id,
            claim=claim,
            revision=self.fleet.revision(number),
            config_hash="x",
            reported_at=self.clock_now(),
        )

    def clock_now(self) -> datetime:
        return datetime.now(tz=UTC)

    @property
    def standing(self) -> tuple[str, int, str]:
        wave = self.rollout.waves.get(number=1)
        return str(self.rollout.state), self.rollout.waves_applied, str(wave.verdict)


@pytest.fixture
def clock() -> object:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def test_good_figures_let_it_go_on_when_the_soak_is_over(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(150, 1)
    watched.after(300)
    assert watched.standing == ("running", 1, "")
    watched.after(300)
    assert watched.standing == ("running", 2, "pass")
    assert watched.rollout.waves.get(number=1).verdict_reason == "1 of 151 events failed (0.66%)."


def test_bad_figures_pause_it_at_once(organisation: Organisation, clock: time_machine.Traveller) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(50, 10)
    watched.report(40, 0, place=1)
    watched.after(10)
    assert watched.standing == ("paused", 1, "fail")
    assert watched.rollout.reason == (
        "Wave 1 failed its gate: 10 of 100 events failed (10.00%), and at most 2.00% may."
    )
    assert sorted(watched.fleet.numbers()) == [1, 1, 2, 2]
    entry = AuditEntry.objects.get(action="rollout.paused")
    assert (entry.actor_type, entry.actor_label) == ("system", f"gate of {watched.rollout.pk}")


@pytest.mark.parametrize(
    ("claim", "number", "seen_ago", "state"),
    [
        ("rejected", 2, 0, "paused"),
        ("kept_last_good", 1, 0, "paused"),
        ("rejected", 1, 0, "running"),  # that was about the earlier revision
        ("applied", 2, 0, "running"),
        ("rejected", 2, 3600, "running"),  # that instance is gone
        ("kept_last_good", 2, 0, "running"),  # it runs the new one, and refused what came later
    ],
)
def test_a_processor_that_refuses_the_new_config_fails_the_wave_whatever_the_figures(
    organisation: Organisation, clock: time_machine.Traveller, claim: str, number: int, seen_ago: int, state: str
) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(1000, 0)
    watched.refuse(claim, number, seen_ago)
    watched.after(10)
    assert watched.rollout.state == state
    if state == "paused":
        assert watched.rollout.reason == "Wave 1 failed its gate: 1 processor has refused the new config."


def test_bad_figures_take_it_back_where_it_was_told_so(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO, on_failure="rollback")
    watched.report(50, 60)
    watched.after(10)
    assert (watched.standing, watched.fleet.numbers()) == (("aborted", 1, "fail"), [1] * 4)
    revert = Rollout.objects.get(reverts=watched.rollout)
    assert (revert.state, {k: v for k, v in count_targets(revert).items() if v}) == ("done", {"moved": 2})
    assert watched.rollout.reason.startswith("Wave 1 failed its gate: 60 of 110 events failed")


def test_where_nothing_can_be_taken_back_it_is_paused(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO, on_failure="rollback")
    watched.report(50, 60)
    for target in watched.moved:
        pin = Pin.objects.get(pk=target.pin_id)
        watched.fleet.change(pin, revision_id=watched.fleet.revision(1).pk)
    watched.after(10)
    assert watched.rollout.state == "paused"
    assert "Nothing can be taken back" in watched.rollout.reason


def test_silence_is_waited_for_and_then_pauses(organisation: Organisation, clock: time_machine.Traveller) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.after(600)
    assert watched.standing == ("running", 1, "")
    watched.after(1799)
    assert watched.standing == ("running", 1, "")
    watched.after(5)
    assert watched.standing == ("paused", 1, "inconclusive")
    assert watched.rollout.reason == (
        "The gate could not judge wave 1: 0 events were reported since the wave, and it takes 100 to judge."
    )


def test_silence_goes_on_where_it_was_told_so_and_is_not_called_a_pass(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO, on_inconclusive="continue")
    watched.after(2405)
    assert watched.standing == ("running", 2, "inconclusive")


def test_events_that_come_late_are_judged(organisation: Organisation, clock: time_machine.Traveller) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.after(900)
    watched.report(200, 0)
    watched.after(5)
    assert watched.standing == ("running", 2, "pass")


def test_the_last_wave_is_judged_too(organisation: Organisation, clock: time_machine.Traveller) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(200, 0)
    watched.after(600)
    last = RolloutTarget.objects.filter(rollout=watched.rollout, position__gt=2)
    assert watched.rollout.state == "running"
    watched.moved = list(last)
    watched.report(10, 90)
    watched.after(5)
    assert (watched.rollout.state, watched.rollout.waves.get(number=2).verdict) == ("paused", "fail")


def test_what_the_pins_did_before_and_at_other_revisions_does_not_count(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(0, 500, number=1)
    watched.report(0, 500, number=2, minutes_ago=90)
    watched.report(200, 0)
    watched.after(600)
    assert watched.standing == ("running", 2, "pass")


def test_the_hour_before_is_what_an_increase_is_measured_by(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, INCREASE)
    watched.report(90, 10, number=1, minutes_ago=30)
    watched.report(0, 900, number=1, minutes_ago=70)
    watched.report(178, 22)
    watched.after(600)
    assert watched.standing == ("running", 2, "pass")
    assert watched.rollout.waves.get(number=1).verdict_reason == (
        "22 of 200 events failed (11.00%), 10.00% before the wave."
    )


def test_a_resumed_rollout_is_watched_anew(organisation: Organisation, clock: time_machine.Traveller) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(0, 100)
    watched.after(60)
    assert watched.rollout.state == "paused"
    clock.shift(timedelta(seconds=5))  # within the minute that holds the failures
    resume_rollout(actor=watched.fleet.actor, rollout_id=watched.rollout.pk)
    watched.after(25)
    assert watched.standing == ("running", 1, "")
    watched.report(300, 0)
    watched.after(599)
    assert watched.standing == ("running", 1, "")
    watched.after(1)
    assert watched.standing == ("running", 2, "pass")


def test_a_person_may_go_on_without_the_gate_and_that_is_kept(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(0, 100)
    watched.after(60)
    resume_rollout(actor=watched.fleet.actor, rollout_id=watched.rollout.pk, skip_gate=True)
    watched.after(0)
    assert watched.standing == ("running", 2, "overridden")
    assert watched.rollout.waves.get(number=1).verdict_reason == "tests went on without the gate."


def test_a_wave_of_which_nothing_was_left_to_move_is_not_waited_for(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO)
    for target in RolloutTarget.objects.filter(rollout=watched.rollout, position__gt=2):
        watched.fleet.change(Pin.objects.get(pk=target.pin_id), enabled=False)
    watched.report(200, 0)
    watched.after(600)
    assert watched.standing == ("done", 2, "pass")
    assert watched.rollout.waves.get(number=2).moved == 0


def test_what_the_pins_delivered_before_is_asked_once(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, INCREASE)
    watched.report(90, 10, number=1, minutes_ago=30)
    watched.after(10)
    watched.report(9000, 0, number=1, minutes_ago=20)
    watched.after(10)
    wave = watched.rollout.waves.get(number=1)
    assert (wave.delivered_before, wave.failed_before) == (90, 10)


def test_a_refusal_of_a_pin_that_somebody_moved_on_is_not_the_rollouts(
    organisation: Organisation, clock: time_machine.Traveller
) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.report(1000, 0)
    pin = Pin.objects.get(pk=watched.moved[0].pin_id)
    watched.fleet.change(pin, enabled=False)
    watched.refuse("kept_last_good", 1)
    watched.after(10)
    assert watched.rollout.state == "running"


def test_without_a_gate_figures_do_not_matter(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.start(fleet.plan())
    DeliveryFigure.objects.create(
        organisation=organisation,
        pin_id=fleet.pins[0].pk,
        revision=fleet.revision(2),
        started_at=NOW,
        delivered=0,
        failed=1000,
    )
    assert advance(rollout.pk).state == "done"
