"""The reference client with 100,000 pipelines of three integrations each.

`make bench` runs it. It fails where a snapshot takes 10 s or more to be applied, or a single change 5 ms or more: of one
core, so that what else the machine does meanwhile does not count.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TypeVar

from accounts.credentials import access_token
from accounts.models import Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from pipelines.client import Client
from pipelines.client.running import Running, from_lines, to_lines
from pipelines.client.store import Store
from tests.benchmarks.bench_feed_fleet import fleet  # noqa: F401  # a fixture, which is found by its name
from tests.benchmarks.last_run import Record
from tests.factories import system
from tests.pipelines.client.planes import until
from tests.pipelines.client.said import integration, line, pipeline
from tests.pipelines.client.servers import Operator, killable

PIPELINES = 100_000
MOST_SECONDS = 10.0
MOST_MS = 5.0
CHANGES = 200
SEEN = 20

Result = TypeVar("Result")


def said(number: int, version: int, revision: int = 1) -> bytes:
    pins = [integration(f"pi_{number:012}_{letter}", revision) for letter in "abc"]
    return line(pipeline(f"pip_{number:016}", version, *pins))


def test_a_snapshot_and_a_single_change_are_applied_in_time(tmp_path: Path, record: Record) -> None:
    lines = [said(number, number) for number in range(PIPELINES)]
    here, first = timed(lambda: Running().after_snapshot("ep_1", PIPELINES, lines), time.process_time)
    again, second = timed(lambda: here.after_snapshot("ep_1", PIPELINES, lines), time.process_time)
    store = Store(tmp_path / "state", "pinion_a-token")
    _, written = timed(lambda: store.write(to_lines(again)))
    back, read = timed(lambda: from_lines(store.read() or []), time.process_time)
    assert len(back.pipelines) == PIPELINES
    single = sorted(one_change(again, number) for number in range(CHANGES))
    figure = f"{first:.1f} s the first time, {second:.1f} s over what runs"
    record(f"client: {PIPELINES:,} pipelines applied, CPU", figure, f"< {MOST_SECONDS:.0f} s")
    figure = f"{store.path.stat().st_size / 1e6:.0f} MB, written in {written:.1f} s, read in {read:.1f} s"
    record("client: the same on the disk", figure)
    figure = f"median {median(single):.2f} ms, slowest {single[-1]:.2f} ms of {CHANGES}"
    record("client: one change applied, CPU", figure, f"< {MOST_MS:.0f} ms")
    assert max(first, second) < MOST_SECONDS
    assert single[-1] < MOST_MS


def one_change(here: Running, number: int) -> float:
    """In milliseconds, from the page of changes to what `config` answers."""
    changed = said(number, PIPELINES + number, revision=2)
    change, seconds = timed(lambda: here.take_changes(PIPELINES + number, [changed], []), time.process_time)
    assert change[0].after is not None
    assert change[0].after.integrations[0].revision_number == 2
    return seconds * 1000


def timed(act: Callable[[], Result], clock: Callable[[], float] = time.perf_counter) -> tuple[Result, float]:
    """What it gives, and the seconds it took."""
    began = clock()
    return act(), clock() - began


def test_a_client_of_a_real_server_starts_with_100_000_pipelines_and_hears_of_a_change(
    committed_db: str,
    fleet: Organisation,  # noqa: F811  # the fixture
    admin_user: User,
    tmp_path: Path,
    record: Record,
) -> None:
    pipeline_id = f"pip_{7:016}"
    _, token = issue_token(actor=system(fleet), name="bench", scope=Role.PROCESSOR)
    with (
        killable(committed_db, tmp_path) as server,
        closing(Operator(server.url, access_token(admin_user))) as operator,
        Client(server.url, token, store=tmp_path / "state", instance=None, poll_seconds=300) as client,
    ):
        asked, started = timed(lambda: asked_until_ready(client, pipeline_id))
        record(f"client: started with {client.status.pipelines:,} pipelines from a real server", f"{started:.1f} s")
        figure = f"median {median(asked) * 1e6:.0f} µs, slowest {max(asked) * 1e3:.0f} ms of {len(asked):,}"
        record("client: asked for a config meanwhile", figure)
        until((tmp_path / "state").exists, 60)
        seen = sorted(until_seen(client, operator, pipeline_id, bool(number % 2)) for number in range(SEEN))
        assert client.status.pipelines > PIPELINES
    figure = f"median {median(seen) * 1000:.0f} ms, slowest {seen[-1] * 1000:.0f} ms of {SEEN}"
    record("client: a change runs, after REST has answered", figure)


def asked_until_ready(client: Client, pipeline_id: str) -> list[float]:
    """The seconds that each answer took."""
    taken = []
    while not client.wait_until_ready(0.001):
        taken.append(timed(lambda: client.config(pipeline_id))[1])
    return taken


def until_seen(client: Client, operator: Operator, pipeline_id: str, enabled: bool) -> float:
    operator.send("PATCH", f"pipelines/{pipeline_id}", {"enabled": enabled})
    return timed(lambda: until(lambda: is_enabled(client, pipeline_id) is enabled, 60))[1]


def is_enabled(client: Client, pipeline_id: str) -> bool | None:
    config = client.config(pipeline_id)
    return config.enabled if config else None
