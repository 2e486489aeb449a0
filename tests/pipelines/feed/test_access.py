"""Who may read the feed: a processor of the organisation, and nobody else, and no longer than its token holds."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import ApiToken, Organisation
from accounts.tokens import revoke_token
from pipelines.models import Pipeline, TokenPipeline
from pipelines.registry import delete_pipeline
from tests.clients import Api
from tests.config.servers import Served, serving
from tests.conftest import Cast
from tests.factories import PipelineFactory, system
from tests.pipelines.feed.clients import FeedReader, processor_token

PATHS = ("pipelines/pip_nothing", "snapshot", "changes?since=0", "stream")
WITHIN = 1.0  # seconds: the bound that the README names


@pytest.fixture
def pipeline(committed_db: str, organisation: Organisation) -> Pipeline:
    made: Pipeline = PipelineFactory(organisation=organisation)
    return made


def bearer_of(api: Api) -> str | None:
    sent: str = api.client.defaults.get("HTTP_AUTHORIZATION", "")
    return sent.removeprefix("Bearer ") or None


@pytest.mark.parametrize(
    ("person", "expected"),
    {"viewer": 403, "editor": 403, "admin": 403, "stranger": 403, "nobody": 401}.items(),
)
def test_only_processors_read_the_feed(
    person: str, expected: int, committed_db: str, cast: Cast, feed_server: Served
) -> None:
    reader = FeedReader(feed_server, bearer_of(cast[person]))
    code = {401: "INVALID_TOKEN", 403: "FORBIDDEN"}[expected]
    assert {path: reader.get(path).code for path in PATHS} == dict.fromkeys(PATHS, (expected, code))


def test_credentials_are_asked_for_by_name(committed_db: str, feed_server: Served) -> None:
    for bearer in (None, "pinion_nonsense", "nonsense", "a.b.c"):
        answer = FeedReader(feed_server, bearer).get("snapshot")
        assert (answer.code, answer.headers["WWW-Authenticate"]) == ((401, "INVALID_TOKEN"), "Bearer")


def test_an_expired_token_opens_nothing(pipeline: Pipeline, organisation: Organisation, feed_server: Served) -> None:
    soon = timezone.now() + timedelta(seconds=2)
    reader = FeedReader(feed_server, processor_token(organisation, expires_at=soon)[1])
    with reader.stream() as stream:
        stream.version()
        assert reader.pipeline(pipeline.pk).status == 200
        time.sleep(2)
        for path in (f"pipelines/{pipeline.pk}", "snapshot", "changes?since=0", "stream"):
            assert reader.get(path).code == (401, "EXPIRED_TOKEN")
        assert ended(stream.block)


def ended(block: Callable[[], str]) -> bool:
    return any(block() == "" for _ in range(3))


def test_a_revoked_token_stops_at_once_and_so_does_its_stream(
    pipeline: Pipeline, organisation: Organisation, feed_server: Served
) -> None:
    token, secret = processor_token(organisation)
    reader = FeedReader(feed_server, secret)
    with reader.stream() as stream:
        stream.version()
        assert reader.pipeline(pipeline.pk).status == 200
        revoke_token(actor=system(organisation), token_id=token.pk)
        assert refused(reader, pipeline) == (401, "INVALID_TOKEN")
        assert ended(stream.block)


def refused(reader: FeedReader, pipeline: Pipeline) -> tuple[int, str]:
    return reader.comes_to(pipeline.pk, lambda said: said.status != 200).code


@pytest.mark.parametrize("change", ["revoked", "deleted"])
def test_a_revocation_that_nobody_told_of_is_noticed_within_a_second(
    change: str, pipeline: Pipeline, organisation: Organisation, feed_server: Served
) -> None:
    token, secret = processor_token(organisation)
    reader = FeedReader(feed_server, secret)
    assert reader.pipeline(pipeline.pk).status == 200
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")  # no trigger fires
        if change == "revoked":
            ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())
        else:
            cursor.execute("DELETE FROM accounts_apitoken WHERE id = %s", [token.pk])
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = origin")
    assert refused(reader, pipeline) == (401, "INVALID_TOKEN")


def test_a_limited_token_reads_its_pipelines_and_finds_no_other(
    pipeline: Pipeline, organisation: Organisation, feed_server: Served
) -> None:
    other = PipelineFactory(organisation=organisation)
    reader = FeedReader(feed_server, processor_token(organisation, pipeline)[1])
    whole = FeedReader(feed_server, processor_token(organisation)[1])
    assert whole.pipeline(other.pk).status == 200
    for name in (other.pk, other.pipeline_key):
        assert reader.pipeline(name).code == (404, "NOT_FOUND")
    assert reader.pipeline(pipeline.pk).body == whole.pipeline(pipeline.pk).body
    assert [line.get("pipeline_id") for line in reader.snapshot()] == [None, pipeline.pk, None]
    assert reader.snapshot()[-1] == {"count": 1}
    shown = reader.changes(since=0).body
    assert [each["pipeline_id"] for each in shown["changes"]] == [pipeline.pk]
    assert (shown["to_version"], shown["has_more"]) == (2, False)


def test_a_limited_token_hears_that_its_pipeline_was_removed_and_gains_nothing_by_it(
    pipeline: Pipeline, organisation: Organisation, feed_server: Served
) -> None:
    PipelineFactory(organisation=organisation)
    reader = FeedReader(feed_server, processor_token(organisation, pipeline)[1])
    delete_pipeline(actor=system(organisation), pipeline_id=pipeline.pk)
    assert [(each["pipeline_id"], each["removed"]) for each in reader.changes(since=1).body["changes"]] == [
        (pipeline.pk, True)
    ]
    assert reader.snapshot()[-1] == {"count": 0}


def test_a_limit_that_is_added_by_hand_holds_within_a_second(
    pipeline: Pipeline, organisation: Organisation, feed_server: Served
) -> None:
    token, secret = processor_token(organisation)
    reader = FeedReader(feed_server, secret)
    assert reader.pipeline(pipeline.pk).status == 200
    TokenPipeline.objects.create(token=token, pipeline=PipelineFactory(organisation=organisation))
    time.sleep(WITHIN)
    assert reader.pipeline(pipeline.pk).code == (404, "NOT_FOUND")


def test_an_unknown_query_parameter_is_refused(reader: FeedReader) -> None:
    for path in ("snapshot?full=1", "stream?since=1", "pipelines/pip_nothing?since=1", "changes?since=0&sinse=1"):
        assert reader.get(path).code == (400, "BAD_REQUEST"), path
    assert reader.get("snapshot?full=1").body["error"]["details"] == [
        {
            "field": "full",
            "code": "unknown_filter",
            "message": "There is no query parameter named 'full'. This address takes none.",
        }
    ]


def test_head_answers_as_get_does_without_a_body(pipeline: Pipeline, reader: FeedReader) -> None:
    whole = reader.pipeline(pipeline.pk)
    for path in (f"pipelines/{pipeline.pk}", "snapshot", "changes?since=0", "stream"):
        answer = reader.get(path, "HEAD")
        assert (answer.status, answer.body) == (200, b""), path
    assert reader.get(f"pipelines/{pipeline.pk}", "HEAD").headers["ETag"] == whole.headers["ETag"]


def test_nothing_is_written_here(reader: FeedReader) -> None:
    for path in PATHS:
        for method in ("POST", "PUT", "DELETE"):
            answer = reader.get(path, method)
            assert (answer.code, answer.headers["Allow"]) == ((405, "METHOD_NOT_ALLOWED"), "GET, HEAD, OPTIONS")


def test_a_server_without_asgi_says_where_the_feed_is(
    committed_db: str, organisation: Organisation, nobody: Api, viewer: Api, tmp_path: Path
) -> None:
    with serving(committed_db, tmp_path, "gunicorn") as served:
        answers: dict[str, Any] = {
            path: FeedReader(served, processor_token(organisation)[1]).get(path).code for path in PATHS
        }
        assert answers == dict.fromkeys(PATHS, (501, "NOT_SERVED_HERE"))
        assert FeedReader(served, bearer_of(viewer)).get("snapshot").code == (403, "FORBIDDEN")
        assert FeedReader(served, None).get("snapshot").code == (401, "INVALID_TOKEN")
