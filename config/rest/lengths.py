"""Bodies of a length that nobody said (chunked ones): measured for Django, which reads as much as Content-Length says.

Both servers import this before Django is set up, so nothing here knows the models.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from io import BytesIO
from typing import IO, Any
from urllib.parse import quote_from_bytes
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponseBase

CHUNK = 64 * 1024
POLITE = 32 * 1024 * 1024  # so much of a body that is too large is still taken in, to let its sender hear the answer
ASCII = bytes(range(128))


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


def with_lengths(application: WSGIApplication) -> WSGIApplication:
    """The application for servers that say they pass chunked bodies on."""

    def measured(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH"):
            body = Taken()
            while (chunk := environ["wsgi.input"].read(CHUNK)) and body.take(chunk):
                pass
            environ |= {"wsgi.input": BytesIO(body.kept), "CONTENT_LENGTH": str(len(body.kept))}
        return application(environ, start_response)

    return measured


class MeasuringHandler(ASGIHandler):
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
        """Without a length the body would not be read; a query string of other bytes than ASCII would fail."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        length = body_file.seek(0, os.SEEK_END)
        body_file.seek(0)
        query = quote_from_bytes(scope.get("query_string", b""), safe=ASCII).encode()
        measured = [*headers, (b"content-length", str(length).encode())] if length else headers
        return super().create_request({**scope, "headers": measured, "query_string": query}, body_file)
