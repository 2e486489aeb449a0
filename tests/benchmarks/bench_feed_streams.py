"""Thousands of streams of the runtime feed: how soon the last is told beside a bare fan-out, and what idle ones take.

`make bench` runs it.
"""

import asyncio
import resource
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import psycopg
import pytest

from accounts.models import Organisation
from tests.benchmarks.last_run import Record
from tests.benchmarks.loads import request_for, served_on_one_core
from tests.factories import PipelineFactory
from tests.pipelines.feed.clients import processor_token

STREAMS = 1000
ROUNDS = 10
MOST_TIMES_BARE = 2.0
IDLE = 5000
MOST_MEGABYTES = 500
NEXT = "UPDATE pipelines_configurationhead SET number = number + 1 RETURNING number"

pytestmark = pytest.mark.usefixtures("other_core", "many_files")


@pytest.fixture
def many_files() -> Generator[None]:
    """A socket each."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Listener(asyncio.Protocol):
    """One stream; it keeps the number of the newest version, and when that came."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.number = -1
        self.moment = 0.0
        self.began = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.began = self.began or b"retry: " in data
        _, found, rest = data.rpartition(b"id: ")
        if found:
            self.number = int(rest.partition(b"\n")[0].rpartition(b".")[2])
            self.moment = time.perf_counter()


@asynccontextmanager
async def opened(port: int, request: bytes, count: int) -> AsyncGenerator[list[Listener]]:
    """So many streams that have begun."""
    loop = asyncio.get_running_loop()
    made: list[Listener] = []

    def made_all_begun() -> bool:
        return all(each.began for each in made)

    try:
        while len(made) < count:
            some = [loop.create_connection(lambda: Listener(request), "127.0.0.1", port) for _ in range(100)]
            made.extend([listener for _, listener in await asyncio.gather(*some)])
            await until(made_all_begun)
        yield made
    finally:
        for each in made:
            each.transport.abort()
        await asyncio.sleep(0.1)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("It did not come to that.")


async def told(listeners: list[Listener], database: "psycopg.AsyncConnection[tuple[int]]") -> float:
    """From the commit of a version to the moment when the last of them has it."""
    row = await (await database.execute(NEXT)).fetchone()
    committed = time.perf_counter()
    assert row is not None
    await until(lambda: all(each.number == row[0] for each in listeners))
    return max(each.moment for each in listeners) - committed


def test_the_last_of_a_thousand_streams_is_told_almost_as_soon_as_by_a_bare_fan_out(
    committed_db: str, organisation: Organisation, record: Record
) -> None:
    PipelineFactory(organisation=organisation)
    request = request_for("/v1/runtime/stream", Authorization=f"Bearer {processor_token(organisation)[1]}")

    async def compare(ours: int, bare: int) -> list[tuple[float, float]]:
        async with (
            await psycopg.AsyncConnection.connect(committed_db, autocommit=True) as database,
            opened(ours, request, STREAMS) as mine,
            opened(bare, request, STREAMS) as theirs,
        ):
            await told([*mine, *theirs], database)
            return [(await alone(mine, database), await alone(theirs, database)) for _ in range(ROUNDS)]

    async def alone(listeners: list[Listener], database: "psycopg.AsyncConnection[tuple[int]]") -> float:
        await asyncio.sleep(0.3)  # for the other server to be done with its own
        return await told(listeners, database)

    with (
        served_on_one_core("config.asgi:application", DATABASE_URL=committed_db) as (ours, _),
        served_on_one_core("tests.benchmarks.bare:stream", DATABASE_URL=committed_db) as (bare, _),
    ):
        times = asyncio.run(compare(ours, bare))
    mine, theirs = (median(each) * 1000 for each in zip(*times, strict=True))
    figure = f"{mine:.0f} ms, {theirs:.0f} ms by a bare fan-out: {mine / theirs:.1f} ×"
    record(f"feed: from commit to the last of {STREAMS:,} streams", figure, f"≤ {MOST_TIMES_BARE} ×")
    assert mine <= MOST_TIMES_BARE * theirs


def test_five_thousand_idle_streams_take_little_memory(
    committed_db: str, organisation: Organisation, record: Record
) -> None:
    PipelineFactory(organisation=organisation)
    request = request_for("/v1/runtime/stream", Authorization=f"Bearer {processor_token(organisation)[1]}")

    async def hold(port: int, pid: int) -> int:
        async with opened(port, request, IDLE) as listeners:
            await until(lambda: all(each.number == 1 for each in listeners))
            await asyncio.sleep(2)
            return megabytes(pid)

    with served_on_one_core("config.asgi:application", DATABASE_URL=committed_db) as (port, pid):
        taken = asyncio.run(hold(port, pid))
    record(f"feed: {IDLE:,} idle streams", f"{taken} MB", f"< {MOST_MEGABYTES} MB")
    assert taken < MOST_MEGABYTES


def megabytes(pid: int) -> int:
    """What the process holds in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024
