"""API tokens over REST: shown once, kept as a hash, revoked at once, and limited to pipelines where asked."""

from typing import Any

import pytest
import time_machine

from accounts.credentials import access_token
from accounts.models import ApiToken, AuditEntry, IdempotentAnswer, Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from pipelines.models import TokenPipeline
from tests.accounts.evidence import audited, code_of, denials, everything
from tests.accounts.threads import side_by_side, tally
from tests.clients import Api
from tests.conftest import Cast
from tests.factories import PipelineFactory, system
from tests.queries import assert_same_queries, count_queries

NEW = {"name": "Nightly job", "scope": "editor"}
DENIED = {
    "viewer": (403, "FORBIDDEN"),
    "editor": (403, "FORBIDDEN"),
    "processor": (403, "FORBIDDEN"),
    "nobody": (401, "INVALID_TOKEN"),
}


def issue(organisation: Organisation, name: str = "Program", scope: Role = Role.VIEWER) -> tuple[ApiToken, str]:
    return issue_token(actor=system(organisation), name=name, scope=scope)


def test_a_new_token_is_shown_in_full_this_once(admin_user: User) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False):
        admin = Api(access_token(admin_user))
        answer = admin.post("tokens", {**NEW, "expires_at": "2026-03-02T11:00:00+01:00"})
        shown = Api(answer.json()["token"]).get("me").json()

    assert (shown["type"], shown["role"]) == ("token", "editor")
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    body = answer.json()
    secret = body.pop("token")
    assert Api(access_token(admin_user)).get("tokens").json()["tokens"] == [body]
    assert body.pop("id").startswith("tok_")
    assert body == {
        "name": "Nightly job",
        "scope": "editor",
        "hint": secret[-4:],
        "created_by": "admin@acme.example",
        "created_at": "2026-03-01T10:00:00Z",
        "expires_at": "2026-03-02T10:00:00Z",
        "pipelines": [],
    }


def test_issuing_is_audited_with_its_limits_and_without_the_token(
    admin: Api, admin_user: User, organisation: Organisation
) -> None:
    pipelines = [PipelineFactory(organisation=organisation).pk for _ in range(2)]
    body = {"name": "Feed", "scope": "processor", "pipelines": [*pipelines, pipelines[0]]}

    with time_machine.travel("2026-03-01T10:00:00Z", tick=False):
        answer = admin.post("tokens", {**body, "expires_at": "2026-03-02T10:00:00Z"}).json()

    assert answer["pipelines"] == pipelines
    entry = AuditEntry.objects.get(action="token.issued")
    assert entry.actor == {"type": "user", "id": admin_user.pk, "label": "admin@acme.example"}
    assert (entry.resource_type, entry.resource_id, entry.resource_label) == ("token", answer["id"], "Feed")
    assert entry.changes == {
        "name": {"old": None, "new": "Feed"},
        "scope": {"old": None, "new": "processor"},
        "expires_at": {"old": None, "new": "2026-03-02T10:00:00Z"},
        "pipelines": {"old": None, "new": pipelines},
    }
    assert answer["token"] not in repr(everything())


def test_only_admins_issue_tokens(cast: Cast) -> None:
    assert denials(cast, DENIED, lambda api: api.post("tokens", NEW)) == DENIED
    assert cast["admin"].post("tokens", NEW).status_code == 201


def test_only_admins_read_tokens_and_each_only_their_own(cast: Cast, organisation: Organisation) -> None:
    issue(organisation, "Ours")
    assert denials(cast, DENIED, lambda api: api.get("tokens")) == DENIED
    names = {name: [row["name"] for row in cast[name].get("tokens").json()["tokens"]] for name in ("admin", "stranger")}
    assert names == {"admin": ["processor token", "Ours"], "stranger": []}


def test_only_admins_of_the_same_organisation_revoke_tokens(cast: Cast, organisation: Organisation) -> None:
    token, secret = issue(organisation)
    denied = {**DENIED, "stranger": (404, "NOT_FOUND")}
    assert denials(cast, denied, lambda api: api.delete(f"tokens/{token.pk}")) == denied
    assert Api(secret).get("me").status_code == 200

    answer = cast["admin"].delete(f"tokens/{token.pk}")

    assert (answer.status_code, answer.json()) == (200, {"status": "removed"})
    assert Api(secret).get("me").status_code == 401
    assert audited()[-1] == ("token.revoked", "admin@acme.example")


def test_a_token_is_revoked_once(admin: Api, organisation: Organisation) -> None:
    token, _ = issue(organisation)
    admin.delete(f"tokens/{token.pk}")
    before = everything()
    answers = [admin.delete(f"tokens/{key}") for key in (token.pk, "tok_unknown", "usr_x", "x" * 500)]
    assert [(answer.status_code, code_of(answer)) for answer in answers] == [(404, "NOT_FOUND")] * 4
    assert everything() == before
    assert admin.get("tokens").json()["tokens"] == []


def test_a_token_revoked_eight_times_side_by_side_is_revoked_and_audited_once(
    committed_db: str, admin: Api, organisation: Organisation
) -> None:
    token, _ = issue(organisation)
    statuses: list[int] = side_by_side(8, lambda _: admin.delete(f"tokens/{token.pk}").status_code)
    assert tally(statuses) == {200: 1, 404: 7}
    assert AuditEntry.objects.filter(action="token.revoked").count() == 1


@pytest.mark.parametrize(
    ("changed", "status", "field", "code"),
    [
        ({"name": ""}, 422, "name", "blank"),
        ({"name": "x" * 201}, 422, "name", "max_length"),
        ({"name": 5}, 422, "name", "wrong_type"),
        ({"scope": "owner"}, 422, "scope", "not_a_choice"),
        ({"scope": None}, 422, "scope", "null"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at", "in_the_past"),
        ({"expires_at": "tomorrow"}, 422, "expires_at", "invalid"),
        ({"expires_at": 7}, 422, "expires_at", "invalid"),
        ({"pipelines": ["pip_unknown"]}, 422, "pipelines", "not_a_processor"),
        ({"scope": "processor", "pipelines": ["pip_unknown"]}, 422, "pipelines/0", "unknown_pipeline"),
        ({"scope": "processor", "pipelines": "pip_x"}, 422, "pipelines", "not_a_list"),
        ({"token": "pinion_mine"}, 400, "token", "unknown_field"),
    ],
)
def test_what_is_wrong_with_a_new_token_is_named_and_nothing_kept(
    admin: Api, changed: dict[str, Any], status: int, field: str, code: str
) -> None:
    before = everything()
    answer = admin.post("tokens", {**NEW, **changed})
    assert answer.status_code == status
    assert [(detail["field"], detail["code"]) for detail in answer.json()["error"]["details"]] == [(field, code)]
    assert everything() == before


def test_a_limit_to_a_pipeline_of_another_organisation_is_a_limit_to_one_that_is_not_there(
    admin: Api, organisation: Organisation, other_organisation: Organisation
) -> None:
    ours, theirs = (PipelineFactory(organisation=home).pk for home in (organisation, other_organisation))
    answer = admin.post("tokens", {"name": "Feed", "scope": "processor", "pipelines": [ours, theirs]})
    assert (answer.status_code, [detail["field"] for detail in answer.json()["error"]["details"]]) == (
        422,
        ["pipelines/1"],
    )
    assert TokenPipeline.objects.count() == 0


def test_a_dry_run_shows_a_token_that_opens_nothing_and_keeps_nothing(admin: Api) -> None:
    before = everything()
    answer = admin.post("tokens?dry_run=true", NEW)
    assert (answer.status_code, answer["Cache-Control"], answer["Dry-Run"]) == (201, "no-store", "true")
    assert everything() == before
    assert Api(answer.json()["token"]).get("me").status_code == 401


def test_one_idempotency_key_makes_one_token_and_shows_it_again(admin: Api) -> None:
    first = admin.post("tokens", NEW, Idempotency_Key="key-1")
    again = admin.post("tokens", NEW, Idempotency_Key="key-1")

    assert [first.status_code, again.status_code, again.json()] == [201, 201, first.json()]
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert again["Cache-Control"] == "no-store"
    assert ApiToken.objects.count() == 1
    assert [action for action, _ in audited()].count("token.issued") == 1


def test_the_answer_kept_for_an_idempotency_key_is_sealed(admin: Api) -> None:
    secret = admin.post("tokens", NEW, Idempotency_Key="key-1").json()["token"]
    body = bytes(IdempotentAnswer.objects.get().body)
    assert body.startswith(b"test:")
    assert secret.encode() not in body
    assert b"Nightly" not in body
    assert secret not in repr(everything())


def test_the_key_of_one_admin_shows_nothing_to_another(admin: Api, stranger: Api) -> None:
    first = admin.post("tokens", NEW, Idempotency_Key="key-1").json()
    other = stranger.post("tokens", NEW, Idempotency_Key="key-1")
    assert other.status_code == 201
    assert other.json()["token"] != first["token"]


def test_one_key_sent_eight_times_side_by_side_makes_one_token(committed_db: str, admin: Api) -> None:
    statuses: list[int] = side_by_side(8, lambda _: admin.post("tokens", NEW, Idempotency_Key="k").status_code)
    assert set(statuses) <= {201, 409}
    assert statuses.count(201) >= 1
    assert ApiToken.objects.count() == 1


def test_a_long_list_of_limited_tokens_takes_no_more_statements_than_a_short_one(
    admin: Api, organisation: Organisation
) -> None:
    pipelines = [PipelineFactory(organisation=organisation).pk for _ in range(3)]
    body = {"name": "Feed", "scope": "processor", "pipelines": pipelines}
    admin.post("tokens", body)
    with count_queries() as few:
        admin.get("tokens", {"limit": 100})
    for _ in range(15):
        admin.post("tokens", body)
    with count_queries() as many:
        shown = admin.get("tokens", {"limit": 100}).json()["tokens"]
    assert [row["pipelines"] for row in shown] == [pipelines] * 16
    assert_same_queries(few, many)
    assert len(few) == 3


def test_tokens_come_in_pages_oldest_first(admin: Api, organisation: Organisation) -> None:
    for number in range(5):
        issue(organisation, str(number))
    first = admin.get("tokens", {"limit": 3}).json()
    second = admin.get("tokens", {"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [row["name"] for page in (first, second) for row in page["tokens"]] == ["0", "1", "2", "3", "4"]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
