"""The application for ASGI servers."""

import os
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import IO, Any
from urllib.parse import quote_from_bytes

import django
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponseBase

from config.rest.bodies import POLITE

ASCII = bytes(range(128))


class Handler(ASGIHandler):
    """Django's own, but a body that is too large is not kept, and one without a length gets one."""

    async def read_body(self, receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> IO[bytes]:
        """The body, but of one that is too large no more than shows that it is. Raises RequestAborted."""
        kept = bytearray()
        seen = 0
        more = True
        while more and seen < POLITE:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            chunk: bytes = message.get("body", b"")
            kept += chunk[: settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1 - len(kept)]
            seen += len(chunk)
            more = message.get("more_body", False)
        return BytesIO(kept)

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


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)
application = Handler()
