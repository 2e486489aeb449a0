"""A pytest plugin, loaded before the settings are: `--database` chooses what the tests run on and provides it.

`sqlite` is a file in a temporary folder, because threads and processes cannot share a database in memory. `postgresql`
is the server of TEST_DATABASE_URL, else a private one which is started for the session and gone after it. Where none
can be had, the session ends with exit code 3: no test is ever skipped for want of a database.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections

from tests.postgresql import NEWEST, WANTED, Server, Unavailable

NO_DATABASE = 3  # pytest's own exit code for "something went wrong inside", which no caller takes for success

server = pytest.StashKey[Server]()
description = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="What the tests run on (default: sqlite).",
    )
    parser.addoption(
        "--postgresql",
        metavar="VERSION",
        help=f"With --database postgresql: `{NEWEST}`, or a version such as 18, of those on this machine, "
        "whatever TEST_DATABASE_URL says.",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Runs around pytest-django's hook of this name, which loads the settings and with them DATABASE_URL."""
    if not _is_worker():
        if version := early_config.known_args_namespace.postgresql:
            os.environ[WANTED] = version
        os.environ["DATABASE_URL"] = _database_url(early_config)
    yield


def _is_worker() -> bool:
    """A worker of pytest-xdist uses what its controller provides, and inherits the address in the environment."""
    return "PYTEST_XDIST_WORKER" in os.environ


def _database_url(config: pytest.Config) -> str:
    if config.known_args_namespace.database == "sqlite":
        folder = Path(tempfile.mkdtemp(prefix="pinion-sqlite-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.stash[description] = f"SQLite {sqlite3.sqlite_version}"
        return f"sqlite:///{folder / 'pinion.sqlite3'}"
    if "TEST_DATABASE_URL" in os.environ and WANTED not in os.environ:
        return os.environ["TEST_DATABASE_URL"]
    config.stash[server] = Server()
    return config.stash[server].url


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    database = connections.settings["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # Without a name Django would put the test database into memory.
        database["TEST"]["NAME"] = str(Path(database["NAME"]).with_name("test.sqlite3"))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if config.getoption("database") == "sqlite" or _is_worker():
        return
    try:
        if server in config.stash:
            config.add_cleanup(config.stash[server].stop)
            config.stash[server].start()
            config.stash[description] = config.stash[server].description
        else:
            config.stash[description] = _visit(os.environ["TEST_DATABASE_URL"])
    except Unavailable as error:
        pytest.exit(str(error), returncode=NO_DATABASE)


def _visit(url: str) -> str:
    """What answers at an address that we were given. Raises Unavailable."""
    try:
        with psycopg.connect(url) as connection:
            version = connection.info.parameter_status("server_version")
    except psycopg.Error as error:
        raise Unavailable(f"TEST_DATABASE_URL names a server that does not let us in: {error}") from None
    return f"PostgreSQL {version} from TEST_DATABASE_URL"


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: {config.stash.get(description, 'the one of the controller')}"


@pytest.fixture(scope="session")
def database_kind() -> str:
    """`sqlite` or `postgresql`."""
    vendor: str = connections["default"].vendor
    return vendor


@pytest.fixture
def spare_database(tmp_path: Path, database_kind: str) -> Generator[str]:
    """The DATABASE_URL of an empty database, for a program that a test starts and that migrates for itself."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'spare.sqlite3'}"
        return
    name = f"spare_{os.getpid()}"
    with psycopg.connect(beside(os.environ["DATABASE_URL"], "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield beside(os.environ["DATABASE_URL"], name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def current_database_url() -> str:
    """The DATABASE_URL of the database that the tests of this process use."""
    name: str = connections["default"].settings_dict["NAME"]
    if connections["default"].vendor == "sqlite":
        return f"sqlite:///{name}"
    return beside(os.environ["DATABASE_URL"], name)


def beside(url: str, name: str) -> str:
    """The address of another database on the same server."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{name}?{parts.query}"  # urlunsplit would drop an empty host's slashes
