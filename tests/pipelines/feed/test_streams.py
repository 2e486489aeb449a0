"""`GET /v1/runtime/stream`: told of every version, missing none, and dropped when nobody listens."""

import asyncio
import time
import tracemalloc
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Organisation
from pipelines.feed.reading import Head
from pipelines.feed.serving import streams
from pipelines.feed.serving.memory import Memory, Message, Reader
from pipelines.feed.serving.streams import Streams
from pipelines.models import ConfigurationHead
from tests.config.servers import Served, serving
from tests.factories import PipelineFactory
from tests.loops import run_async
from tests.pipelines.feed.clients import FeedReader, processor_token


def mark(number: int) -> str:
    return f"{ConfigurationHead.objects.get().epoch}.{number}"


def test_a_stream_begins_with_the_newest_version(organisation: Organisation, reader: FeedReader) -> None:
    PipelineFactory(organisation=organisation)
    epoch = ConfigurationHead.objects.get().epoch
    with reader.stream() as stream:
        assert stream.block() == "retry: 2000\n"
        assert stream.block() == f'id: {epoch}.1\nevent: version\ndata: {{"epoch":"{epoch}","version":1}}\n'


def test_every_version_is_told_of_to_everybody_of_the_organisation(
    organisation: Organisation, other_organisation: Organisation, reader: FeedReader, feed_server: Served
) -> None:
    stranger = FeedReader(feed_server, processor_token(other_organisation)[1])
    with reader.stream() as first, reader.stream() as second, stranger.stream() as elsewhere:
        assert [first.version(), second.version(), elsewhere.version()] == [0, 0, 0]
        for number in range(1, 6):
            PipelineFactory(organisation=organisation)
            assert (first.version(), second.version()) == (number, number)
        PipelineFactory(organisation=other_organisation)
        assert elsewhere.version() == 1


def test_who_is_told_finds_it_when_they_ask(organisation: Organisation, reader: FeedReader) -> None:
    with reader.stream() as stream:
        stream.version()
        for number in range(1, 10):
            pipeline = PipelineFactory(organisation=organisation)
            assert stream.version() == number
            assert reader.pipeline(pipeline.pk).body["version"] == number
            assert reader.changes(since=number - 1).body["to_version"] == number


def test_who_comes_back_is_told_only_of_what_is_new(organisation: Organisation, reader: FeedReader) -> None:
    PipelineFactory(organisation=organisation)
    with reader.stream(Last_Event_ID=mark(1)) as stream:
        assert (stream.block(), stream.block()) == ("retry: 2000\n", ": beat\n")
        PipelineFactory(organisation=organisation)
        assert stream.event()["id"].strip() == mark(2)
    for known in ("ep_another.2", mark(1), "nonsense"):
        with reader.stream(Last_Event_ID=known) as stream:
            assert stream.event()["id"].strip() == mark(2)


def test_a_quiet_stream_beats(reader: FeedReader) -> None:
    with reader.stream() as stream:
        stream.version()
        began = time.monotonic()
        assert [stream.block(), stream.block()] == [": beat\n", ": beat\n"]
        assert 1.5 < time.monotonic() - began < 4


def test_a_server_that_is_told_to_stop_ends_its_streams(
    committed_db: str, organisation: Organisation, tmp_path: Path
) -> None:
    reader = processor_token(organisation)[1]
    with ExitStack() as outlives:
        with serving(committed_db, tmp_path) as served:
            stream = outlives.enter_context(FeedReader(served, reader).stream())
            stream.version()
            began = time.monotonic()
        assert time.monotonic() - began < 3
        assert stream.block() == ""
    assert "ERROR" not in served.log.read_text()


class Client:
    """The other end, as an ASGI server stands for it; `reads` until told not to."""

    def __init__(self) -> None:
        self.took: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.left = asyncio.Event()

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        self.took.append(message.get("body", b""))

    async def receive(self) -> Mapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}


def known() -> Reader:
    return Reader("tok_a", Memory(1000).organisation("org_a", Head("ep_a", 0)), time.time() + 60, None)


def test_who_does_not_read_is_dropped_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.2)

    async def run() -> tuple[list[bytes], list[bytes], int]:
        reader, slow, quick = known(), Client(), Client()
        every = Streams(heartbeat=5)
        tasks = [asyncio.create_task(every.serve(reader, "", each.receive, each.send)) for each in (slow, quick)]
        await asyncio.sleep(0.01)
        slow.reads.clear()
        for number in range(1, 2001):
            reader.organisation.move(Head("ep_a", number))
            await asyncio.sleep(0)
        await asyncio.wait_for(tasks[0], 2)
        left = reader.open
        quick.left.set()
        await asyncio.wait_for(tasks[1], 2)
        return slow.took, quick.took, left

    slow, quick, left = run_async(run())
    assert len(slow) == 3
    assert b"id: ep_a.2000\n" in quick[-2]
    assert left == 1


def test_a_stream_ends_when_its_token_expires_and_not_with_the_next_heartbeat() -> None:
    async def run() -> tuple[float, list[bytes]]:
        reader, client = known(), Client()
        reader.expires_at = time.time() + 0.3
        began = time.monotonic()
        await asyncio.wait_for(Streams(heartbeat=30).serve(reader, "", client.receive, client.send), 5)
        return time.monotonic() - began, client.took

    lasted, took = run_async(run())
    assert 0.2 < lasted < 2
    assert took[3:] == [b": beat\n\n", b""]


def test_versions_that_nobody_takes_take_no_memory() -> None:
    async def run() -> int:
        reader, slow = known(), Client()
        task = asyncio.create_task(Streams(heartbeat=5).serve(reader, "", slow.receive, slow.send))
        await asyncio.sleep(0.01)
        slow.reads.clear()
        reader.organisation.move(Head("ep_a", 1))
        await asyncio.sleep(0.01)
        tracemalloc.start()
        for number in range(2, 20_000):
            reader.organisation.move(Head("ep_a", number))
        await asyncio.sleep(0.01)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        slow.left.set()
        slow.reads.set()
        await asyncio.wait_for(task, 2)
        return grown

    assert run_async(run()) < 20_000


def test_who_has_gone_is_forgotten() -> None:
    async def run() -> tuple[int, int]:
        reader, client = known(), Client()
        task = asyncio.create_task(Streams(heartbeat=5).serve(reader, "", client.receive, client.send))
        await asyncio.sleep(0.01)
        client.left.set()
        await asyncio.wait_for(task, 2)
        return reader.open, len(reader.organisation.waiting)

    assert run_async(run()) == (0, 0)
