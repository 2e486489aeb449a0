"""What servers hand over, mended where Django would trip over it: both doors import this before Django is set up.

Django reads as much of a body as Content-Length says, and so nothing of a chunked one, which has none.
"""

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
OTHER_CHARSET = re.compile(r"charset\s*=(?!\s*\"?utf-?8\b)[^;]*", re.IGNORECASE)  # Django decodes addresses by it


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
        if environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH"):
            body = Taken()
            while (chunk := environ["wsgi.input"].read(CHUNK)) and body.take(chunk):
                pass
            environ |= {"wsgi.input": BytesIO(body.kept), "CONTENT_LENGTH": str(len(body.kept))}
        environ["CONTENT_TYPE"] = OTHER_CHARSET.sub("charset=other", environ.get("CONTENT_TYPE", ""))
        return application(environ, start_response)

    return mended


class ReadableHandler(ASGIHandler):
    """Django's own, which would write a body of any size to the disk before it looks at the request."""

    async def read_body(self, receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> IO[bytes]:
        """Raises RequestAborted."""
        body = Taken()
        wanted = True
        while wanted:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            wanted = body.take(message.get("body", b"")) and message.get("more_body", False)
        return BytesIO(body.kept)

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """Without a length the body would not be read."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        length = body_file.seek(0, os.SEEK_END)
        body_file.seek(0)
        measured = [*headers, (b"content-length", str(length).encode())] if length else headers
        return super().create_request({**scope, "headers": measured}, body_file)
