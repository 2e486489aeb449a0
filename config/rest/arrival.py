"""How long the head of a request may take to arrive at uvicorn, and how large it may be, where no proxy sees to that."""

import asyncio
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024  # gunicorn takes about as much
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout"
CLOSING = b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's own, which takes in a head of any size and waits for its end for ever."""

    _patience: asyncio.TimerHandle | None = None
    _in_head = True
    _taken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """A head mostly comes in one piece, and then costs nothing more than it did: no timer, no counting."""
        if self._in_head:
            self._taken += len(data)
        super().data_received(data)
        if not self._in_head:
            self._stop_waiting()
        elif self._taken > LARGEST_HEAD:
            self._refuse(TOO_LARGE)
        elif self._patience is None:
            self._await_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._taken = 0
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._patience = self.loop.call_later(settings.REQUEST_SECONDS, self._refuse, TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, status: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(status + CLOSING)
            self.transport.close()


def bound_heads(receive: Any) -> None:
    """Where uvicorn serves with its fast parser, let it make bounded connections from now on.

    `receive` is what it gave to the lifespan, before the first connection; other servers are left as they are.
    """
    config = getattr(getattr(receive, "__self__", None), "config", None)
    if getattr(config, "http_protocol_class", None) is HttpToolsProtocol:
        config.http_protocol_class = BoundedProtocol  # type: ignore[union-attr]  # it has one, as was just seen
