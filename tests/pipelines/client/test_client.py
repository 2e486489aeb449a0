"""The client before a control plane that says odd things, or nothing: what runs goes on, and nobody spins."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.client import Change, Client
from tests.pipelines.client.planes import Answer, Plane, changes, gaps, one, removed, snapshot, until
from tests.pipelines.client.said import SECRET, damaged, integration, pipeline, unresolvable

TOKEN = "pinion_a-token"
POLL = 0.1


@contextmanager
def client(plane: Plane, store: Path | None = None, **more: Any) -> Generator[Client]:
    with Client(plane.url, TOKEN, store=store, instance=None, **{"poll_seconds": POLL, **more}) as running:
        yield running


def revision(client: Client, name: str = "pip_a") -> int | None:
    """Of the first integration that runs."""
    config = client.config(name)
    return config.integrations[0].revision_number if config and config.integrations else None


def begin(plane: Plane, version: int = 1) -> None:
    """A control plane with one pipeline, in which nothing changes."""
    plane.will("snapshot", snapshot("ep_1", version, pipeline("pip_a", 1, integration())))
    plane.will("changes", changes(version))


def test_a_client_takes_a_snapshot_and_then_asks_for_changes(scripted: Plane) -> None:
    begin(scripted)
    scripted.will("changes", changes(1), changes(2, pipeline("pip_a", 2, integration("pi_a", 2))), changes(2))
    with client(scripted) as here:
        assert here.wait_until_ready(5)
        until(lambda: revision(here) == 2)
        assert revision(here, "pk_a") == 2
        status = here.status
    assert (status.epoch, status.version, status.pipelines, status.held, status.trouble) == ("ep_1", 2, 1, 0, "")
    asked = scripted.requests("changes")
    assert [(request.query["epoch"], request.query["since"]) for request in asked[:3]] == [
        ("ep_1", "1"),
        ("ep_1", "1"),
        ("ep_1", "2"),
    ][: len(asked)]
    assert len(scripted.requests("snapshot")) == 1


def test_a_pipeline_that_is_removed_is_gone_at_once(scripted: Plane) -> None:
    begin(scripted)
    scripted.will("changes", changes(2, removed("pip_a", 2)), changes(2))
    with client(scripted) as here:
        until(lambda: here.status.version == 2)
        assert here.config("pip_a") is None
        assert here.pipelines() == []


def test_changes_that_come_in_pages_are_all_taken(scripted: Plane) -> None:
    begin(scripted)
    pages = [
        changes(1, pipeline("pip_b", 2, integration()), after="place", has_more=True),
        changes(2, pipeline("pip_c", 2, integration()), has_more=True),
        changes(3, pipeline("pip_d", 3, integration())),
    ]
    scripted.will("changes", *pages, changes(3))
    with client(scripted) as here:
        until(lambda: here.status.version == 3)
        assert sorted(config.pipeline_id for config in here.pipelines()) == ["pip_a", "pip_b", "pip_c", "pip_d"]
    asked = scripted.requests("changes")[:3]
    assert [(request.query["since"], request.query.get("after")) for request in asked] == [
        ("1", None),
        ("1", "place"),
        ("2", None),
    ]


def test_pages_that_lead_nowhere_end(scripted: Plane, caplog: pytest.LogCaptureFixture) -> None:
    begin(scripted)
    scripted.will("changes", changes(1, has_more=True))
    with client(scripted) as here:
        until(lambda: "lead nowhere" in here.status.trouble)
        assert revision(here) == 1


@pytest.mark.parametrize(
    "answer",
    [Answer(410), changes(7, epoch="ep_2")],
    ids=["the answer is 410", "the epoch has changed"],
)
def test_what_cannot_be_told_as_changes_is_taken_as_a_snapshot(answer: Answer, scripted: Plane) -> None:
    begin(scripted)
    first = snapshot("ep_1", 1, pipeline("pip_a", 1, integration()))
    second = snapshot("ep_2", 1, pipeline("pip_a", 1, integration("pi_a", 7)))
    scripted.will("snapshot", first, second)
    scripted.will("changes", answer, changes(1, epoch="ep_2"))
    with client(scripted) as here:
        until(lambda: revision(here) == 7)
        assert (here.status.epoch, here.status.version) == ("ep_2", 1)


def test_a_control_plane_that_went_back_without_a_new_epoch_is_not_followed(scripted: Plane) -> None:
    begin(scripted, version=9)
    older = snapshot("ep_1", 8, pipeline("pip_a", 1, integration("pi_a", 5)))
    scripted.will("snapshot", snapshot("ep_1", 9, pipeline("pip_a", 1, integration())), older)
    scripted.will("changes", Answer(410))
    with client(scripted) as here:
        until(lambda: "new_epoch" in here.status.trouble)
        assert (revision(here), here.status.version) == (1, 9)


@pytest.mark.parametrize(
    "broken",
    [
        snapshot("ep_1", 1, count=7),
        Answer(body=b'{"epoch": "ep_1", "version": 1}\n{"epoch": "ep_1", "ver'),
        Answer(body=b'{"epoch": "ep_1", "version": 1}\n'),
        Answer(body=snapshot("ep_1", 1, pipeline("pip_a", 1)).body[:-20], length=10_000),
        Answer(body=b""),
        Answer(body=b"[]\n"),
        Answer(body=b"\xff\xfe"),
        Answer(302, headers={"Location": "/elsewhere"}),
        Answer(500),
    ],
)
def test_a_snapshot_that_is_broken_is_not_taken_and_asked_for_again(broken: Answer, scripted: Plane) -> None:
    begin(scripted)
    whole = scripted.answers["/v1/runtime/snapshot"][0]
    scripted.will("snapshot", broken, whole)
    with client(scripted) as here:
        until(lambda: revision(here) == 1)
    assert len(scripted.requests("snapshot")) == 2


@pytest.mark.parametrize(
    "broken",
    [
        Answer(body=b""),
        Answer(body=b"null"),
        Answer(body=b'{"epoch": "ep_1"}'),
        changes(2, {"pipeline_id": "pip_a", "version": 2}),
        Answer(body=changes(2).body.replace(b'"to_version": 2', b'"to_version": "2"')),
        Answer(body=changes(2, pipeline("pip_a", 2)).body[:-30], length=5_000),
    ],
)
def test_changes_that_are_broken_are_not_taken_and_asked_for_again(broken: Answer, scripted: Plane) -> None:
    begin(scripted)
    scripted.will("changes", broken, changes(2, pipeline("pip_a", 2, integration("pi_a", 2))), changes(2))
    with client(scripted) as here:
        until(lambda: revision(here) == 2)
    assert [asked.query["since"] for asked in scripted.requests("changes")[:2]] == ["1", "1"]


def test_a_config_that_arrived_damaged_is_asked_for_until_it_is_whole(scripted: Plane) -> None:
    begin(scripted)
    scripted.will("changes", changes(2, pipeline("pip_a", 2, damaged("pi_a", 2))), changes(2))
    scripted.will("pipelines/pip_a", Answer(503), one(pipeline("pip_a", 2, integration("pi_a", 2))))
    with client(scripted) as here:
        until(lambda: here.status.version == 2)
        assert revision(here) == 1
        until(lambda: revision(here) == 2)
        config = here.config("pip_a")
        assert config is not None
        assert not config.troubled
        before = len(scripted.requests("pipelines/pip_a"))
        polls = len(scripted.requests("changes"))
        until(lambda: len(scripted.requests("changes")) > polls + 1)
        assert len(scripted.requests("pipelines/pip_a")) == before


def test_where_one_of_many_is_mended_all_are_taken_anew(scripted: Plane) -> None:
    ids = [f"pip_{number}" for number in range(30)]
    closed = [pipeline(id, 1, unresolvable(id.replace("pip", "pi"))) for id in ids]
    opened = [pipeline(id, 1, integration(id.replace("pip", "pi"))) for id in ids]
    scripted.will("snapshot", snapshot("ep_1", 1, *closed), snapshot("ep_1", 1, *opened))
    scripted.will("changes", changes(1))
    with client(scripted) as here:
        until(lambda: len(scripted.requests("changes")) > 1)
        assert all(config.troubled for config in here.pipelines())
        for said in opened:
            scripted.will(f"pipelines/{said['pipeline_id']}", one(said))
        until(lambda: not any(config.troubled for config in here.pipelines()))
    assert len(scripted.requests("snapshot")) == 2


# --- the shrink guard, end to end -------------------------------------------------------------------------------------


def test_an_empty_snapshot_ends_nothing_until_the_operator_says_so(
    scripted: Plane, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    begin(scripted)
    scripted.will("snapshot", snapshot("ep_1", 1, pipeline("pip_a", 1, integration())), snapshot("ep_2", 1))
    scripted.will("changes", Answer(410), changes(1, epoch="ep_2"))
    with client(scripted, tmp_path / "state") as here:
        until(lambda: here.status.epoch == "ep_2")
        assert (revision(here), here.status.held) == (1, 1)
        until(lambda: "release_held()" in caplog.text)
    with client(scripted, tmp_path / "state") as here:
        until(lambda: here.status.synced_at is not None)
        assert (revision(here), here.status.held) == (1, 1)
        here.release_held()
        until(lambda: here.status.held == 0)
        assert here.config("pip_a") is None


def test_what_is_held_and_troubled_is_not_asked_for_until_it_is_lost(scripted: Plane) -> None:
    begin(scripted)
    restored = snapshot("ep_2", 9, pipeline("pip_a", 9))
    scripted.will("snapshot", snapshot("ep_1", 1, pipeline("pip_a", 1, integration())), restored)
    scripted.will("changes", changes(2, pipeline("pip_a", 2, unresolvable())), Answer(410), changes(9, epoch="ep_2"))
    scripted.will("pipelines/pip_a", Answer(503), one(pipeline("pip_a", 9)))
    with client(scripted) as here:
        until(lambda: here.status.epoch == "ep_2")
        polls = len(scripted.requests("changes"))
        until(lambda: len(scripted.requests("changes")) > polls + 2)
        assert (revision(here), here.status.held) == (1, 1)


# --- a control plane that is away -------------------------------------------------------------------------------------


def test_the_last_good_config_is_there_before_the_control_plane_is(scripted: Plane, tmp_path: Path) -> None:
    begin(scripted)
    with client(scripted, tmp_path / "state") as here:
        assert here.wait_until_ready(5)
    nowhere = Client("http://127.0.0.1:9", TOKEN, store=tmp_path / "state", instance="one", poll_seconds=POLL)
    with nowhere as here:
        assert here.wait_until_ready(0)
        assert revision(here) == 1
        until(lambda: "cannot be reached" in here.status.trouble)
        assert here.status.synced_at is None
        assert revision(here) == 1
    assert revision(here) == 1  # after the end, too


def test_a_start_from_the_disk_takes_no_snapshot_and_writes_nothing_that_is_there(
    scripted: Plane, tmp_path: Path
) -> None:
    begin(scripted, version=5)
    with client(scripted, tmp_path / "state") as here:
        assert here.wait_until_ready(5)
    kept = (tmp_path / "state").read_bytes()
    with client(scripted, tmp_path / "state") as here:
        until(lambda: here.status.synced_at is not None)
    assert (tmp_path / "state").read_bytes() == kept
    assert len(scripted.requests("snapshot")) == 1
    assert {asked.query["since"] for asked in scripted.requests("changes")} == {"5"}


def test_without_a_disk_and_a_control_plane_there_is_nothing_and_nothing_is_raised() -> None:
    with Client("http://127.0.0.1:9", TOKEN, store=None, instance=None, poll_seconds=POLL) as here:
        assert not here.wait_until_ready(0.05)
        assert here.config("pip_a") is None


def test_a_config_is_told_while_the_control_plane_takes_requests_and_answers_none(scripted: Plane) -> None:
    begin(scripted)
    with client(scripted) as here:
        assert here.wait_until_ready(5)
        scripted.silent = True
        time.sleep(2 * POLL)
        began = time.monotonic()
        assert revision(here) == 1
        assert time.monotonic() - began < 0.05
        scripted.silent = False


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_tried_once_an_interval_and_what_runs_goes_on(status: int, scripted: Plane) -> None:
    begin(scripted)
    with client(scripted) as here:
        assert here.wait_until_ready(5)
        scripted.will("changes", Answer(status))
        until(lambda: here.status.refused)
        since = len(scripted.requests("changes"))
        time.sleep(6 * POLL)
        waits = gaps(scripted.requests("changes")[since:])
        assert sum(waits) >= (len(waits) - 1) * POLL / 2
        assert revision(here) == 1
        scripted.will("changes", changes(2, pipeline("pip_a", 2, integration("pi_a", 2))), changes(2))
        until(lambda: revision(here) == 2)
        assert not here.status.refused


@pytest.mark.parametrize("status", [429, 503])
def test_a_control_plane_that_asks_to_be_left_alone_is(status: int, scripted: Plane) -> None:
    begin(scripted)
    scripted.will("changes", Answer(status, headers={"Retry-After": "1"}), changes(1))
    with client(scripted):
        until(lambda: len(scripted.requests("changes")) >= 2)
    assert gaps(scripted.requests("changes"))[0] >= 1


def test_the_same_trouble_is_logged_once(caplog: pytest.LogCaptureFixture, scripted: Plane) -> None:
    begin(scripted)
    scripted.will("changes", Answer(500))
    with client(scripted, poll_seconds=0.05):
        until(lambda: len(scripted.requests("changes")) > 5)
    about = [message for message in caplog.messages if "/changes" in message]
    assert about == [
        "The control plane answers 500 to GET /v1/runtime/changes. What runs goes on. It is tried again.",
    ]
    assert TOKEN not in caplog.text
    assert SECRET not in caplog.text


# --- being embedded ---------------------------------------------------------------------------------------------------


def test_the_callback_hears_of_each_pipeline_that_changed(scripted: Plane, tmp_path: Path) -> None:
    begin(scripted)
    scripted.will("changes", changes(2, pipeline("pip_a", 2, integration("pi_a", 2))), changes(3, removed("pip_a", 3)))
    heard: list[tuple[str, bool, bool]] = []

    def listen(change: Change) -> None:
        heard.append((change.pipeline_id, change.before is not None, change.after is not None))

    with client(scripted, on_change=listen):
        until(lambda: len(heard) == 3)
    assert heard == [("pip_a", False, True), ("pip_a", True, True), ("pip_a", True, False)]


def test_the_callback_hears_of_what_was_on_the_disk_before_start_returns(scripted: Plane, tmp_path: Path) -> None:
    begin(scripted)
    with client(scripted, tmp_path / "state") as here:
        until(lambda: here.status.version == 1)
    heard: list[tuple[str, threading.Thread]] = []

    def listen(change: Change) -> None:
        heard.append((change.pipeline_id, threading.current_thread()))

    with client(scripted, tmp_path / "state", on_change=listen):
        assert heard == [("pip_a", threading.current_thread())]


def test_a_callback_that_fails_disturbs_nothing(scripted: Plane, caplog: pytest.LogCaptureFixture) -> None:
    begin(scripted)
    scripted.will("changes", changes(2, pipeline("pip_a", 2, integration("pi_a", 2))), changes(2))

    def fail(change: Change) -> None:
        raise RuntimeError(SECRET)

    with client(scripted, on_change=fail) as here:
        until(lambda: revision(here) == 2)
        assert here.status.trouble == ""
    assert "on_change failed for pip_a: RuntimeError." in caplog.messages
    assert SECRET not in caplog.text


def test_a_client_ends_with_all_its_threads_and_is_not_started_twice(scripted: Plane) -> None:
    begin(scripted)
    before = threading.active_count()
    with client(scripted) as here:
        assert here.wait_until_ready(5)
        names = {thread.name for thread in threading.enumerate()}
        assert {"pinion_follow", "pinion_listen"} <= names
        with pytest.raises(RuntimeError):
            here.start()
    assert not {thread.name for thread in threading.enumerate()} & {"pinion_follow", "pinion_listen"}
    here.stop()
    Client(scripted.url, TOKEN, store=None, instance=None).stop()  # nor does it hurt to end what never began
    assert threading.active_count() <= before + 8  # the control plane's own, one for each connection


@pytest.mark.parametrize("url", ["no address", "ftp://host", ""])
def test_an_address_that_is_none_is_refused_where_it_is_given(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Client(url, TOKEN, store=None, instance=None)


@pytest.mark.parametrize("token", ["", "two words", "a\nline", "pinion_ü"])
def test_a_token_that_is_none_is_refused_where_it_is_given_and_not_repeated(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        Client("http://localhost:8084", token, store=None, instance=None)
    assert not token or token not in str(caught.value)
