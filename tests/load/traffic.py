"""Everybody at once, each by the clock, for so many seconds."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from django.db import connection

from pipelines.versions import head
from tests.load.callers import PATIENCE, Caller
from tests.load.editors import Editor
from tests.load.ledger import Ledger
from tests.load.memory import Memory
from tests.load.pace import by_the_clock
from tests.load.processors import Embedded, Follower, Listener, Poller
from tests.load.readers import Reader, Session, Visitor
from tests.load.rollouts import Operator
from tests.load.scene import Scene
from tests.load.servers import METRICS_TOKEN, Servers

# How many clients there are of each kind, and the seconds from one step of each to its next; a step of an editor is two
# or three requests, one of a rollout's operator about thirty.
EDITORS_EVERY = 1.0
READERS, READERS_EVERY = 4, 0.5
VISITORS, VISITORS_EVERY = 2, 1.2
POLLERS, POLLERS_EVERY = 4, 0.4
CHANGES_EVERY, SNAPSHOTS_EVERY = 1.0, 4.0
LISTENERS = 8
DELIVERIES_EVERY = 0.5
SESSION_EVERY = 3.0
ROLLOUTS_EVERY = 20.0
SAMPLES_EVERY = 1.0
LAST_NEWS = 15.0  # seconds in which everybody has heard of the last version, after the last write


@dataclass
class Crowd:
    """Everybody, and what they noted."""

    ledger: Ledger
    memory: Memory
    pollers: list[Poller] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    embedded: list[Embedded] = field(default_factory=list)
    follower: Follower | None = None
    operator: Operator | None = None
    histories: dict[str, list[Any]] = field(default_factory=dict)  # over REST, by pipeline
    audit_log: list[Any] = field(default_factory=list)  # over REST
    began: float = 0.0
    ended: float = 0.0


async def traffic(servers: Servers, scene: Scene, folder: Path, seconds: float) -> Crowd:
    """Let them come, wait until everybody has heard of the last change, and read back what REST says happened."""
    crowd = Crowd(Ledger(), Memory(servers.processes))
    async with asking(servers) as (web, feed):
        crowd.pollers = [Poller(Caller(feed, crowd.ledger, scene.processors[0]), scene, n) for n in range(POLLERS)]
        crowd.listeners = [
            Listener(Caller(feed, crowd.ledger, scene.processors[1]), reconnects=n % 2 == 1) for n in range(LISTENERS)
        ]
        crowd.embedded = [
            Embedded(servers.feed, bearer, crowd.ledger, scene, folder, n) for n, bearer in enumerate(scene.processors)
        ]
        crowd.follower = Follower(Caller(feed, crowd.ledger, scene.processors[2]))
        await _go_about(crowd, web, scene, seconds)
        await _read_back(crowd, Caller(web, crowd.ledger, scene.admin), scene)
    return crowd


@asynccontextmanager
async def asking(servers: Servers) -> AsyncGenerator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Of web and feed. A proxy opens a connection for each request, and so do these."""
    anew = httpx.Limits(max_keepalive_connections=0)
    async with AsyncExitStack() as stack:
        made = [
            httpx.AsyncClient(base_url=url, limits=anew, timeout=PATIENCE, trust_env=False)
            for url in (servers.web, servers.feed)
        ]
        yield await stack.enter_async_context(made[0]), await stack.enter_async_context(made[1])


async def _go_about(crowd: Crowd, web: httpx.AsyncClient, scene: Scene, seconds: float) -> None:
    ledger = crowd.ledger
    visitors = [Visitor(web, ledger, Caller(web, ledger, scene.viewer), scene, n) for n in range(VISITORS)]
    for visitor in visitors:
        await visitor.log_in()
    for embedded in crowd.embedded:
        embedded.client.start()
    listening = [asyncio.create_task(listener.listen()) for listener in crowd.listeners]
    watching = asyncio.create_task(crowd.memory.watch(min(SAMPLES_EVERY, seconds / 60)))
    try:
        crowd.began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for work in _work(crowd, web, visitors, scene, crowd.began + seconds):
                group.create_task(work)
        crowd.ended = time.monotonic()
        watching.cancel()
        await _settle(crowd, scene)
    finally:
        for task in (*listening, watching):
            task.cancel()
        await asyncio.gather(*listening, watching, return_exceptions=True)
        for embedded in crowd.embedded:
            await asyncio.to_thread(embedded.client.stop)


def _work(
    crowd: Crowd, web: httpx.AsyncClient, visitors: Sequence[Visitor], scene: Scene, until: float
) -> list[Coroutine[Any, Any, None]]:
    ledger, follower = crowd.ledger, crowd.follower
    assert follower is not None

    def web_caller(bearer: str) -> Caller:
        return Caller(web, ledger, bearer)

    admin, metrics = web_caller(scene.admin), web_caller(METRICS_TOKEN)
    rivals = [*scene.editors[1:], scene.editors[0]]
    callers = [(web_caller(me), web_caller(rival)) for me, rival in zip(scene.editors, rivals, strict=True)]
    editors = [Editor(me, rival, admin, scene, number) for number, (me, rival) in enumerate(callers)]
    crowd.operator = Operator(web_caller(scene.editors[0]), scene)
    clock = partial(by_the_clock, ledger, until=until)
    return [
        *(clock(editor.step, every=EDITORS_EVERY) for editor in editors),
        *(clock(Reader(admin, metrics, scene, n).step, every=READERS_EVERY) for n in range(READERS)),
        *(clock(poller.step, every=POLLERS_EVERY) for poller in crowd.pollers),
        *(clock(embedded.step, every=DELIVERIES_EVERY) for embedded in crowd.embedded),
        clock(follower.snapshot, every=SNAPSHOTS_EVERY),
        clock(follower.changes, every=CHANGES_EVERY),
        *(clock(visitor.step, every=VISITORS_EVERY) for visitor in visitors),
        clock(Session(web_caller(""), scene).step, every=SESSION_EVERY),
        clock(crowd.operator.cycle, every=ROLLOUTS_EVERY),
    ]


async def _settle(crowd: Crowd, scene: Scene) -> None:
    """Until every stream, processor and follower has heard of the last version."""
    newest = await asyncio.to_thread(_newest, scene)
    deadline = time.monotonic() + LAST_NEWS
    while not _all_heard(crowd, newest):
        if time.monotonic() > deadline:
            crowd.ledger.surprise(f"Not everybody has heard of version {newest}.")
            break
        await asyncio.sleep(0.05)
    if crowd.follower is not None:
        await crowd.follower.changes(0)
        await crowd.follower.snapshot(0)


def _all_heard(crowd: Crowd, newest: int) -> bool:
    streams = all(listener.heard and listener.heard[-1].version >= newest for listener in crowd.listeners)
    return streams and all(embedded.client.status.version >= newest for embedded in crowd.embedded)


def _newest(scene: Scene) -> int:
    try:
        return head(scene.organisation.pk)[1]
    finally:
        connection.close()


async def _read_back(crowd: Crowd, admin: Caller, scene: Scene) -> None:
    """All of the history of the pipelines that are still there, and all of the audit log, page by page."""
    for pipeline in scene.pipelines:
        path = f"v1/admin/pipelines/{pipeline}/history"
        crowd.histories[pipeline] = await _pages(admin, "list_pipeline_history", path, "history")
    crowd.audit_log = await _pages(admin, "list_audit_entries", "v1/admin/audit-log", "entries")


async def _pages(admin: Caller, kind: str, path: str, name: str) -> list[Any]:
    found: list[Any] = []
    cursor = ""
    while True:
        said = (await admin.ask(kind, "GET", f"{path}?limit=100{cursor}")).json()
        found += said[name]
        if not said["has_more"]:
            return found
        cursor = f"&cursor={said['next_cursor']}"
