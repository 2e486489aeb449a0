"""What keeps memory current outlives every fault, since it is started once and for all."""

import asyncio
from typing import cast

import pytest

from accounts.errors import Unavailable
from pipelines.feed.clerks import Clerks
from pipelines.feed.serving import watching
from pipelines.feed.serving.listening import listen
from pipelines.feed.serving.memory import Memory, Reader
from pipelines.feed.serving.watching import Watcher, for_ever
from tests.loops import run_async

BROKEN = cast(Reader, None)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BEGIN_AGAIN", 0.1)
    monkeypatch.setattr(watching, "ATTEMPTS", 20)


def test_a_listener_that_failed_listens_again(committed_db: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str | None] = []

    def tell(notice: str | None) -> None:
        heard.append(notice)
        if len(heard) == 1:
            raise ValueError("nobody foresaw this")

    async def run() -> None:
        task = asyncio.create_task(for_ever(lambda: listen(tell)))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_async(run())
    assert heard == [None, None]
    assert caplog.messages == ["What keeps the feed current has failed, and begins again"]


def test_a_watcher_that_failed_watches_again(committed_db: str, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        memory, clerks = Memory(1000), Clerks(1)
        watcher = Watcher(memory, clerks)
        memory.readers["broken"] = BROKEN
        try:
            with pytest.raises(Unavailable):
                await watcher.ready()
            del memory.readers["broken"]
            await asyncio.sleep(0.2)
            await watcher.ready()
        finally:
            await watcher.stop()
            clerks.dismiss()

    run_async(run())
    assert set(caplog.messages) == {"What keeps the feed current has failed, and begins again"}
