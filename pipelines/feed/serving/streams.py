"""The stream of versions: a hint to fetch changes, held by thousands, and never in the way of anybody."""

import asyncio
from time import time

from pipelines.feed.reading import Head
from pipelines.feed.serving.memory import NO_STORE, Message, Organisation, Reader, Receive, Send

PATIENCE = 20.0  # seconds in which a client has to take what it is sent
SLACK = 0.01  # seconds, since event loops may count in whole milliseconds and wake early
NOT_TOLD = Head("", -1)
RETRY: Message = {"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True}
BEAT: Message = {"type": "http.response.body", "body": b": beat\n\n", "more_body": True}
END: Message = {"type": "http.response.body", "body": b""}
START: Message = {
    "type": "http.response.start",
    "status": 200,
    # The last is for nginx, which would collect what comes before it passes it on.
    "headers": [(b"content-type", b"text/event-stream"), NO_STORE, (b"x-accel-buffering", b"no")],
}


class Streams:
    """All that are open in this process. Nothing is queued: who was not told yet is told of the newest version alone."""

    def __init__(self, heartbeat: float) -> None:
        self._heartbeat = heartbeat
        self._closing = False

    def close(self) -> None:
        """End each as soon as it is woken."""
        self._closing = True

    async def serve(self, reader: Reader, last_seen: str, receive: Receive, send: Send) -> None:
        """Until the client goes, does not take what it is sent, or may not read any more."""
        stream = _Stream(reader, send)
        gone = asyncio.create_task(stream.until_gone(receive))
        reader.open += 1
        try:
            await stream.send(START)
            await stream.send(RETRY)
            told = reader.organisation.head if last_seen == reader.organisation.head.mark else NOT_TOLD
            while not gone.done() and reader.live and time() < reader.expires_at and not self._closing:
                told = await self._step(stream, told)
            await stream.send(END)
        except TimeoutError:
            return  # the server closes the connection, since the answer has no end
        finally:
            reader.open -= 1
            gone.cancel()

    async def _step(self, stream: "_Stream", told: Head) -> Head:
        """Say what is new, or else wait for it; the newest version that the client knows then."""
        organisation = stream.reader.organisation
        head = organisation.head
        if told != head:
            await stream.send(_event(organisation))
        elif not await stream.woken(min(self._heartbeat, stream.reader.expires_at - time() + SLACK)):
            await stream.send(BEAT)
        return head


class _Stream:
    """One client that listens."""

    def __init__(self, reader: Reader, send: Send) -> None:
        self.reader = reader
        self._send = send
        self._waiting: asyncio.Future[bool] | None = None

    async def send(self, message: Message) -> None:
        """Raises TimeoutError for a client that does not read."""
        async with asyncio.timeout(PATIENCE):
            await self._send(message)

    async def woken(self, patience: float) -> bool:
        """Whether anything happened before patience ended."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting = waiting
        self.reader.organisation.waiting.add(waiting)
        timer = loop.call_later(patience, _settle, waiting, False)
        try:
            return await waiting
        finally:
            timer.cancel()
            self.reader.organisation.waiting.discard(waiting)

    async def until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if self._waiting is not None:
            _settle(self._waiting, True)


def _settle(waiting: "asyncio.Future[bool]", happened: bool) -> None:
    if not waiting.done():
        waiting.set_result(happened)


def _event(organisation: Organisation) -> Message:
    """The same for all who are told of this version."""
    head = organisation.head
    if organisation.event is None:
        data = f'{{"epoch":"{head.epoch}","version":{head.number}}}'
        body = f"id: {head.mark}\nevent: version\ndata: {data}\n\n".encode()
        organisation.event = {"type": "http.response.body", "body": body, "more_body": True}
    return organisation.event
