"""Sending a long answer piece by piece, as fast as its reader takes it and no longer than it is wanted."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic, time

from accounts.errors import Unavailable
from pipelines.feed.serving.memory import NO_STORE, Message, Reader, Receive, Send

PATIENCE = 30.0  # seconds in which a client has to take one piece
LONGEST = 900.0  # seconds for all of them: so long the database keeps for us what others have deleted
START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/x-ndjson"), NO_STORE, (b"x-accel-buffering", b"no")],
}


async def send_pieces(pieces: AsyncIterator[bytes], reader: Reader, receive: Receive, send: Send) -> None:
    """Raises Unavailable where an answer has to break off; one whose client has gone just ends."""
    until = monotonic() + LONGEST
    gone = asyncio.create_task(until_gone(receive))
    reader.open += 1
    try:
        body = await anext(pieces)
        await send(START)
        async for following in pieces:
            if gone.done():
                return
            if not reader.live or time() > reader.expires_at or monotonic() > until:
                raise Unavailable("The reader of a snapshot lost its right to it, or took too long.")
            async with asyncio.timeout(PATIENCE):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            body = following
        await send({"type": "http.response.body", "body": body})
    finally:
        reader.open -= 1
        gone.cancel()


async def until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
