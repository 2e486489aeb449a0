"""A PostgreSQL server that writes as in production does, and that dies and comes back as often as it is told to."""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from tests.postgresql import DURABLE, PREFIX, Keeper, Unavailable, candidates, choose, lock, sweep


class CrashingServer(Keeper):
    """Killed with all its processes at once, as by a machine that loses its power."""

    @property
    def url(self) -> str:
        return f"postgresql:///postgres?host={self.home}&user=postgres"

    def crash(self) -> None:
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)  # so that it cannot start another while we look for those it has
        dying = [*_children(postmaster), postmaster]
        for process in dying:
            os.kill(process, signal.SIGKILL)
        while any(map(_is_alive, dying)):
            time.sleep(0.01)
        # A dead process that nobody has waited for would pass for a live one, which holds these.
        for lock_file in (self.data / "postmaster.pid", self.home / ".s.PGSQL.5432.lock"):
            lock_file.unlink()

    def shut_down(self) -> None:
        """As an operator restarts it: whoever is connected is told, and thrown out."""
        self._run("pg_ctl", "-D", self.data, "-l", self.home / "log", "-m", "fast", "-w", "-t", "60", "stop")


def roomy_memory() -> Path | None:
    """A folder in memory: what is written there outlives a process as on a disk, and recovery reads and syncs it at once."""
    memory = Path("/dev/shm")  # noqa: S108  # a private folder is made in it
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    return memory if is_roomy else None


@contextmanager
def crashing_server() -> Generator[CrashingServer]:
    """One that runs. Raises Unavailable where the machine has no PostgreSQL of its own."""
    binaries = choose(candidates())
    folder = roomy_memory() or Path("/tmp")  # noqa: S108  # a private folder is made in it, of a short path
    sweep(folder)
    home = folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    home.mkdir(mode=0o700)
    descriptor = lock(home)
    server = CrashingServer(home, binaries, DURABLE)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        os.close(descriptor)


@contextmanager
def connected_to(server: CrashingServer) -> Generator[None]:
    """What the tests read and write is in the server's own database meanwhile, in every thread."""
    settings = connection.settings_dict
    before = dict(settings)
    connection.close()
    settings.update(HOST=str(server.home), NAME="postgres", USER="postgres", PASSWORD="", PORT="")
    try:
        yield
    finally:
        connection.close()
        settings.update(before)


def _children(parent: int) -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            process, _, rest = status.read_text().partition(" (")
        except OSError:  # it has ended meanwhile
            continue
        if rest.rpartition(") ")[2].split()[1] == str(parent):
            yield int(process)


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def migrated_server() -> Generator[CrashingServer]:
    """One of the test's own with Pinion's tables, which stands in for the test database; skips where none can be had."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no server that could be killed or restarted.")
    with ExitStack() as stack:
        try:
            server = stack.enter_context(crashing_server())
        except Unavailable as reason:
            pytest.skip(f"Killing PostgreSQL takes one on this machine: {reason}")
        stack.enter_context(connected_to(server))
        call_command("migrate", verbosity=0)
        yield server
