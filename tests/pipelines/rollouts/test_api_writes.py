"""Writes to rollouts over REST: tried first, sent twice, sent by two people at once."""

import pytest

from accounts.models import AuditEntry, Organisation
from pipelines.models import Rollout
from tests.accounts.threads import side_by_side
from tests.clients import Api
from tests.pipelines.rollouts.rest_fleets import Fleet, fleet, kept, timeless

KEY = "0b2b1c5e-6d5a-4b0e-9a53-7f4f6a0f1c11"
MADE = {"id": "", "plan_hash": "", "created_at": "", "started_at": ""}  # a dry run makes others


@pytest.fixture
def shops(organisation: Organisation) -> Fleet:
    return fleet(organisation)


def test_a_plan_that_is_only_tried_shows_what_would_happen_and_is_not_there(shops: Fleet, editor: Api) -> None:
    body = {"integration_id": shops.template.pk, "waves": "1,100%"}
    before = kept()
    tried = editor.post("rollouts?dry_run=true", body)
    assert (tried.status_code, tried["Dry-Run"], kept()) == (201, "true", before)
    assert editor.get(f"rollouts/{tried.json()['id']}").status_code == 404
    done = editor.post("rollouts", body).json()
    assert {**timeless(tried.json()), **MADE} == {**timeless(done), **MADE}
    assert tried.json()["counts"]["waiting"] == 3


def test_a_revert_that_is_only_tried_shows_what_would_go_back(shops: Fleet, editor: Api) -> None:
    rollout_id = shops.started(editor, 1, waves="2,100%")
    before = kept()
    tried = editor.post(f"rollouts/{rollout_id}/revert?dry_run=true")
    assert (tried.status_code, tried["Dry-Run"], kept()) == (201, "true", before)
    assert (tried.json()["moves"], tried.json()["counts"]["waiting"]) == (2, 2)
    assert editor.get(f"rollouts/{rollout_id}").json()["state"] == "running"


def test_a_start_that_is_only_tried_says_whether_it_could_be(shops: Fleet, editor: Api) -> None:
    planned = shops.plan(editor).json()["id"]
    late = shops.add("Late 3")
    before = kept()
    tried, done = (editor.post(f"rollouts/{planned}/start{query}") for query in ("?dry_run=true", ""))
    assert tried.json() == done.json()
    assert tried.json()["error"]["code"] == "PLAN_CHANGED"
    message = "Late 3: it belongs to the selection now."
    assert tried.json()["error"]["details"] == [
        {"field": late.pk, "code": "new", "message": message, "pin_id": late.pk}
    ]
    assert kept() == before


def test_a_request_sent_twice_plans_starts_and_takes_back_once(shops: Fleet, editor: Api) -> None:
    body = {"integration_id": shops.template.pk}
    first, again = (editor.post("rollouts", body, Idempotency_Key=KEY) for _ in range(2))
    assert (first.json(), again["Idempotent-Replayed"]) == (again.json(), "true")
    assert Rollout.objects.count() == 1
    path = f"rollouts/{first.json()['id']}/start"
    started, replayed = (editor.post(path, Idempotency_Key=f"{KEY}-start") for _ in range(2))
    assert started.content == replayed.content
    assert (started.status_code, replayed["Idempotent-Replayed"]) == (200, "true")
    assert AuditEntry.objects.filter(action="rollout.started").count() == 1


def test_a_rollout_that_went_on_since_it_was_seen_is_left_as_it_is(shops: Fleet, editor: Api, admin: Api) -> None:
    planned = shops.plan(editor).json()["id"]
    seen = editor.get(f"rollouts/{planned}")["ETag"]
    assert admin.post(f"rollouts/{planned}/start", If_Match=seen).status_code == 200
    before = kept()
    for verb in ("start", "pause", "abort", "revert"):
        answer = editor.post(f"rollouts/{planned}/{verb}", If_Match=seen)
        assert (verb, answer.status_code, answer.json()["error"]["code"]) == (verb, 412, "PRECONDITION_FAILED")
        assert answer.json()["current"] == editor.get(f"rollouts/{planned}").json()
        assert answer["ETag"] != seen
    assert editor.delete(f"rollouts/{planned}", If_Match=seen).status_code == 412
    assert kept() == before
    now = editor.get(f"rollouts/{planned}")["ETag"]
    assert editor.post(f"rollouts/{planned}/pause", If_Match=now).status_code == 200


@pytest.mark.parametrize("again", range(3))
def test_of_two_editors_starting_two_plans_of_one_template_one_is_told_that_another_runs(
    committed_db: str, organisation: Organisation, editor: Api, admin: Api, again: int
) -> None:
    shops = fleet(organisation)
    people = (editor, admin)
    plans = [shops.plan(person).json()["id"] for person in people]
    answers = side_by_side(2, lambda place: people[place].post(f"rollouts/{plans[place]}/start"))
    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert (won.status_code, won.json()["state"]) == (200, "running")
    assert (lost.status_code, lost.json()["error"]["code"]) == (409, "ROLLOUT_ACTIVE")
    assert sorted(Rollout.objects.values_list("state", flat=True)) == ["planned", "running"]
    assert AuditEntry.objects.filter(action="rollout.started").count() == 1


@pytest.mark.parametrize("again", range(3))
def test_of_one_who_starts_a_plan_and_one_who_discards_it_one_is_too_late(
    committed_db: str, organisation: Organisation, editor: Api, admin: Api, again: int
) -> None:
    planned = fleet(organisation).plan(editor).json()["id"]
    acts = (lambda: editor.post(f"rollouts/{planned}/start"), lambda: admin.delete(f"rollouts/{planned}"))
    started, discarded = (answer.status_code for answer in side_by_side(2, lambda place: acts[place]()))
    assert (started, discarded, Rollout.objects.count()) in ((200, 409, 1), (404, 200, 0))
