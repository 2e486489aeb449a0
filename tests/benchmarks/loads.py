"""Clients that ask as fast as they are answered, and a server that has a core to itself."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tests.config.servers import ROOT
from tests.environment import ENVIRONMENT

ON_ONE_CORE = """
import contextlib, os, resource, runpy, sys
with contextlib.suppress(OSError):  # a container may be kept off that core
    os.sched_setaffinity(0, {0})
sys.argv = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
runpy.run_module(sys.argv[0], run_name="__main__")
"""
PRODUCTION = {"DEBUG": "false", "ALLOWED_HOSTS": "localhost", "SECURE_SSL_REDIRECT": "false", "MALLOC_ARENA_MAX": "1"}
UVICORN = [
    "uvicorn",
    "--port",
    "{port}",
    "--log-level",
    "warning",
    "--timeout-graceful-shutdown",
    "1",
    "--no-access-log",
    "--backlog",
    "8192",
]
GUNICORN = [
    "gunicorn",
    "--bind",
    "127.0.0.1:{port}",
    "--worker-class",
    "config.rest.threads.PatientWorker",
    "--threads",
    "4",
    "--no-control-socket",
]
GTHREAD = [part.replace("config.rest.threads.PatientWorker", "gthread") for part in GUNICORN]
WARM_UP = 0.3  # seconds that are not counted


@contextmanager
def served_on_one_core(
    application: str, server: Sequence[str] = UVICORN, **environment: str
) -> Generator[tuple[int, int]]:
    """The port where a server serves this, and its process id; whoever asks for it runs on another core."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", ON_ONE_CORE, *(part.format(port=port) for part in server), application],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, **PRODUCTION, **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def requests_per_second(port: int, request: bytes, expected: bytes, connections: int, seconds: float) -> float:
    """How many of these requests are answered with this status, each connection sending one after the other."""
    return asyncio.run(_ask(port, request, expected, connections, seconds))


def request_for(path: str, **headers: str) -> bytes:
    """As a usual client writes it."""
    named = {"Host": "localhost", "User-Agent": "bench", "Accept": "*/*", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


class _Connection(asyncio.Protocol):
    """Counts whole answers; an answer other than the expected ends everything."""

    def __init__(self, request: bytes, expected: bytes) -> None:
        self.request = request
        self.expected = expected
        self.received = b""
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (length := self._length()) is not None and len(self.received) >= length:
            self.received = self.received[length:]
            self.count += 1
            self.transport.write(self.request)

    def _length(self) -> int | None:
        """Of the first answer; None while its head is not all here."""
        head, blank, _ = self.received.partition(b"\r\n\r\n")
        if not blank:
            return None
        assert head.startswith(b"HTTP/1.1 " + self.expected), head
        _, named, rest = head.lower().partition(b"content-length: ")
        return len(head) + 4 + (int(rest.partition(b"\r\n")[0]) if named else 0)


async def _ask(port: int, request: bytes, expected: bytes, connections: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(request, expected), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(WARM_UP)
    before, began = sum(each.count for each in made), time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (sum(each.count for each in made) - before) / (time.perf_counter() - began)
    for each in made:
        each.transport.abort()
    return rate


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("The server did not come up.")
