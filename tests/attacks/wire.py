"""Talking to a server byte by byte, as no client library would."""

import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic

from tests.config.servers import Served

LOGIN = "/v1/admin/auth/login"
PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Heard:
    """What came back until the server hung up."""

    raw: bytes
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """Of every answer: more than one where the server saw more than one request."""
        return [int(part.split(b" ", 1)[0]) for part in self.raw.split(b"HTTP/1.1 ")[1:]]


def say(served: Served, *pieces: bytes, patience: float = 20.0) -> Heard:
    """Send these bytes, and listen. A server that hangs up meanwhile has said what it had to say."""
    began = monotonic()
    with socket.create_connection(("127.0.0.1", served.port), timeout=patience) as connection:
        received = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            received += _rest(connection)
    return Heard(received, monotonic() - began)


def _rest(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def lives(served: Served, patience: float = 20.0) -> float:
    """Seconds until it answers somebody else."""
    heard = say(served, PROBE, patience=patience)
    assert heard.statuses == [200]
    return heard.seconds


@contextmanager
def crowd(served: Served, count: int, sent: bytes) -> Generator[list[socket.socket]]:
    """So many connections that have sent this and no more."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=30))
            connection.sendall(sent)
            made.append(connection)
        yield made


def post(body: bytes, *headers: str, path: str = LOGIN) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
