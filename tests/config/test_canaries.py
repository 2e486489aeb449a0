"""Secrets put everywhere and then looked for in what the processes log, at the most talkative level there is."""

import json
import logging
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from accounts.credentials import access_token
from accounts.models import Organisation, User
from accounts.roles import Role
from config.logs import JsonLines, WithRequestId
from pipelines.client import Client
from pipelines.models import Parameter, Pin, Pipeline
from tests.config.servers import Served, serving
from tests.conftest import token
from tests.environment import ENVIRONMENT
from tests.factories import PASSWORD, PinFactory, PipelineFactory, TemplateFactory, wishes
from tests.pipelines.client.planes import until
from tests.readme import ROOT

CANARY = "canary-that-nobody-may-hear"
SHAPE = {"time", "level", "logger", "message"}
MORE = {"request_id", "exception", "places"}


@pytest.fixture
def pin(committed_db: str, organisation: Organisation) -> Pin:
    """A config with a canary in it, on a pipeline with another in a secret parameter that no longer opens."""
    config = {"measurement_id": "{{pipeline_param.measured}}", "api_secret": f"{CANARY}-config"}
    template = TemplateFactory(organisation=organisation, vendor="ga4", config=config)
    pipeline: Pipeline = PipelineFactory(
        organisation=organisation, parameters=wishes(measured=f"{CANARY}-parameter", secret=True)
    )
    made: Pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    return made


def lines(text: str) -> list[dict[str, Any]]:
    """All that was logged: nothing but lines of JSON, each of the one shape."""
    read = [json.loads(line) for line in text.splitlines()]
    assert [line for line in read if not SHAPE <= set(line) <= SHAPE | MORE] == []
    return read


def ask(served: Served, method: str, path: str, body: Any = None, bearer: str = "", **headers: str) -> int:
    named = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {}), **headers}
    with closing(served.connection()) as connection:
        connection.request(method, path, json.dumps(body) if body else None, named)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def test_servers_and_feed_log_lines_of_json_and_no_canary(
    committed_db: str, pin: Pin, organisation: Organisation, editor_user: User, tmp_path: Path
) -> None:
    processor, program = token(organisation, Role.PROCESSOR)[1], token(organisation, Role.EDITOR)[1]
    Parameter.objects.filter(pipeline=pin.pipeline).update(sealed=f"test:{CANARY}")
    person = access_token(editor_user)
    address = f"/v1/runtime/pipelines/{pin.pipeline_id}"
    with serving(committed_db, tmp_path, "uvicorn", LOG_LEVEL="DEBUG", ALLOWED_HOSTS="localhost") as served:
        login = {"email": editor_user.email, "password": PASSWORD}
        assert ask(served, "POST", "/v1/admin/auth/login", login) == 401  # hashed for tests, not for servers
        assert ask(served, "POST", "/v1/admin/auth/login", {**login, "password": CANARY}) == 401
        assert ask(served, "GET", "/v1/admin/me", bearer=CANARY) == 401
        assert ask(served, "GET", address, bearer=processor) == 200
        assert ask(served, "GET", address, bearer=f"pinion_{CANARY}") == 401
        assert ask(served, "GET", "/v1/runtime/changes?since=0", bearer=processor) == 200
        assert ask(served, "POST", "/v1/runtime/reports", {CANARY: CANARY}, processor) == 400
        named = {"name": CANARY, "slug": f"not a slug {CANARY}"}
        assert ask(served, "POST", "/v1/admin/pipelines", named, program) == 422
        assert ask(served, "GET", "/v1/admin/nothing", bearer=person, Cookie=f"sessionid={CANARY}") == 404
        for kept in (f"/v1/admin/pipelines/{pin.pipeline_id}/config", f"/v1/admin/pipelines/{pin.pipeline_id}"):
            ask(served, "GET", kept, bearer=person, **{"X-Request-ID": "looked-for-later"})
    text = served.log.read_text()
    assert {line["level"] for line in lines(text)} & {"WARNING", "ERROR"}
    assert [secret for secret in (CANARY, PASSWORD, processor, program, person) if secret in text] == []


def test_the_worker_logs_lines_of_json_and_no_canary(committed_db: str, pin: Pin) -> None:
    environment = {**os.environ, **ENVIRONMENT, "DATABASE_URL": committed_db, "LOG_LEVEL": "DEBUG"}
    command = [sys.executable, "manage.py", "run_rollouts", "--once", "--skip-checks"]
    ran = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment, text=True, timeout=60)
    lines(ran.stderr)
    assert CANARY not in ran.stderr + ran.stdout


def test_the_client_logs_no_canary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING),
        Client("http://127.0.0.1:9", f"pinion_{CANARY}", store=tmp_path / "state", instance="edge-1", poll_seconds=1.0),
    ):
        until(lambda: caplog.records, 10)
    for record in caplog.records:
        WithRequestId().filter(record)
    text = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert lines(text)
    assert CANARY not in text
