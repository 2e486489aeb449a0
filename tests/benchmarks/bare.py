"""What the feed is measured against: ASGI applications that do nothing but answer, under the same server."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psycopg

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Message], Awaitable[None]]

# The answer of `constant`, as long as the one it is compared with.
BODY = b"x" * int(os.environ.get("BARE_LENGTH", "0"))
LENGTH = (b"content-length", str(len(BODY)).encode())
TAG = (b"etag", b'"ep_0000000000000000.12"')
NO_STORE = (b"cache-control", b"no-store")
HEADERS = [(b"content-type", b"application/json"), LENGTH, TAG, NO_STORE] if BODY else [TAG, NO_STORE]
START: Message = {"type": "http.response.start", "status": 200 if BODY else 304, "headers": HEADERS}
END: Message = {"type": "http.response.body", "body": BODY}

STREAM: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
BEGIN: Message = {"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True}

waiting: set["asyncio.Future[bytes]"] = set()
tasks: list["asyncio.Task[None]"] = []


async def constant(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """The same bytes to everybody."""
    await send(START)
    await send(END)


async def stream(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """What PostgreSQL notifies of, to everybody who listens."""
    if not tasks:
        tasks.append(asyncio.create_task(_fan_out()))
    await send(STREAM)
    await send(BEGIN)
    while True:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        waiting.add(future)
        await send({"type": "http.response.body", "body": await future, "more_body": True})


async def _fan_out() -> None:
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        await database.execute("LISTEN pinion_feed")
        async for notice in database.notifies():
            number = notice.payload.rpartition(" ")[2]
            event = f'id: {number}\nevent: version\ndata: {{"epoch":"ep","version":{number}}}\n\n'.encode()
            for future in list(waiting):
                future.set_result(event)
            waiting.clear()
