"""Pinion in a process of its own, on a free port, as each of the two servers runs it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.environment import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", "config.asgi:application", "--fd", "{fd}", "--log-level", "warning"],
    "gunicorn": [
        "-m",
        "gunicorn",
        "config.wsgi:application",
        "--bind",
        "fd://{fd}",
        "--worker-class",
        "config.rest.threads.PatientWorker",
        "--threads",
        "4",
        "--no-control-socket",
    ],
}


@dataclass(frozen=True)
class Served:
    """Where a server listens, the file that it logs to, and its process."""

    port: int
    log: Path
    pid: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def connection(self) -> HTTPConnection:
        return HTTPConnection("localhost", self.port, timeout=30)


@contextmanager
def serving(database_url: str, folder: Path, program: str = "uvicorn", **environment: str) -> Generator[Served]:
    """A server that answers, with nothing in its environment but what tests have and what is given."""
    with socket.create_server(("127.0.0.1", 0)) as listener, (folder / "server.log").open("w") as log:
        command = [sys.executable, *(part.format(fd=listener.fileno()) for part in COMMANDS[program])]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, "DATABASE_URL": database_url, **environment},
            pass_fds=[listener.fileno()],
            stdout=log,
            stderr=log,
        )
        served = Served(listener.getsockname()[1], folder / "server.log", process.pid)
        try:
            _wait(served, process)
            yield served
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(served: Served, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, served.log.read_text()
        try:
            with closing(served.connection()) as connection:
                connection.request("GET", "/livez")
                if connection.getresponse().status == 200:
                    return
        except (OSError, HTTPException):
            time.sleep(0.1)
    raise AssertionError(f"The server did not come up:\n{served.log.read_text()}")
