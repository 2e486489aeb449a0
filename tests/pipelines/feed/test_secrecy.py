"""The feed is the one place that shows secrets: to nobody else, in no log, and not where a key of ours is missing."""

import json
import logging
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Organisation
from pipelines.feed.changes import Question, changes
from pipelines.feed.documents import Documents
from pipelines.models import Pin
from tests.config.servers import Served, serving
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, wishes
from tests.pipelines.feed.clients import FeedReader, processor_token

SECRETS = ("EAAB-secret", "ga4-secret", "G-hidden")


@pytest.fixture
def pins(committed_db: str, organisation: Organisation) -> list[Pin]:
    """One with a secret of its own, and one that fills in a secret parameter, on one pipeline."""
    parameters = wishes({"url_token": "G-hidden"}, secret=True)
    pipeline = PipelineFactory(organisation=organisation, parameters=parameters)
    config = {"url": "https://hooks.example.com/{{pipeline_param.url_token}}"}
    templates = [
        TemplateFactory(organisation=organisation),
        TemplateFactory(organisation=organisation, vendor="webhook", config=config),
        TemplateFactory(organisation=organisation, vendor="webhook"),
    ]
    return [PinFactory(organisation=organisation, pipeline=pipeline, template=each) for each in templates]


def read(organisation: Organisation) -> list[dict[str, Any]]:
    [pipeline] = json.loads(changes(Question(organisation.pk, 0), Documents()))["changes"]
    shown: list[dict[str, Any]] = pipeline["integrations"]
    return shown


def test_what_no_key_opens_is_marked_and_the_rest_runs(
    pins: list[Pin], organisation: Organisation, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert [each["state"] for each in read(organisation)] == ["ok", "ok", "ok"]
    settings.PINION_SECRET_KEYS = {"another": b"another key of 32 bytes, exactly"}
    with caplog.at_level(logging.ERROR):
        shown = read(organisation)
    assert [each["state"] for each in shown] == ["unresolvable", "unresolvable", "ok"]
    assert [each.get("reason", "")[:42] for each in shown] == [
        "A secret of this revision cannot be opened",
        "The secret parameter url_token cannot be o",
        "",
    ]
    assert "not in PINION_SECRET_KEYS" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text or secret in json.dumps(shown)]


def test_an_answer_that_lacked_a_key_is_another_once_the_key_is_there(
    pins: list[Pin], committed_db: str, organisation: Organisation, feed_server: Served, tmp_path: Path
) -> None:
    secret = processor_token(organisation)[1]
    ring = f"another:{urlsafe_b64encode(b'another key of 32 bytes, exactly').decode()}"
    with serving(committed_db, tmp_path, PINION_SECRET_KEYS=ring, ACCEPT_LOST_SECRETS="true") as served:
        lacking = FeedReader(served, secret).pipeline(pins[0].pipeline_id)
    answer = FeedReader(feed_server, secret).pipeline(pins[0].pipeline_id, If_None_Match=lacking.headers["ETag"])
    assert (answer.status, answer.body["version"]) == (200, lacking.body["version"])
    assert [each["state"] for each in lacking.body["integrations"]] == ["unresolvable", "unresolvable", "ok"]
    assert [each["state"] for each in answer.body["integrations"]] == ["ok", "ok", "ok"]


def test_no_log_holds_a_secret_or_a_token(
    pins: list[Pin], committed_db: str, organisation: Organisation, tmp_path: Path
) -> None:
    secret = processor_token(organisation)[1]
    with serving(committed_db, tmp_path, LOG_LEVEL="DEBUG") as served:
        reader = FeedReader(served, secret)
        assert "EAAB-secret" in json.dumps(reader.pipeline(pins[0].pipeline_id).body)
        reader.snapshot()
        reader.changes(since=0)
        reader.get("changes?since=EAAB-secret")
        with reader.stream() as stream:
            stream.version()
        FeedReader(served, f"{secret}x").get("snapshot")
        log = served.log.read_text()
    assert not [each for each in (*SECRETS, secret) if each in log]
