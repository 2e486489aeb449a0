"""Idempotency keys: the same request acts once, whatever happens in between."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils.crypto import salted_hmac

from accounts.credentials import access_token
from accounts.models import ApiToken, IdempotentAnswer, Organisation, User
from accounts.roles import Role
from accounts.users import update_user
from config.rest.writes import SALT
from integrations import secrets
from pipelines.api import pins
from pipelines.api import pipelines as door
from pipelines.demo import load_demo, login
from pipelines.models import Pin, Pipeline
from pipelines.registry import create_pipeline
from tests.clients import Api
from tests.config.writes import PIN, POSTS, Write, api_of, done, everything
from tests.factories import PipelineFactory, system

KEY = "5f0c8a1e-7a35-4a53-9d39-6b1f1f7c0a11"


@pytest.mark.parametrize("name", POSTS)
def test_the_same_request_with_the_same_key_acts_once(name: str, boss: Api, requests: dict[str, Write]) -> None:
    first = requests[name].send(boss, Idempotency_Key=KEY)
    after = everything()
    again = requests[name].send(boss, Idempotency_Key=KEY)
    assert everything() == after
    assert first.status_code == again.status_code == done(name)
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    for header in ("Content-Type", "ETag", "Cache-Control", "Warning"):
        assert first.get(header) == again.get(header)


def test_the_same_key_for_another_body_or_address_is_refused(boss: Api) -> None:
    boss.post("pipelines", {"name": "One"}, Idempotency_Key=KEY)
    before = everything()
    for path, body in (("pipelines", {"name": "Two"}), ("integration-templates", {"name": "One"})):
        answer = boss.post(path, body, Idempotency_Key=KEY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert everything() == before


def test_two_people_may_use_the_same_key(boss: Api, demo: Organisation) -> None:
    answers = [api.post("pipelines", {"name": "Mine"}, Idempotency_Key=KEY) for api in (boss, api_of(Role.EDITOR))]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


def test_a_refused_request_leaves_its_key_free(boss: Api) -> None:
    assert boss.post("pipelines", {"name": ""}, Idempotency_Key=KEY).status_code == 422
    assert IdempotentAnswer.objects.count() == 0
    assert boss.post("pipelines", {"name": "Right"}, Idempotency_Key=KEY).status_code == 201


def test_a_fault_leaves_its_key_free_and_nothing_half_done(boss: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything()

    def create_and_fail(*args: Any, **kwargs: Any) -> None:
        PipelineFactory(organisation=Organisation.objects.get())
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.api.pipelines.create_pipeline", create_and_fail)
        assert boss.post("pipelines", {"name": "Half"}, Idempotency_Key=KEY).status_code == 500
    assert everything() == before
    assert boss.post("pipelines", {"name": "Whole"}, Idempotency_Key=KEY).status_code == 201


def test_a_key_is_forgotten_after_24_hours(boss: Api) -> None:
    now = datetime.now(UTC)
    first = boss.post("pipelines", {"name": "Daily"}, Idempotency_Key=KEY)
    IdempotentAnswer.objects.update(created_at=now - timedelta(hours=23, minutes=59))
    assert boss.post("pipelines", {"name": "Daily"}, Idempotency_Key=KEY).json() == first.json()
    IdempotentAnswer.objects.update(created_at=now - timedelta(hours=24))
    assert boss.post("pipelines", {"name": "Daily"}, Idempotency_Key=KEY).json()["id"] != first.json()["id"]


def test_a_key_whose_process_died_is_free_at_once_for_the_same_request(boss: Api, demo: Organisation) -> None:
    actor = User.objects.by_email(login(Role.ADMIN)["email"]).get()
    said = b'POST /v1/admin/pipelines\n{"name": "Late"}'
    request_hash = salted_hmac(SALT, said, algorithm="sha256").hexdigest()
    IdempotentAnswer.objects.create(organisation=demo, actor_id=actor.pk, key=KEY, request_hash=request_hash)
    other = boss.post("pipelines", {"name": "Other"}, Idempotency_Key=KEY)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    made = boss.post("pipelines", {"name": "Late"}, Idempotency_Key=KEY)
    assert made.status_code == 201
    assert boss.post("pipelines", {"name": "Late"}, Idempotency_Key=KEY).json() == made.json()


def test_who_took_so_long_that_another_took_over_does_nothing(boss: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = loses_its_row(monkeypatch)
    answer = boss.post("pipelines", {"name": "Slow"}, Idempotency_Key=KEY)
    assert made == ["made"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "STILL_RUNNING")
    assert not Pipeline.objects.filter(name="Slow").exists()


def loses_its_row(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """While the request runs, its row goes to another one."""
    made: list[str] = []
    real = create_pipeline

    def slow(**arguments: Any) -> Any:
        IdempotentAnswer.objects.all().delete()
        made.append("made")
        return real(**arguments)

    monkeypatch.setattr(door, "create_pipeline", slow)
    return made


def test_a_stored_answer_is_sealed(boss: Api) -> None:
    shown = boss.post("tokens", {"name": "Secret", "scope": "viewer"}, Idempotency_Key=KEY).json()["token"]
    row = IdempotentAnswer.objects.get()
    assert shown.encode() not in bytes(row.body)
    opened = secrets.unseal(bytes(row.body).decode(), context=row.seal_context)
    assert json.loads(opened)["token"] == shown


def test_a_new_token_is_kept_by_no_cache_the_second_time_either(boss: Api) -> None:
    body = {"name": "Secret", "scope": "viewer"}
    answers = [boss.post("tokens", body, Idempotency_Key=KEY) for _ in range(2)]
    assert [answer["Cache-Control"] for answer in answers] == ["no-store", "no-store"]
    assert ApiToken.objects.filter(name="Secret").count() == 1


def test_who_has_lost_their_role_does_not_get_the_stored_answer(boss: Api, demo: Organisation) -> None:
    editor = User.objects.by_email(login(Role.EDITOR)["email"]).get()
    api = Api(access_token(editor))
    assert api.post("pipelines", {"name": "Mine"}, Idempotency_Key=KEY).status_code == 201
    update_user(actor=system(demo), user_id=editor.pk, role=Role.VIEWER)
    assert api.post("pipelines", {"name": "Mine"}, Idempotency_Key=KEY).status_code == 403


@pytest.mark.parametrize("key", ["", " " * 0, "x" * 256, "clé", "a\tb"])
def test_a_key_that_is_none_is_refused(key: str, boss: Api) -> None:
    before = everything()
    answer = boss.post("pipelines", {"name": "Any"}, Idempotency_Key=key)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "Idempotency-Key")
    assert everything() == before


def test_a_key_without_credentials_is_refused_like_any_request(nobody: Api) -> None:
    answer = nobody.post("pipelines", {"name": "Any"}, Idempotency_Key=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_TOKEN")


def test_a_dry_run_with_a_key_leaves_the_key_free(boss: Api) -> None:
    assert boss.post("pipelines?dry_run=true", {"name": "Any"}, Idempotency_Key=KEY).status_code == 201
    assert IdempotentAnswer.objects.count() == 0


def test_of_many_requests_at_once_with_one_key_exactly_one_acts(committed_db: str, database_kind: str) -> None:
    organisation = load_demo()
    bearer = access_token(User.objects.by_email(login(Role.EDITOR)["email"]).get())
    before = Pipeline.objects.filter(organisation=organisation).count()
    answers = at_once(8, lambda: Api(bearer).post("pipelines", {"name": "Once"}, Idempotency_Key=KEY))
    created = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    refused = {answer.json()["error"]["code"] for answer in answers if answer.status_code != 201}
    assert len(created) == 1
    assert refused <= {"STILL_RUNNING"}
    assert Pipeline.objects.filter(organisation=organisation).count() == before + 1


def test_while_the_first_still_runs_the_second_is_told_so(committed_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load_demo()
    bearer = access_token(User.objects.by_email(login(Role.EDITOR)["email"]).get())
    inside, go_on = threading.Event(), threading.Event()

    def waits(*args: Any, **kwargs: Any) -> Any:
        inside.set()
        assert go_on.wait(20)
        raise RuntimeError

    monkeypatch.setattr(pins, "assign_pin", waits)
    first: list[Any] = []
    path = "pipelines/pip_xyz789/integrations"
    body = {"integration_id": "tmpl_abc123", "revision_id": "rev_xyz789"}
    thread = threading.Thread(target=closing(lambda: first.append(Api(bearer).post(path, body, Idempotency_Key=KEY))))
    thread.start()
    assert inside.wait(20)
    try:
        if connection.vendor == "postgresql":  # on SQLite the first holds the one right to write
            second = Api(bearer).post(path, body, Idempotency_Key=KEY)
            assert (second.status_code, second.json()["error"]["code"]) == (409, "STILL_RUNNING")
    finally:
        go_on.set()
        thread.join()
    assert first[0].status_code == 500
    assert Pin.objects.filter(pk="pi_abc123").count() == 1
    assert Api(bearer).get(PIN).status_code == 200


def at_once(count: int, act: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(count)
    answers: list[Any] = []

    def run() -> None:
        barrier.wait()
        answers.append(act())

    threads = [threading.Thread(target=closing(run)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def closing(act: Callable[[], None]) -> Callable[[], None]:
    """A thread's work, after which its connection to the database is closed."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    return run
