"""PostgreSQL without a connection left: a clear answer at once, nothing half done, and all by itself well again."""

import json
import secrets
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from pipelines.demo import load_demo
from pipelines.models import Pipeline
from tests.config.rest import PINS, Client
from tests.config.servers import COMMANDS, serving
from tests.databases import beside
from tests.pipelines.feed.clients import FeedReader, processor_token

FEW = 3
PASSWORD = "hunter2-and-more"
SOON = 5.0  # seconds within which everybody is answered


@contextmanager
def few_connections(url: str) -> Generator[str]:
    """The address for somebody who may connect a few times only: PostgreSQL refuses as when all are taken."""
    name = f"few_{secrets.token_hex(4)}"
    with psycopg.connect(beside(url, "postgres"), autocommit=True) as server:
        try:
            server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT {FEW}")
            server.execute(f"GRANT {server.info.user} TO {name}")
        except psycopg.errors.InsufficientPrivilege:
            pytest.skip("The user of TEST_DATABASE_URL may not make another.")
        try:
            yield f"{url}&user={name}&password={PASSWORD}"
        finally:
            server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")
            server.execute(f"DROP ROLE {name}")


@contextmanager
def all_taken(url: str) -> Generator[None]:
    """By others, who were faster whenever one became free."""
    with ExitStack() as stack, psycopg.connect(url.partition("&user=few")[0], autocommit=True) as server:
        name = url.partition("&user=few")[2].partition("&")[0]
        ours = f"few{name}"
        deadline = time.monotonic() + 20
        taken = 0
        while taken < FEW:
            assert time.monotonic() < deadline
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND application_name <> 'taken'",
                [ours],
            )
            try:
                stack.enter_context(psycopg.connect(f"{url}&application_name=taken"))
                taken += 1
            except psycopg.OperationalError:
                time.sleep(0.01)
        yield


@pytest.mark.parametrize("program", sorted(COMMANDS))
def test_a_server_without_a_connection_says_so_at_once_and_goes_on_by_itself(
    program: str, committed_db: str, database_kind: str, tmp_path: Path
) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite has no connections that could run out.")
    organisation = load_demo()
    before = Pipeline.objects.count()
    with few_connections(committed_db) as url, serving(url, tmp_path, program) as served:
        client = Client(served.url)
        reader = FeedReader(served, processor_token(organisation)[1])
        assert client.send("GET", PINS).status == 200
        with all_taken(url):
            began = time.monotonic()
            for method, path, body in (("GET", PINS, None), ("POST", "pipelines", {"name": "Never"})):
                answer = client.send(method, path, body, Idempotency_Key="once")
                assert (*answer.fault, answer.headers["Retry-After"]) == (503, "UNAVAILABLE", "1")
            page = client.send("GET", "/admin/", Cookie="sessionid=somebodys")
            assert (page.status, "not available just now" in page.body) == (503, True)
            ready = client.send("GET", "/readyz")
            assert (ready.status, ready.body["database"]) == (503, "unreachable")
            assert client.send("GET", "/livez").status == 200
            if program == "uvicorn":
                assert reader.changes(since=0).code == (503, "UNAVAILABLE")
            assert time.monotonic() - began < 2 * SOON
        assert Pipeline.objects.count() == before
        made = client.send("POST", "pipelines", {"name": "Late"}, Idempotency_Key="once")
        assert made.status == 201
        assert client.send("GET", "/readyz").status == 200
        if program == "uvicorn":
            reader.comes_to("pip_xyz789", lambda answer: answer.status == 200, SOON)
        log = served.log.read_text()
    assert [secret for secret in (PASSWORD, client.bearer, reader.headers["Authorization"]) if secret in log] == []
    told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any("too many connections" in line.get("exception", "") for line in told)
