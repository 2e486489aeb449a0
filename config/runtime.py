"""The two applications behind one ASGI address: the runtime feed where processors read, Django for all the rest."""

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from types import FrameType
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.ids import new_id
from config.exposition import METRICS, STANDING
from config.metrics import observe
from config.rest.arrival import bound_heads
from config.rest.errors import answer_to
from config.rest.requests import REQUEST_ID, current_request_id
from config.rest.servers import ReadableHandler
from pipelines.feed.serving.addresses import is_read, route_of
from pipelines.feed.serving.application import Answer, Feed
from pipelines.feed.serving.memory import Message, Receive, Send


class Application:
    """Django does not see what it need not see: alone it would answer a thirtieth of the requests."""

    def __init__(self) -> None:
        self._feed = Feed(refuse)
        self._django: Any = ReadableHandler()
        self._insists_on_tls = settings.SECURE_SSL_REDIRECT

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_read(scope) and (not self._insists_on_tls or _is_secure(scope)):
            await self._feed(scope, receive, _measured(scope, send))
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope.get("path") == METRICS:
            await self._django({**scope, STANDING: self._feed.standing()}, receive, send)
        else:
            await self._django(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The feed starts with its first reader, and stops with the server."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._feed.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
            bound_heads(receive)
            self._end_streams_early()
            await send({"type": "lifespan.startup.complete"})

    def _end_streams_early(self) -> None:
        """A server that is told to stop waits for every answer to end before it says so: the streams end by themselves.

        Where it listens for signals it did so before this, and still hears them.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler) and threading.current_thread() is threading.main_thread():
                signal.signal(number, partial(_also, loop, self._feed.end_streams, handler))


def _also(
    loop: asyncio.AbstractEventLoop,
    first: Callable[[], None],
    handler: Callable[[int, FrameType | None], Any],
    number: int,
    frame: FrameType | None,
) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(first)
    handler(number, frame)


def _measured(scope: Mapping[str, Any], send: Send) -> Send:
    """Until an answer begins, as Django's are measured: a stream goes on for hours."""
    began = perf_counter()

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            observe(route_of(scope["path"]), scope["method"], message["status"], perf_counter() - began)
        await send(message)

    return sending


def refuse(error: Exception) -> Answer:
    """As everywhere under /v1, with an id under which the log has what went wrong."""
    request = HttpRequest()
    request_id = request.META[REQUEST_ID] = new_id("req")
    token = current_request_id.set(request_id)
    try:
        response = answer_to(error, request)
    finally:
        current_request_id.reset(token)
    named = {**response.headers, "X-Request-ID": request_id, "Cache-Control": "no-store"}
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
    return Answer(response.status_code, headers, response.content)


def _is_secure(scope: Mapping[str, Any]) -> bool:
    """Whether it came by TLS, as Django sees it; what did not is left to Django, which answers with a redirect."""
    if scope["scheme"] == "https":
        return True
    forwarded = next((value for name, value in scope["headers"] if name == b"x-forwarded-proto"), b"")
    return settings.TRUSTED_PROXIES > 0 and forwarded.partition(b",")[0].strip() == b"https"
