"""Pinion as README serves it: gunicorn for console and REST, uvicorn for the feed, a worker for rollouts."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.config.servers import ROOT, Served, serving
from tests.environment import ENVIRONMENT
from tests.load.memory import descendants

METRICS_TOKEN = "a token for metrics that protects nothing"
PRODUCTION = {
    "DEBUG": "false",
    "ALLOWED_HOSTS": "localhost",
    "SECURE_SSL_REDIRECT": "false",  # the clients come without the proxy that speaks TLS
    "TRUSTED_PROXIES": "1",
    "METRICS_TOKEN": METRICS_TOKEN,
    "MALLOC_ARENA_MAX": "1",
}


@dataclass(frozen=True)
class Servers:
    """Where they listen, and by name the process that leads each."""

    web: str
    feed: str
    processes: dict[str, int]
    logs: dict[str, Path]


@contextmanager
def production(database_url: str, folder: Path) -> Generator[Servers]:
    """Web and feed on a core each, as far as there are cores; the worker wherever there is room."""
    cores = sorted(os.sched_getaffinity(0))
    collect_static()
    with ExitStack() as stack:
        served: dict[str, Served] = {}
        for name, program, core in (("web", "gunicorn", cores[0]), ("feed", "uvicorn", cores[-1])):
            (folder / name).mkdir()
            served[name] = stack.enter_context(serving(database_url, folder / name, program, **PRODUCTION))
            pin_to(core, served[name].pid)
        worker = stack.enter_context(working(database_url, folder / "worker.log"))
        yield Servers(
            served["web"].url,
            served["feed"].url,
            {name: one.pid for name, one in served.items()} | {"worker": worker},
            {name: one.log for name, one in served.items()} | {"worker": folder / "worker.log"},
        )


@contextmanager
def working(database_url: str, log: Path) -> Generator[int]:
    """The worker of rollouts, by its process id."""
    environment = {**os.environ, **ENVIRONMENT, **PRODUCTION, "DATABASE_URL": database_url}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_rollouts"], cwd=ROOT, env=environment, stdout=file, stderr=file
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def pin_to(core: int, leader: int) -> None:
    """All threads of a server that is up; what they start later stays on the same core."""
    for process in [leader, *descendants(leader)]:
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(task.name), {core})


def collect_static() -> None:
    """Without DEBUG, pages name their styles and scripts by what this finds in them."""
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **ENVIRONMENT, **PRODUCTION})
