"""A clock that is put back: nothing that has an order loses it, and nobody waits for the time to come again."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
import time_machine

from accounts.credentials import access_token
from accounts.lockout import reserve_attempt
from accounts.models import Organisation, User
from pipelines.models import HistoryEntry, Pin, Rollout
from pipelines.pins import update_pin
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.plans import Schedule
from pipelines.rollouts.waves import parse_waves
from pipelines.rollouts.worker import work_through
from tests.accounts.test_logins import attempt
from tests.clients import Api
from tests.factories import PASSWORD, PinFactory, system
from tests.pipelines.feed.reporting import REPORTS, body, delivered, figures, said
from tests.pipelines.rollouts.fleets import fleet_of
from tests.pipelines.rollouts.test_gates import RATIO, Watched

NOON = datetime(2031, 3, 1, 12, 0, 30, tzinfo=UTC)
A_DAY_BACK = timedelta(days=-1)
Clock = time_machine.Traveller


@pytest.fixture
def clock() -> Generator[Clock]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def pin_to(pin: Pin, *, enabled: bool) -> None:
    update_pin(actor=system(pin.organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=enabled)


def test_what_happened_later_stands_later_and_is_what_ran_then(
    clock: Clock, organisation: Organisation, viewer: Api
) -> None:
    pin = PinFactory(organisation=organisation)
    clock.shift(A_DAY_BACK)
    pin_to(pin, enabled=False)
    clock.shift(60)
    pin_to(pin, enabled=True)
    history = viewer.get(f"pipelines/{pin.pipeline_id}/history").json()["history"]
    versions = [line["version"] for line in history]
    assert versions == sorted(versions, reverse=True)
    assert {line["created_at"] for line in history} == {"2031-03-01T12:00:30Z"}
    entries = HistoryEntry.objects.filter(subject="pin").order_by("pk").values_list("after_enabled", flat=True)
    assert list(entries) == [True, False, True]
    shown = viewer.get(f"pipelines/{pin.pipeline_id}/config", {"at": "2031-03-01T12:00:30Z"}).json()
    assert shown["version"] == versions[0]


def test_tokens_of_a_clock_that_ran_ahead_are_good_and_can_be_refreshed(
    clock: Clock, viewer_user: User, nobody: Api
) -> None:
    session = attempt(nobody, viewer_user.email, PASSWORD).json()
    bearer = access_token(viewer_user)
    clock.shift(A_DAY_BACK)
    for token in (bearer, session["access_token"]):
        assert Api(token).get("me").status_code == 200
    again = nobody.post("auth/refresh", {"refresh_token": session["refresh_token"]})
    assert again.status_code == 200
    assert nobody.post("auth/refresh", {"refresh_token": session["refresh_token"]}).status_code == 401


def test_a_locked_account_is_locked_for_no_longer_than_usual(clock: Clock, viewer_user: User, nobody: Api) -> None:
    for _ in range(5):
        attempt(nobody, viewer_user.email, "wrong")
    assert attempt(nobody, viewer_user.email, "wrong")["Retry-After"] == "900"
    clock.shift(A_DAY_BACK)
    assert attempt(nobody, viewer_user.email, PASSWORD)["Retry-After"] == "900"
    clock.shift(899)
    assert attempt(nobody, viewer_user.email, PASSWORD).json()["error"]["code"] == "ACCOUNT_LOCKED"
    clock.shift(1)
    assert attempt(nobody, viewer_user.email, PASSWORD).status_code == 200


def test_servers_whose_clocks_differ_give_nobody_more_attempts(clock: Clock, viewer_user: User, nobody: Api) -> None:
    for _ in range(5):
        reserve_attempt(viewer_user.email)
    for seconds in (-2, 2, -2, 2):
        clock.shift(seconds)
        assert attempt(nobody, viewer_user.email, PASSWORD).json()["error"]["code"] == "ACCOUNT_LOCKED"


def after(clock: Clock, rollout: Rollout, seconds: float) -> tuple[str, int]:
    """Where a rollout stands so much later, when whatever is due has been done."""
    clock.shift(seconds)
    work_through(Event())
    rollout.refresh_from_db()
    return str(rollout.state), rollout.waves_applied


def test_a_rollout_waits_for_its_soak_and_no_longer(clock: Clock, organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.start(fleet.plan(schedule=Schedule(waves=parse_waves("1,100%"), soak_seconds=600)))
    clock.shift(A_DAY_BACK)  # before any worker has seen it
    assert after(clock, rollout, 0) == ("running", 1)
    clock.shift(A_DAY_BACK)
    assert after(clock, rollout, 0) == ("running", 1)
    assert after(clock, rollout, 599) == ("running", 1)
    assert after(clock, rollout, 61) == ("done", 2)


def test_a_gate_judges_by_what_comes_after_the_clock_was_put_back(clock: Clock, organisation: Organisation) -> None:
    watched = Watched(organisation, clock, RATIO)
    watched.after(-86_400)
    watched.after(60)
    watched.report(150, 1)
    watched.after(300)
    assert watched.standing == ("running", 1, "")
    watched.after(300)
    assert watched.standing == ("running", 2, "pass")


def test_a_gate_still_fails_what_fails(clock: Clock, organisation: Organisation) -> None:
    watched = Watched(organisation, clock, Gate(max_failure_ratio=0.02, min_events=100))
    watched.after(-86_400)
    watched.after(60)
    watched.report(50, 50)
    watched.after(10)
    assert watched.standing == ("paused", 1, "fail")


def test_a_processor_that_starts_anew_is_not_taken_for_a_second_one(
    clock: Clock, organisation: Organisation, processor: Api
) -> None:
    pin = PinFactory(organisation=organisation)
    first = body(1, integrations=[said(pin)], deliveries=[delivered(pin, 5)])
    assert processor.post(REPORTS, first).json()["status"] == "accepted"
    clock.shift(A_DAY_BACK)
    assert processor.post(REPORTS, first).json()["status"] == "repeated"
    clock.shift(A_DAY_BACK)
    later = body(2, run="run-2", deliveries=[delivered(pin, 7)])  # whose first report was lost
    assert processor.post(REPORTS, later).json() == {"status": "accepted", "resend": True, "ignored": []}
    assert sum(good for _, _, good, _ in figures()) == 12
