"""What people feel, measured at one size of a fleet."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle
from statistics import median
from typing import Any

from django.db import connection

from accounts.credentials import access_token
from pipelines.models import Pin
from pipelines.pins import update_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import plan_rollout
from tests.benchmarks.bench_feed import first_answer, poll
from tests.benchmarks.bench_feed_streams import megabytes
from tests.benchmarks.bench_pages import deep_cursor
from tests.benchmarks.growth.fleet import Fleet, tidy
from tests.benchmarks.loads import request_for, requests_per_second
from tests.clients import Api
from tests.console.people import at_console
from tests.queries import count_queries

MS, PER_SECOND, SECONDS, MICROSECONDS, MB = "ms", "a second", "s", "µs", "MB"
CONNECTIONS = 8
BARE = "UPDATE pipelines_configurationhead SET number = number + 1 WHERE organisation_id = %s"

Serve = Callable[[], AbstractContextManager[tuple[int, int]]]  # the port of a server of the feed, and its process id


@dataclass(frozen=True)
class Figure:
    """A value, and how many SQL statements it took where that says something."""

    value: float
    unit: str
    statements: int | None = None


Figures = dict[str, Figure]


@dataclass(frozen=True)
class Effort:
    """How long to look at one size."""

    runs: int = 9
    seconds: float = 1.0
    commits: int = 30
    editors: int = 8
    page: int = 50


def measure(fleet: Fleet, serve: Serve, effort: Effort) -> Figures:
    """All figures at the size that the fleet has now, by their names."""
    return (
        requests(fleet, effort)
        | changes(fleet, effort)
        | rollouts(fleet)
        | feed(fleet, serve, effort)
        | {"size of the database": Figure(database_megabytes(), MB)}
    )


def requests(fleet: Fleet, effort: Effort) -> Figures:
    """REST and console, as a person asks."""
    bearer = access_token(fleet.reader)
    api, console = Api(bearer), at_console(fleet.reader)
    last = 1_000_000 + fleet.size

    def rest(path: str, *, deep: bool = False) -> Callable[[], Any]:
        joint = "&" if "?" in path else "?"
        cursor = f"&cursor={deep_cursor(path, bearer, effort.page)[1]}" if deep else ""
        address = f"{path}{joint}limit={effort.page}{cursor}"
        return lambda: api.get(address)

    pins = "pipeline-integrations"
    asked = {
        f"REST: {effort.page} pins": rest(pins),
        "REST: pins of one team, outdated": rest(f"{pins}?label=team:team-2&outdated=true"),
        "REST: pins, page 1,000 or the last": rest(pins, deep=True),
        f"REST: {effort.page} pipelines": rest("pipelines"),
        "REST: pipelines, page 1,000 or the last": rest("pipelines", deep=True),
        "REST: one pipeline by a word": rest(f"pipelines?q=shop-{last}"),
        "REST: moving one pin": mover(fleet, api),
        "Console: home": lambda: console.get("/admin/"),
        "Console: fleet": lambda: console.get("/admin/fleet/"),
        "Console: integrations by a word": lambda: console.get(f"/admin/pipelines/pin/?q=shop+{last}"),
    }
    return {name: timed(ask, effort.runs) for name, ask in asked.items()}


def timed(ask: Callable[[], Any], runs: int) -> Figure:
    """The median of an answer in milliseconds, after one that warms up and whose statements are counted."""
    with count_queries() as queries:
        assert ask().status_code == 200
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return Figure(median(taken), MS, len(queries))


def mover(fleet: Fleet, api: Api) -> Callable[[], Any]:
    """One more change of the same pin with every call."""
    pin = fleet.pins(1)[0]
    turns = both_ways(fleet, pin)
    path = f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}"
    return lambda: api.put(path, {"revision_id": next(turns)})


def both_ways(fleet: Fleet, pin: Pin) -> Iterator[str]:
    """The revision at which the pin does not stand, that at which it does, and so on."""
    other = fleet.templates["c"].revisions.exclude(pk=pin.revision_id).get()
    return cycle([other.pk, pin.revision_id])


def changes(fleet: Fleet, effort: Effort) -> Figures:
    """How many changes one organisation takes in a second: of one editor, of several, and of bare SQL."""

    def move(pin: Pin) -> Callable[[], Any]:
        turns = both_ways(fleet, pin)
        return lambda: update_pin(
            actor=fleet.actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk, revision_id=next(turns)
        )

    def bare() -> None:
        with connection.cursor() as cursor:
            cursor.execute(BARE, [fleet.organisation.pk])

    moves = [move(pin) for pin in fleet.pins(effort.editors)]
    return {
        "changes by one editor": rate(moves[:1], effort.seconds),
        f"changes by {effort.editors} editors at once": rate(moves, effort.seconds),
        f"bare: versions taken by {effort.editors} at once": rate([bare] * len(moves), effort.seconds),
    }


def rate(acts: list[Callable[[], Any]], seconds: float) -> Figure:
    """How often all of these together are done, each in a thread of its own."""

    def work(act: Callable[[], Any]) -> int:
        done, end = 0, time.perf_counter() + seconds
        try:
            while time.perf_counter() < end:
                act()
                done += 1
        finally:
            connection.close()
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(len(acts)) as pool:
        done = sum(pool.map(work, acts))
    return Figure(done / (time.perf_counter() - began), PER_SECOND)


def rollouts(fleet: Fleet) -> Figures:
    """A rollout of one template's pins on all pipelines, in one wave, there and back; the quicker one counts."""
    taken = [there_or_back(fleet, number) for number in ("2", "1")]
    planning, moving = (min(each, key=lambda figure: figure.value) for each in zip(*taken, strict=True))
    return {
        "planning a rollout": planning,
        "… per pin planned": per_pipeline(planning, fleet.size),
        "applying it in one wave": moving,
        "… per pin moved": per_pipeline(moving, fleet.size),
    }


def there_or_back(fleet: Fleet, revision: str) -> tuple[Figure, Figure]:
    """Planning it, and carrying it out."""
    tidy()
    template_id = fleet.templates["a"].pk
    rollout, planning = once(lambda: plan_rollout(actor=fleet.actor, template_id=template_id, revision=revision))

    def carry_out() -> Any:
        start_rollout(actor=fleet.actor, rollout_id=rollout.pk)
        return advance(rollout.pk)

    ended, moving = once(carry_out)
    assert ended.state == "done"
    return planning, moving


def once(act: Callable[[], Any]) -> tuple[Any, Figure]:
    """What it gives; its seconds and its statements."""
    with count_queries() as queries:
        began = time.perf_counter()
        given = act()
        seconds = time.perf_counter() - began
    return given, Figure(seconds, SECONDS, len(queries))


def per_pipeline(whole: Figure, size: int) -> Figure:
    return Figure(whole.value / size * 1_000_000, MICROSECONDS)


def feed(fleet: Fleet, serve: Serve, effort: Effort) -> Figures:
    """One process that serves the feed to an event processor."""
    bearer = {"Authorization": f"Bearer {fleet.bearer}"}
    pin = fleet.pins(1)[0]
    path = f"/v1/runtime/pipelines/{pin.pipeline_id}"
    tidy()
    with serve() as (port, pid):
        tag, _ = first_answer(port, path, bearer)
        whole = requests_per_second(port, request_for(path, **bearer), b"200", CONNECTIONS, effort.seconds)
        asked = request_for(path, **bearer, If_None_Match=tag)
        unchanged = requests_per_second(port, asked, b"304", CONNECTIONS, effort.seconds)
        (first, length), (second, _) = (snapshot(port, bearer, fleet.size) for _ in range(2))
        seen = median(until_seen(fleet, pin, port, path, bearer) for _ in range(effort.commits))
        size = megabytes(pid)
    sent = min(first, second, key=lambda figure: figure.value)
    return {
        "Feed: 304 of one pipeline": Figure(unchanged, PER_SECOND),
        "Feed: 200 of one pipeline": Figure(whole, PER_SECOND),
        "Feed: from commit to seen": Figure(seen, MS),
        "a snapshot": sent,
        "… per pipeline sent": per_pipeline(sent, fleet.size),
        "… its size": Figure(length / 1_000_000, MB),
        "memory of the feed's process": Figure(size, MB),
    }


def snapshot(port: int, headers: dict[str, str], size: int) -> tuple[Figure, int]:
    """All pipelines over a socket, and how many bytes they are."""
    began, lines, length = time.perf_counter(), 0, 0
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as client:
        client.request("GET", "/v1/runtime/snapshot", headers=headers)
        answer = client.getresponse()
        while piece := answer.read(65536):
            lines += piece.count(b"\n")
            length += len(piece)
    assert lines > size
    return Figure(time.perf_counter() - began, SECONDS), length


def until_seen(fleet: Fleet, pin: Pin, port: int, path: str, headers: dict[str, str]) -> float:
    """Milliseconds from a commit to the moment when who asks by tag has the new answer."""
    tag, _ = first_answer(port, path, headers)
    pin.refresh_from_db()
    revision = next(both_ways(fleet, pin))
    with ThreadPoolExecutor(1) as thread:
        seen = thread.submit(poll, port, path, {**headers, "If-None-Match": tag})
        time.sleep(0.02)
        update_pin(actor=fleet.actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk, revision_id=revision)
        committed = time.perf_counter()
        return max(0.0, seen.result()[0] - committed) * 1000


def database_megabytes() -> float:
    """With its indexes, and all that it ever held and has not yet cleared away."""
    sizes = {
        "postgresql": "SELECT pg_database_size(current_database())",
        "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    }
    with connection.cursor() as cursor:
        cursor.execute(sizes[connection.vendor])
        return float(cursor.fetchone()[0]) / 1_000_000
