"""The few threads that read the database for the event loop, each with a connection of its own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

from django.db import close_old_connections, connections

T = TypeVar("T")

QUIET = 5.0  # seconds in which a connection is believed to be still there


class Clerk:
    """One thread: Django's connections belong to threads, so whoever reads in several steps keeps to one clerk."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "feed")
        self._last = 0.0

    async def do(self, job: Callable[[], T]) -> T:
        """Run the job there. Whoever gives up waiting leaves it running, and the next job waits behind it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def read(self, job: Callable[[], T]) -> T:
        """As `do`, with a connection that was open a moment ago or is looked at first, and is left after any fault."""
        return await self.do(lambda: self._connected(job))

    async def each(self, iterator: Iterator[T]) -> AsyncGenerator[T]:
        """What the iterator yields, one step at a time as it is asked for; it is closed there, too."""
        try:
            while (item := await self.do(lambda: next(iterator, None))) is not None:
                yield item
        finally:
            self._thread.submit(getattr(iterator, "close", _nothing))

    def _connected(self, job: Callable[[], T]) -> T:
        if monotonic() > self._last + QUIET:
            close_old_connections()
        try:
            result = job()
        except Exception:
            connections.close_all()
            raise
        self._last = monotonic()
        return result

    def dismiss(self) -> None:
        self._thread.submit(connections.close_all)
        self._thread.shutdown(wait=False)

    def wait(self) -> None:
        self._thread.shutdown(wait=True)


class Clerks:
    """A bounded number of clerks; who wants one waits until one is free."""

    def __init__(self, count: int) -> None:
        self._all = [Clerk() for _ in range(count)]
        self._free: asyncio.LifoQueue[Clerk] = asyncio.LifoQueue()
        for clerk in self._all:
            self._free.put_nowait(clerk)
        self._waiting: dict[Hashable, asyncio.Task[Any]] = {}

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Clerk]:
        clerk = await self._free.get()
        try:
            yield clerk
        finally:
            self._free.put_nowait(clerk)

    async def read(self, key: Hashable, job: Callable[[], T], *, patience: float | None = None) -> T:
        """Run the job. Whoever asks for the same while it has not begun yet shares it, and nobody does after that.

        So a thousand who ask at once cost one statement or two, and none is given what was read before they asked.
        Raises TimeoutError where no clerk was free for it within so many seconds.
        """
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.create_task(self._run(key, job, patience))
        result: T = await asyncio.shield(task)
        return result

    def dismiss(self) -> None:
        """Let all of them finish, and close their connections."""
        for clerk in self._all:
            clerk.dismiss()
        for clerk in self._all:
            clerk.wait()

    async def _run(self, key: Hashable, job: Callable[[], T], patience: float | None) -> T:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(patience):
                    clerk = await stack.enter_async_context(self.one())
            finally:
                del self._waiting[key]
            return await clerk.read(job)


def _nothing() -> None:
    """In place of closing what cannot be closed."""
