"""Commands in processes of their own: in a real terminal, or with their output in pipes."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.environment import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0
TERMINAL = {"COLUMNS": "200", "LINES": "50", "TERM": "xterm-256color"}
PRODUCTION = {"DEBUG": "false", "ALLOWED_HOSTS": "localhost"}  # where no check of ours has anything to warn of

# The process leads a session of its own, whose terminal it controls: so the system tells it when that is gone.
LEAD = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(database_url: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return {**plain, **ENVIRONMENT, **PRODUCTION, **TERMINAL, "DATABASE_URL": database_url}


class Terminal:
    """A command that runs in a terminal; `raw` is all that it has shown so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self.process = process
        self.descriptor = descriptor
        self.raw = ""

    @property
    def shown(self) -> str:
        """Without colours and movements of the cursor, lines ended as in a file."""
        return ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        """Until it has been shown."""
        self.wait_until(lambda: text in self.shown, f"{text!r} to be shown")

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, f"Waited in vain for {what}. Shown:\n{self.shown[-2000:]}"
            if not self._read(0.05):
                assert done(), f"Ended before {what}. Shown:\n{self.shown[-2000:]}"

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C, which the terminal makes a signal of."""
        self.type("\x03")

    def close(self) -> None:
        """As when the connection to the machine is lost."""
        os.close(self.descriptor)
        self.descriptor = -1

    def end(self) -> int:
        """Its exit code, when it has ended by itself."""
        stop = time.monotonic() + PATIENCE
        while self.descriptor >= 0 and self._read(0.05):
            assert time.monotonic() < stop, f"It does not end. Shown:\n{self.shown[-2000:]}"
        return self.process.wait(timeout=PATIENCE)

    def _read(self, seconds: float) -> bool:
        """Take what has been shown since; False when no more will come."""
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return True
        try:
            read = os.read(self.descriptor, 65536)
        except OSError:  # what Linux says when the last process has left the terminal
            return False
        self.raw += read.decode(errors="replace")
        return bool(read)


@contextmanager
def in_terminal(database_url: str, *arguments: str) -> Generator[Terminal]:
    """`manage.py` with these arguments in a terminal of 200 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LEAD, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(database_url),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=PATIENCE)
        if terminal.descriptor >= 0:
            terminal.close()


@contextmanager
def in_pipes(database_url: str, *arguments: str, errors: int = subprocess.PIPE) -> "Generator[subprocess.Popen[str]]":
    """`manage.py` with these arguments, as a script or a supervisor starts it; killed if it is still there at the end."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(database_url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    with process:  # which closes the pipes, and waits
        try:
            yield process
        finally:
            process.kill()


def run_piped(database_url: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    with in_pipes(database_url, *arguments) as process:
        out, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, out, errors


def wait_until_it_heeds(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Until the process has a handler for this signal, which would have killed it before."""
    bit = 1 << (number - 1)
    status = Path(f"/proc/{process.pid}/status")
    for _ in range(int(PATIENCE / 0.05)):
        caught = int(status.read_text().partition("SigCgt:")[2].split()[0], 16)
        if caught & bit:
            return
        time.sleep(0.05)
    raise AssertionError("It does not heed the signal.")


def line_of(pipe: IO[str] | None) -> str:
    """The next line that the process writes there."""
    assert pipe is not None
    return pipe.readline()
