"""The few threads that read: who waits for one waits no longer than they would, and then leaves nothing behind."""

import asyncio
from threading import Event

import pytest

from pipelines.feed.clerks import Clerks
from tests.loops import run_async


def test_who_finds_no_clerk_free_in_time_is_told_so_and_can_ask_again() -> None:
    done = Event()

    async def run() -> str:
        clerks = Clerks(1)
        busy = asyncio.create_task(clerks.read("first", lambda: done.wait(10)))
        await asyncio.sleep(0.05)
        asked = [asyncio.create_task(clerks.read("second", lambda: "never", patience=0.05)) for _ in range(2)]
        for task in asked:
            with pytest.raises(TimeoutError):
                await task
        done.set()
        assert await busy
        return await clerks.read("second", lambda: "read", patience=0.05)

    assert run_async(run()) == "read"


def test_a_job_that_has_begun_may_take_longer_than_who_asked_would_wait_for_its_turn() -> None:
    async def run() -> bool:
        return await Clerks(1).read("slow", lambda: Event().wait(0.1), patience=0.05)

    assert run_async(run()) is False
