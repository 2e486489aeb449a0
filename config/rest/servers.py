"""What servers hand over, mended where Django would trip over it: both doors import this before Django is set up.

Django reads as much of a body as Content-Length says, and so nothing of a chunked one, which has none. Of one that ends
too early it reads what there is, and would act on it.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from io import BytesIO
from typing import IO, Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponseBase

CHUNK = 64 * 1024
POLITE = 32 * 1024 * 1024  # so much of a body that is too large is still taken in, to let its sender hear the answer
arriving: dict[Any, float] = {}  # when each request began to arrive that has a thread of gunicorn's; see threads.py
OTHER_CHARSET = re.compile(r"charset\s*=(?!\s*\"?utf-?8\b)[^;]*", re.IGNORECASE)  # Django decodes addresses by it

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Cut(BytesIO):
    """A body of which not all has come; whoever reads it is told so."""

    def read(self, *args: Any) -> bytes:
        raise OSError("The body ended before all of it was here.")


class Taken:
    """A body as it comes in; of one that is too large no more is kept than shows that it is."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.seen = 0

    def take(self, chunk: bytes) -> bool:
        """Whether to go on."""
        self.kept += chunk[: settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1 - len(self.kept)]
        self.seen += len(chunk)
        return self.seen < POLITE


def readable(application: WSGIApplication) -> WSGIApplication:
    """The application, for servers that pass chunked bodies on and clients that name charsets which are none."""

    def mended(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        if length or environ.get("wsgi.input_terminated"):
            body = Taken()
            while (chunk := environ["wsgi.input"].read(CHUNK)) and body.take(chunk):
                pass
            is_cut = body.seen < min(int(length or 0), POLITE)
            environ["wsgi.input"] = Cut() if is_cut else BytesIO(body.kept)
            environ["CONTENT_LENGTH"] = length or str(len(body.kept))
        arriving.pop(environ.get("gunicorn.socket"), None)
        environ["CONTENT_TYPE"] = OTHER_CHARSET.sub("charset=other", environ.get("CONTENT_TYPE", ""))
        return application(environ, start_response)

    return mended


class ReadableHandler(ASGIHandler):
    """Django's own, which would write a body of any size to the disk before it looks at the request."""

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """What takes too long to come counts as ended. Raises RequestAborted."""
        body = Taken()
        wanted = True
        try:
            async with asyncio.timeout(settings.REQUEST_SECONDS):
                while wanted:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestAborted
                    wanted = body.take(message.get("body", b"")) and message.get("more_body", False)
        except TimeoutError:
            return Cut(b"cut")
        return BytesIO(body.kept)

    async def listen_for_disconnect(self, receive: Receive) -> None:
        """What still comes of a body that nobody waits for is let go. Raises RequestAborted."""
        while (await receive())["type"] != "http.disconnect":
            pass
        raise RequestAborted

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Without a length the body would not be read."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        length = body_file.seek(0, os.SEEK_END)
        body_file.seek(0)
        measured = [*headers, (b"content-length", str(length).encode())] if length else headers
        return super().create_request({**scope, "headers": measured}, body_file)
