"""A server that can be killed and comes back at the same address, and REST as an operator sends it there."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.environment import ENVIRONMENT
from tests.readme import ROOT

COMMANDS = {
    "uvicorn": ["uvicorn", "config.asgi:application", "--port", "{port}"],
    "gunicorn": ["gunicorn", "config.wsgi", "--bind", "127.0.0.1:{port}", "--workers", "2", "--threads", "4"],
}


class KillableServer:
    """uvicorn with the whole of Pinion, or gunicorn with what it serves, at one port for as long as this lives."""

    def __init__(self, database_url: str, folder: Path, program: str = "uvicorn") -> None:
        self.port = _free_port()
        self.program = program
        self.log = folder / "server.log"
        self.database_url = database_url
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it answers."""
        command = [sys.executable, "-m", *(part.format(port=self.port) for part in COMMANDS[self.program])]
        environment = {**os.environ, **ENVIRONMENT, "DATABASE_URL": self.database_url, "FEED_HEARTBEAT_SECONDS": "1"}
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """With no time to say goodbye, and with all that it began."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def killable(database_url: str, folder: Path, program: str = "uvicorn") -> Generator[KillableServer]:
    server = KillableServer(database_url, folder, program)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Operator:
    """Somebody who changes things by REST."""

    def __init__(self, url: str, bearer: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        self._http = httpx.Client(base_url=f"{url}/v1/admin/", headers=headers, timeout=30)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._http.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
