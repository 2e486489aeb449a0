"""Nothing is missed: whoever writes, whatever breaks, memory is as the database is, within a second of it being there."""

import random
import time
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from accounts.models import Organisation
from accounts.tokens import revoke_token
from pipelines.feed.serving.application import PAGE_QUEUE, READERS
from pipelines.feed.serving.watching import CHECK_EVERY, STALE_AFTER
from pipelines.models import ConfigurationHead, HistoryEntry, Pipeline
from pipelines.registry import create_pipeline, update_pipeline
from tests.config.servers import Served
from tests.databases import current_database_url
from tests.factories import PipelineFactory, system
from tests.pipelines.feed.clients import FeedReader, Said, processor_token

WRITERS = 6
WRITES = 12
SLACK = 0.3  # seconds in which a request has surely arrived


@pytest.fixture
def pipeline(committed_db: str, organisation: Organisation) -> Pipeline:
    made: Pipeline = PipelineFactory(organisation=organisation)
    return made


def turn(organisation: Organisation, pipeline: Pipeline, enabled: bool) -> None:
    update_pipeline(actor=system(organisation), pipeline_id=pipeline.pk, fields={"enabled": enabled})


def is_off(said: Said) -> bool:
    return said.status == 200 and not said.body["enabled"]


@pytest.fixture
def postgresql(database_kind: str) -> None:
    if database_kind != "postgresql":
        pytest.skip("SQLite has no connections to lose, and tells of nothing")


def listeners() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pinion feed' AND datname = current_database()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def end(pids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [pids])


@contextmanager
def nobody_tells() -> Generator[None]:
    """Inside no trigger fires, so PostgreSQL notifies of nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        yield
        cursor.execute("SET session_replication_role = origin")


def test_versions_come_in_the_order_of_commits_and_none_is_skipped(
    organisation: Organisation, pipeline: Pipeline, reader: FeedReader
) -> None:
    more: list[Pipeline] = [PipelineFactory(organisation=organisation) for _ in range(4)]
    pipelines = [pipeline, *more]
    done = Event()
    with ThreadPoolExecutor(WRITERS + 3) as threads:
        readers = [threads.submit(follow, reader, done) for _ in range(2)]
        poller = threads.submit(poll, reader, pipelines[0], done)
        writers = [threads.submit(write, organisation, pipelines, seed) for seed in range(WRITERS)]
        try:
            for writer in writers:
                writer.result(timeout=60)
            newest = ConfigurationHead.objects.get().number
            time.sleep(0.2)
        finally:
            done.set()
        logs = [each.result() for each in readers]
        polled = poller.result()
    assert newest == 5 + WRITERS * WRITES
    changed = list(HistoryEntry.objects.order_by("version__number").values_list("version__number", "pipeline_id"))
    assert sorted({number for number, _ in changed}) == list(range(1, newest + 1))
    for log in logs:
        assert log[-1][0] == newest
        assert [said for said in log if not knows_all(*said, changed)] == []
    assert polled == sorted(polled)
    assert polled[-1] == max(number for number, key in changed if key == pipelines[0].pk)


def write(organisation: Organisation, pipelines: list[Pipeline], seed: int) -> None:
    """Changes with pauses before the version is taken and after, while its row is locked."""
    chance = random.Random(seed)  # noqa: S311  # pauses, not secrets
    for number in range(WRITES):
        with transaction.atomic():
            time.sleep(chance.random() * 0.01)
            if number % 3 == 0:
                create_pipeline(actor=system(organisation), name=f"Shop {seed} {number}")
            else:
                chosen = chance.choice(pipelines)
                locked = Pipeline.objects.select_for_update().get(pk=chosen.pk)
                turn(organisation, chosen, not locked.enabled)
            time.sleep(chance.random() * 0.01)
    connections.close_all()


def follow(reader: FeedReader, done: Event) -> list[tuple[int, dict[str, int]]]:
    """After each answer: how far it goes, and what is known by then."""
    log: list[tuple[int, dict[str, int]]] = []
    known: dict[str, int] = {}
    since, last = 0, False
    while not last:
        last = done.is_set()
        answer = reader.changes(since=since, limit=7).body
        known = known | {each["pipeline_id"]: each["version"] for each in answer["changes"]}
        since = answer["to_version"]
        log.append((since, known))
        last = last and not answer["has_more"]
    return log


def knows_all(number: int, known: dict[str, int], changed: list[tuple[int, str]]) -> bool:
    """Whether this is no older than what had run at the version."""
    newest = {key: version for version, key in changed if version <= number}
    return all(known.get(key, 0) >= version for key, version in newest.items())


def poll(reader: FeedReader, pipeline: Pipeline, done: Event) -> list[int]:
    """The versions that a client sees which asks by tag."""
    versions, tag = [], ""
    last = False
    while not last:
        last = done.is_set()
        answer = reader.pipeline(pipeline.pk, If_None_Match=tag or '"none"')
        if answer.status == 200:
            versions.append(answer.body["version"])
            tag = answer.headers["ETag"]
    return versions


def test_raw_sql_wakes_too(organisation: Organisation, pipeline: Pipeline, reader: FeedReader) -> None:
    with reader.stream() as stream:
        assert stream.version() == 1
        with connection.cursor() as cursor:
            cursor.execute("UPDATE pipelines_configurationhead SET number = number + 1")
        assert stream.version() == 2


def test_a_change_that_is_rolled_back_is_never_told(
    organisation: Organisation, pipeline: Pipeline, reader: FeedReader
) -> None:
    with reader.stream() as stream:
        assert stream.version() == 1
        with transaction.atomic():
            turn(organisation, pipeline, False)
            transaction.set_rollback(True)
        assert stream.block() == ": beat\n"


def test_a_change_that_nobody_tells_of_is_noticed_within_a_second(
    postgresql: None, organisation: Organisation, pipeline: Pipeline, reader: FeedReader
) -> None:
    with reader.stream() as stream:
        assert (stream.version(), reader.pipeline(pipeline.pk).body["enabled"]) == (1, True)
        with nobody_tells():
            turn(organisation, pipeline, False)
        began = time.monotonic()
        assert stream.version() == 2
        assert time.monotonic() - began < 1
        assert is_off(reader.pipeline(pipeline.pk))


def test_a_listener_that_is_cut_off_comes_back_and_has_missed_nothing(
    postgresql: None, organisation: Organisation, pipeline: Pipeline, reader: FeedReader
) -> None:
    with reader.stream() as stream:
        assert (stream.version(), reader.pipeline(pipeline.pk).status) == (1, 200)
        [before] = listeners()
        end([before])
        turn(organisation, pipeline, False)
        assert stream.version() == 2
        assert is_off(reader.pipeline(pipeline.pk))
        until = time.monotonic() + 3
        while not (now := listeners()) and time.monotonic() < until:
            time.sleep(0.05)
        assert now not in ([], [before])
        turn(organisation, pipeline, True)
        assert stream.version() == 3


def test_readers_that_hold_every_clerk_do_not_blind_the_feed_and_no_more_of_them_wait_than_a_moment(
    postgresql: None, organisation: Organisation, pipeline: Pipeline, reader: FeedReader, feed_server: Served
) -> None:
    token, secret = processor_token(organisation)
    revoked = FeedReader(feed_server, secret)
    assert [each.pipeline(pipeline.pk).status for each in (reader, revoked)] == [200, 200]
    time.sleep(CHECK_EVERY + SLACK)  # by then nothing is left that the watcher itself has to read of the pipelines
    with ThreadPoolExecutor(READERS + 1) as threads:
        with locked("pipelines_pipeline"):
            asked = [threads.submit(reader.changes, since=0, limit=limit) for limit in range(1, READERS + 2)]
            time.sleep(SLACK)
            revoke_token(actor=system(organisation), token_id=token.pk)
            assert revoked.comes_to(pipeline.pk, lambda said: said.status != 200).code == (401, "INVALID_TOKEN")
            [answered], held = wait(asked, PAGE_QUEUE + 5, FIRST_COMPLETED)
            refused = answered.result()
            assert (refused.code, refused.headers["Retry-After"]) == ((503, "UNAVAILABLE"), "1")
            assert refused.body["error"]["message"].startswith("Too many changes")
            assert reader.pipeline(pipeline.pk).status == 200
        assert [each.result(timeout=10).status for each in held] == [200] * READERS


def test_where_the_database_hangs_memory_is_believed_for_three_seconds_and_no_longer(
    postgresql: None, organisation: Organisation, pipeline: Pipeline, reader: FeedReader
) -> None:
    assert reader.pipeline(pipeline.pk).status == 200
    with locked("pipelines_configurationhead"):
        answer = reader.comes_to(pipeline.pk, lambda said: said.status != 200, seconds=STALE_AFTER + 3)
        assert answer.code == (503, "UNAVAILABLE")
    assert reader.comes_to(pipeline.pk, lambda said: said.status == 200).body["version"] == 1


@contextmanager
def locked(table: str) -> Generator[None]:
    """Inside nobody else reads it."""
    with psycopg.connect(current_database_url()) as outside:
        outside.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def test_while_the_database_is_away_memory_answers_for_a_moment_and_then_says_so(
    postgresql: None, organisation: Organisation, pipeline: Pipeline, reader: FeedReader, feed_server: Served
) -> None:
    name = connection.settings_dict["NAME"]
    with psycopg.connect(**_beside(), autocommit=True) as outside, reader.stream() as stream:
        assert (stream.version(), reader.pipeline(pipeline.pk).status) == (1, 200)
        outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            own = connection.connection.info.backend_pid
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
            outside.execute(others, [name, own])
            assert reader.pipeline(pipeline.pk).status == 200
            answer = reader.comes_to(pipeline.pk, lambda said: said.status != 200, seconds=5)
            assert (answer.code, answer.headers["Retry-After"]) == ((503, "UNAVAILABLE"), "1")
            assert reader.get("snapshot").code == (503, "UNAVAILABLE")
            turn(organisation, pipeline, False)
        finally:
            outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        assert reader.comes_to(pipeline.pk, is_off, seconds=2).body["version"] == 2
        assert stream.version() == 2
    assert "ga4-secret" not in feed_server.log.read_text()


def _beside() -> dict[str, Any]:
    """How to reach another database of the same server."""
    params = connection.get_connection_params()
    wanted = ("host", "port", "user", "password")
    return {name: params[name] for name in wanted if name in params} | {"dbname": "postgres"}
