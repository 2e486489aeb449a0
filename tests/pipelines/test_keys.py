"""A database whose secrets the key ring does not open: nothing is served, and it is said which key is missing."""

import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Generator, Mapping
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organisation
from config import checks, health
from integrations.secrets import Unreadable
from pipelines.keys import lost_keys, refuse_to_start_without
from pipelines.models import Parameter, Pipeline
from tests.environment import ENVIRONMENT
from tests.factories import PipelineFactory, TemplateFactory
from tests.pipelines.sealed import NEW, OLD, seal_parameters
from tests.queries import assert_same_queries, count_queries
from tests.readme import ROOT

SAID = "Secrets in the database are sealed with the key 'old', and PINION_SECRET_KEYS does not open them."


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> Generator[None]:
    health.lost.forget()
    yield
    health.lost.forget()


@pytest.fixture
def pipeline(settings: Any, organisation: Organisation) -> Pipeline:
    """With secrets, and a template with secrets, under the old key."""
    settings.PINION_SECRET_KEYS = {"old": OLD}
    made: Pipeline = PipelineFactory(organisation=organisation)
    seal_parameters(made, 3)
    TemplateFactory(organisation=organisation)
    return made


def test_a_ring_that_opens_everything_lacks_nothing(pipeline: Pipeline, settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    assert lost_keys() == []
    assert Client().get("/readyz").json()["secrets"] == "ok"
    assert checks.the_key_ring_opens_what_is_in_the_database(databases=["default"]) == []


@pytest.mark.parametrize("ring", [{"new": NEW}, {"new": NEW, "old": NEW}], ids=["no such key", "another under its id"])
def test_a_lost_key_is_named_by_every_check(pipeline: Pipeline, settings: Any, ring: Mapping[str, bytes]) -> None:
    settings.PINION_SECRET_KEYS = ring
    assert lost_keys() == ["old"]
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "unavailable", "database": "ok", "key_ring": "ok", "secrets": "unreadable"},
    )
    [message] = checks.the_key_ring_opens_what_is_in_the_database(databases=["default"])
    assert (message.id, message.msg) == ("pinion.E002", SAID)
    assert "ACCEPT_LOST_SECRETS" in str(message.hint)
    assert checks.the_key_ring_opens_what_is_in_the_database() == []


def test_a_value_that_was_altered_alone_is_no_lost_key(pipeline: Pipeline) -> None:
    Parameter.objects.filter(key="k000").update(sealed="old:altered")
    assert lost_keys() == []


def test_what_is_lost_for_good_can_be_accepted(pipeline: Pipeline, settings: Any) -> None:
    settings.PINION_SECRET_KEYS, settings.ACCEPT_LOST_SECRETS = {"new": NEW}, True
    refuse_to_start_without()
    assert Client().get("/readyz").json()["secrets"] == "ok"
    [message] = checks.the_key_ring_opens_what_is_in_the_database(databases=["default"])
    assert (message.id, message.msg) == ("pinion.W003", SAID)


def test_looking_costs_as_much_for_many_secrets_as_for_few(pipeline: Pipeline, organisation: Organisation) -> None:
    with count_queries() as few:
        lost_keys()
    seal_parameters(PipelineFactory(organisation=organisation), 30)
    TemplateFactory(organisation=organisation, revisions=5)
    with count_queries() as many:
        lost_keys()
    assert len(few) == 4
    assert_same_queries(few, many)


def started(url: str, *command: str, keys: Mapping[str, bytes]) -> "subprocess.CompletedProcess[str]":
    ring = ",".join(f"{name}:{urlsafe_b64encode(key).decode()}" for name, key in keys.items())
    environment = {**os.environ, **ENVIRONMENT, "DATABASE_URL": url, "PINION_SECRET_KEYS": ring}
    return subprocess.run(
        [sys.executable, *command], check=False, capture_output=True, cwd=ROOT, env=environment, text=True, timeout=60
    )


def test_neither_server_nor_worker_starts_without_the_key(committed_db: str, pipeline: Pipeline) -> None:
    load = "import config.wsgi"
    for command in (
        ["-c", load],
        ["-m", "uvicorn", "config.asgi:application", "--port", "0"],
        ["manage.py", "run_rollouts", "--once"],
    ):
        refused = started(committed_db, *command, keys={"new": NEW})
        assert (refused.returncode, SAID in refused.stderr) == (1, True), refused.stderr
    assert started(committed_db, "-c", load, keys={"new": NEW, "old": OLD}).returncode == 0


def test_the_check_asks_the_database_only_where_it_is_told_to(committed_db: str, pipeline: Pipeline) -> None:
    assert started(committed_db, "manage.py", "check", keys={"new": NEW}).returncode == 0
    refused = started(committed_db, "manage.py", "check", "--database", "default", keys={"new": NEW})
    assert (refused.returncode, "(pinion.E002)" in refused.stderr) == (1, True)


def test_refusing_says_what_to_do(committed_db: str, pipeline: Pipeline, settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {"new": NEW}
    with pytest.raises(Unreadable, match=r"'old', and PINION_SECRET_KEYS does not open them\. Add the key"):
        refuse_to_start_without()
