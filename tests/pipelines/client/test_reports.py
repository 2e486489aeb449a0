"""What a processor reports: news only, each once, in numbered batches, and never in the way of what runs."""

import threading
import time
from typing import Any

import pytest

from pipelines.client import Client
from pipelines.client.configs import DAMAGED, Integration
from pipelines.client.reports import HELD, LARGEST_COUNT, MOST, Reports
from pipelines.client.running import Running
from tests.pipelines.client.planes import Answer, Plane, changes, gaps, removed, snapshot, until
from tests.pipelines.client.said import damaged, integration, line, pipeline, unresolvable

NO_NEWS: dict[str, list[Any]] = {"integrations": [], "stopped": [], "deliveries": []}


def running(*said: dict[str, Any]) -> Running:
    return Running().after_snapshot("ep_1", 10, map(line, said))


def reports(here: Running) -> Reports:
    made = Reports("edge-1", here.find)
    made.mark(here.pipelines)
    return made


def told(made: Reports, **answer: Any) -> dict[str, Any]:
    """The news in the next report, which is then answered."""
    body = made.compose()
    made.answered({"status": "accepted", "resend": False, "ignored": [], **answer})
    return {name: body[name] for name in NO_NEWS}


def applied(id: str, revision: int) -> dict[str, Any]:
    config_hash = integration(id, revision)["config_hash"]
    return {"id": id, "revision_id": f"rev_{revision}", "config_hash": config_hash, "state": "applied"}


def running_integration(id: str = "pi_a") -> Integration:
    config = running(pipeline("pip_a", 1, integration(id))).find("pip_a")
    assert config is not None
    return config.integrations[0]


# --- what is said -----------------------------------------------------------------------------------------------------


def test_the_first_report_says_all_that_runs_and_the_next_only_what_is_new() -> None:
    here = running(pipeline("pip_a", 1, integration("pi_a"), integration("pi_b")))
    made = reports(here)
    first = dict(made.compose())
    assert {name: first[name] for name in ("instance", "sequence")} == {"instance": "edge-1", "sequence": 1}
    assert len(first["run"]) == 32
    assert set(first) == {"instance", "run", "started_at", "sequence", *NO_NEWS}
    assert told(made)["integrations"] == [applied("pi_a", 1), applied("pi_b", 1)]
    assert told(made) == NO_NEWS
    changed = here.take_changes(11, [line(pipeline("pip_a", 11, integration("pi_a"), integration("pi_b", 2)))], [])
    made.mark(change.pipeline_id for change in changed)
    assert made.compose()["sequence"] == 3
    assert told(made) == {**NO_NEWS, "integrations": [applied("pi_b", 2)]}


def test_what_is_removed_or_disabled_is_said_to_have_stopped() -> None:
    here = running(
        pipeline("pip_a", 1, integration("pi_a"), integration("pi_b")), pipeline("pip_b", 1, integration("pi_c"))
    )
    made = reports(here)
    told(made)
    here.take_changes(11, [line(pipeline("pip_a", 11, integration("pi_b")))], ["pip_b"])
    made.mark(["pip_a", "pip_b"])
    assert sorted(told(made)["stopped"]) == ["pi_a", "pi_c"]
    here.take_changes(12, [line(pipeline("pip_a", 12, integration("pi_b"), enabled=False))], [])
    made.mark(["pip_a"])
    assert told(made) == {**NO_NEWS, "stopped": ["pi_b"]}


def test_what_goes_on_at_its_last_good_config_says_why_and_what_it_did_not_take() -> None:
    here = running(pipeline("pip_a", 1, integration("pi_a"), integration("pi_b")))
    made = reports(here)
    told(made)
    here.take_changes(11, [line(pipeline("pip_a", 11, unresolvable("pi_a"), damaged("pi_b"), damaged("pi_c")))], [])
    made.mark(["pip_a"])
    refused = damaged("pi_b")["config_hash"]
    assert told(made)["integrations"] == [
        {**applied("pi_a", 1), "state": "kept_last_good", "reason": "The parameter “host” is missing."},
        {**applied("pi_b", 1), "state": "kept_last_good", "reason": DAMAGED, "refused_hash": refused},
        {
            "id": "pi_c",
            "revision_id": "rev_2",
            "config_hash": damaged("pi_c")["config_hash"],
            "state": "rejected",
            "reason": DAMAGED,
        },
    ]


def test_what_never_had_a_hash_and_never_ran_is_not_reported() -> None:
    assert told(reports(running(pipeline("pip_a", 1, unresolvable())))) == NO_NEWS


def test_what_is_held_is_reported_as_kept() -> None:
    here = running(pipeline("pip_a", 1, integration())).after_snapshot("ep_2", 1, [])
    assert told(reports(here))["integrations"] == [{**applied("pi_a", 1), "state": "kept_last_good", "reason": HELD}]


def test_a_reason_is_short_and_holds_no_line_break() -> None:
    long = integration(
        "pi_a", 2, state="unresolvable", reason="one\ntwo\x00" + "x" * 1000, config=None, config_hash=None
    )
    here = running(pipeline("pip_a", 1, integration()))
    here.take_changes(11, [line(pipeline("pip_a", 11, long))], [])
    reason = told(reports(here))["integrations"][0]["reason"]
    assert reason.startswith("one two xxx")
    assert len(reason) == 200


# --- how it is said ---------------------------------------------------------------------------------------------------


def test_a_report_that_is_not_answered_stays_the_same_whatever_happens_meanwhile() -> None:
    here = running(pipeline("pip_a", 1, integration()))
    made = reports(here)
    first = made.compose()
    made.count(running_integration(), 1, 0)
    made.mark(["pip_a"])
    assert made.compose() is first
    told(made)
    assert made.compose()["sequence"] == 2
    assert told(made)["deliveries"] == [{"id": "pi_a", "revision_id": "rev_1", "delivered": 1, "failed": 0}]


def test_more_than_a_report_holds_is_told_in_several() -> None:
    many = [integration(f"pi_{number}") for number in range(2 * MOST + 5)]
    here = running(pipeline("pip_a", 1, *many), pipeline("pip_b", 1, integration("pi_other")))
    made = reports(here)
    heard = []
    while made.more:
        news = told(made)["integrations"]
        assert len(news) <= MOST
        heard += [entry["id"] for entry in news]
    assert sorted(heard) == sorted([entry["id"] for entry in many] + ["pi_other"])
    here.take_changes(11, [], ["pip_a"])
    made.mark(["pip_a"])
    stopped: list[str] = []
    while made.more:
        stopped += told(made)["stopped"]
    assert sorted(stopped) == sorted(entry["id"] for entry in many)


def test_everything_is_said_again_where_the_control_plane_has_forgotten_it() -> None:
    made = reports(running(pipeline("pip_a", 1, integration()), pipeline("pip_b", 1, integration("pi_b"))))
    told(made)
    assert told(made, resend=True) == NO_NEWS
    assert sorted(entry["id"] for entry in told(made)["integrations"]) == ["pi_a", "pi_b"]
    assert not made.more


def test_what_would_be_refused_again_is_given_up() -> None:
    made = reports(running(pipeline("pip_a", 1, integration())))
    made.compose()
    made.give_up()
    assert made.compose()["sequence"] == 2
    assert told(made) == NO_NEWS


def test_deliveries_add_up_until_they_are_told() -> None:
    made = reports(running())
    for _ in range(3):
        made.count(running_integration(), 2, 1)
    made.count(running_integration("pi_b"), LARGEST_COUNT + 5, 0)
    assert sorted(told(made)["deliveries"], key=lambda entry: str(entry["id"])) == [
        {"id": "pi_a", "revision_id": "rev_1", "delivered": 6, "failed": 3},
        {"id": "pi_b", "revision_id": "rev_1", "delivered": LARGEST_COUNT, "failed": 0},
    ]
    assert told(made)["deliveries"] == [{"id": "pi_b", "revision_id": "rev_1", "delivered": 5, "failed": 0}]
    assert told(made) == NO_NEWS
    with pytest.raises(ValueError, match="zero"):
        made.count(running_integration(), -1, 0)


def test_however_long_nobody_listens_no_more_is_remembered_than_one_count_for_each_integration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipelines.client.reports.MOST_COUNTED", 50)
    made = reports(running())
    known = running_integration()
    for number in range(60):
        made.count(Integration(f"pi_{number}", "", "", "rev_1", 1, "", {}, ""), 1, 0)
    made.count(known, 1, 0)
    heard = 0
    while made.more:
        heard += len(told(made)["deliveries"])
    assert heard == 50


def test_no_delivery_is_lost_or_told_twice_while_many_threads_count() -> None:
    made = reports(running())
    counted = running_integration()

    def deliver() -> None:
        for _ in range(2000):
            made.count(counted, 1, 1)

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    heard = 0
    while any(thread.is_alive() for thread in threads) or made.more:
        heard += sum(entry["delivered"] for entry in told(made)["deliveries"])
    assert heard == 8000


# --- sent by the client -----------------------------------------------------------------------------------------------

ACCEPTED = Answer(body=b'{"status": "accepted", "resend": false, "ignored": []}')


def start(scripted: Plane, *answers: Answer, seconds: float = 0.1) -> Client:
    scripted.will("snapshot", snapshot("ep_1", 1, pipeline("pip_a", 1, integration())))
    scripted.will("changes", changes(1))
    scripted.will("reports", *answers)
    return Client(scripted.url, "pinion_x", store=None, instance="edge-1", poll_seconds=0.1, report_seconds=seconds)


def bodies(scripted: Plane) -> list[dict[str, Any]]:
    return [asked.body for asked in scripted.requests("reports")]


def test_what_runs_is_reported_soon_and_then_that_one_is_there(scripted: Plane) -> None:
    with start(scripted, ACCEPTED):
        until(lambda: len(bodies(scripted)) >= 4)
    sent = bodies(scripted)
    assert [body["sequence"] for body in sent] == list(range(1, len(sent) + 1))
    assert len({body["run"] for body in sent}) == 1
    assert [entry for body in sent for entry in body["integrations"]] == [applied("pi_a", 1)]


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 503])
def test_a_report_that_was_not_taken_is_sent_again_as_it_was(status: int, scripted: Plane) -> None:
    with start(scripted, Answer(status), ACCEPTED):
        until(lambda: len(bodies(scripted)) >= 3)
    sent = bodies(scripted)
    assert sent[0] == sent[1]
    assert sent[2]["sequence"] == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_report_that_will_never_be_taken_is_dropped(status: int, scripted: Plane) -> None:
    with start(scripted, Answer(status), ACCEPTED) as here:
        until(lambda: len(bodies(scripted)) >= 2)
        assert here.status.trouble == ""
    assert [body["sequence"] for body in bodies(scripted)[:2]] == [1, 2]


def test_what_was_delivered_last_is_told_at_the_end(scripted: Plane) -> None:
    with start(scripted, ACCEPTED, seconds=60) as here:
        assert here.wait_until_ready(5)
        config = here.config("pip_a")
        assert config is not None
        here.count(config.integrations[0], delivered=3, failed=1)
    told = [
        one for body in bodies(scripted) for one in body["deliveries"]
    ]  # the last report may only say that one was there
    assert told == [{"id": "pi_a", "revision_id": "rev_1", "delivered": 3, "failed": 1}]


def test_reports_that_nobody_takes_disturb_nothing_that_runs(scripted: Plane) -> None:
    with start(scripted, Answer(500)) as here:
        assert here.wait_until_ready(5)
        scripted.will("changes", changes(2, removed("pip_a", 2)), changes(2))
        began = time.monotonic()
        until(lambda: here.config("pip_a") is None)
        assert time.monotonic() - began < 1
        assert here.status.trouble == ""


def test_a_control_plane_that_always_forgets_is_told_no_more_often(scripted: Plane) -> None:
    forgetful = Answer(body=b'{"status": "accepted", "resend": true, "ignored": []}')
    with start(scripted, forgetful, seconds=0.2) as here:
        until(lambda: len(bodies(scripted)) >= 4)
        assert here.status.trouble == ""
    waits = gaps(scripted.requests("reports"))
    assert sum(waits[1:-1]) >= len(waits[1:-1]) * 0.1 * 0.9
    assert bodies(scripted)[3]["integrations"] == [applied("pi_a", 1)]


def test_without_a_name_nothing_is_reported(scripted: Plane) -> None:
    scripted.will("snapshot", snapshot("ep_1", 1, pipeline("pip_a", 1, integration())))
    with Client(scripted.url, "pinion_x", store=None, instance=None, poll_seconds=0.1, report_seconds=0.05) as here:
        assert here.wait_until_ready(5)
        config = here.config("pip_a")
        assert config is not None
        here.count(config.integrations[0], delivered=1)
        time.sleep(0.2)
    assert scripted.requests("reports") == []
