"""PostgreSQL killed and restarted under everything at once: nothing is lost, and all go on without a restart."""

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL

import httpx
import pytest
from django.db import connection

from accounts.roles import Role
from pipelines.models import Pin, Rollout
from pipelines.pins import update_pin
from pipelines.versions import head
from tests.config.servers import Served
from tests.config.test_kills import answered
from tests.config.writers import Disabler, Writer, assert_whole, assigners, at_work
from tests.conftest import user
from tests.factories import OrganisationFactory, system
from tests.pipelines.client.planes import until
from tests.pipelines.client.servers import KillableServer, killable
from tests.pipelines.feed.clients import FeedReader, Stream, processor_token
from tests.pipelines.rollouts.crashes import CrashingServer, migrated_server
from tests.pipelines.rollouts.crowds import build_fleet, start
from tests.pipelines.rollouts.terminals import in_pipes
from tests.pipelines.rollouts.test_faults import assert_all_done, wait_until_done
from tests.pipelines.test_concurrency import assert_consistent

MANY = 200  # more than are written until the end
FLEET = 40
WAVES = ",".join(f"{percent}%" for percent in range(5, 101, 5))
SOAK = 1  # second after each wave, so that the rollouts are under way until the database has come back twice


@pytest.fixture
def database(committed_db: str) -> Generator[CrashingServer]:
    with migrated_server() as server:
        yield server


def is_away(server: KillableServer) -> bool:
    """It lives, and says that it cannot serve."""
    assert httpx.get(f"{server.url}/livez", trust_env=False, timeout=20).status_code == 200
    ready = httpx.get(f"{server.url}/readyz", trust_env=False, timeout=20)
    return (ready.status_code, ready.json()["database"]) == (503, "unreachable")


def is_back(server: KillableServer) -> bool:
    return httpx.get(f"{server.url}/readyz", trust_env=False, timeout=20).status_code == 200


def tells_of(stream: Stream, number: int) -> None:
    """Sooner or later, though the database was away meanwhile."""
    while stream.version() != number:
        pass


def test_a_database_that_is_killed_and_restarted_during_writes_rollouts_and_streams(
    database: CrashingServer, tmp_path: Path
) -> None:
    organisation, elsewhere = OrganisationFactory(), OrganisationFactory()
    pins = Pin.objects.filter(template=build_fleet(organisation, MANY)[0]).order_by("pk")
    rollouts = [start(template, WAVES, SOAK) for template in build_fleet(elsewhere, FLEET, templates=2)]
    (tmp_path / "web").mkdir()
    with ExitStack() as stack:
        web = stack.enter_context(killable(database.url, tmp_path / "web", "gunicorn"))
        feed = stack.enter_context(killable(database.url, tmp_path))
        reader = FeedReader(Served(feed.port, feed.log, 0), processor_token(organisation)[1])
        stream = stack.enter_context(reader.stream())
        people = assigners(web.url, organisation, list(pins.values_list("pipeline_id", flat=True)), 2)
        editor = user(organisation, "console@acme.example", Role.EDITOR)
        clicker = Disabler(web.url, editor, list(pins.values_list("pk", flat=True)[:100]))
        writers: list[Writer] = [*people, clicker]
        worker = stack.enter_context(in_pipes(database.url, "run_rollouts", errors=DEVNULL))
        with at_work(writers):
            for take_away in (database.crash, database.shut_down):
                before = answered(writers)
                until(lambda before=before: answered(writers) > before + 10, 60)  # type: ignore[misc]  # mypy infers no type for a default
                assert Rollout.objects.filter(state="running").count() == len(rollouts)
                take_away()
                until(lambda: is_away(web) and is_away(feed), 30)
                assert reader.changes(since=0).code == (503, "UNAVAILABLE")
                database.run()
                connection.close()  # it died with the server
                until(lambda: is_back(web) and is_back(feed), 30)
        wait_until_done(rollouts)
        last = pins.last()
        assert last is not None
        update_pin(actor=system(organisation), pipeline_id=last.pipeline_id, pin_id=last.pk, enabled=False)
        tells_of(stream, head(organisation.pk)[1])
        assert sum(writer.refused for writer in writers) > 0
        for writer in writers:
            assert_whole(writer)
        assert (web.runs, feed.runs, worker.poll()) == (True, True, None)
        worker.terminate()
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    assert_all_done(elsewhere, rollouts, FLEET)
    assert_consistent(organisation)
    assert [
        line for log in (web.log, feed.log) for line in log.read_text().splitlines() if "A request failed" in line
    ] == []
