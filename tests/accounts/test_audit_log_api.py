"""The audit log over REST: what was done, for admins, newest first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts import audit
from accounts.actors import Actor, ActorType
from accounts.credentials import access_token
from accounts.models import AuditEntry, Organisation, User
from accounts.roles import Role
from accounts.users import update_user
from tests.accounts.evidence import code_of, denials
from tests.clients import Api
from tests.conftest import Cast
from tests.factories import actor_of, system
from tests.queries import assert_same_queries, count_queries

DENIED = {
    "viewer": (403, "FORBIDDEN"),
    "editor": (403, "FORBIDDEN"),
    "processor": (403, "FORBIDDEN"),
    "nobody": (401, "INVALID_TOKEN"),
}
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture
def log(organisation: Organisation) -> Organisation:
    """Four entries a minute apart, made by two people about two things."""
    noted = [("ada", "pipeline.created", "pipeline", "pip_1"), ("ada", "pipeline.updated", "pipeline", "pip_1")]
    noted += [("bob", "pipeline.updated", "pipeline", "pip_2"), ("bob", "token.issued", "token", "tok_1")]
    for minute, (who, action, kind, key) in enumerate(noted):
        with time_machine.travel(START + timedelta(minutes=minute), tick=False):
            actor = Actor(ActorType.USER, who, who, organisation.pk, Role.ADMIN)
            audit.record(actor=actor, action=action, resource_type=kind, resource=Thing(key), label=key)
    return organisation


class Thing:
    def __init__(self, pk: str) -> None:
        self.pk = pk


def shown(admin: Api, **query: str) -> list[str]:
    """What the filters let through, among the entries of the log above, oldest first."""
    until = {"until": "2026-03-02T00:00:00Z"} if "until" not in query else {}
    entries = admin.get("audit-log", {**until, **query}).json()["entries"]
    return [f"{entry['actor']['label']} {entry['action']} {entry['resource_id']}" for entry in reversed(entries)]


def test_an_entry_says_who_did_what_to_what_and_from_where(admin: Api, admin_user: User, viewer_user: User) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False):
        admin = Api(access_token(admin_user))
        admin.patch(f"users/{viewer_user.pk}", {"role": "editor"}, X_Request_ID="request-42")
        entry = admin.get("audit-log", {"action": "user.updated"}).json()["entries"][0]

    assert isinstance(entry.pop("id"), str)
    assert entry == {
        "action": "user.updated",
        "actor": {"type": "user", "id": admin_user.pk, "label": "admin@acme.example"},
        "resource_type": "user",
        "resource_id": viewer_user.pk,
        "resource_label": "viewer@acme.example",
        "changes": {"role": {"old": "viewer", "new": "editor"}},
        "request_id": "request-42",
        "ip_address": "127.0.0.1",
        "created_at": "2026-03-01T10:00:00Z",
    }


def test_only_admins_read_it_and_each_only_their_own(cast: Cast, log: Organisation) -> None:
    assert denials(cast, DENIED, lambda api: api.get("audit-log")) == DENIED
    organisations = {
        name: {entry["resource_label"] for entry in cast[name].get("audit-log").json()["entries"]}
        for name in ("admin", "stranger")
    }
    assert "pip_1" in organisations["admin"]
    assert organisations["stranger"] == {"admin@elsewhere.example"}


def test_nobody_writes_it_over_rest(admin: Api, log: Organisation) -> None:
    before = list(AuditEntry.objects.values())
    statuses = [act("audit-log").status_code for act in (admin.post, admin.put, admin.patch, admin.delete)]
    assert statuses == [405] * 4
    assert list(AuditEntry.objects.values()) == before


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"actor": "ada"}, ["ada pipeline.created pip_1", "ada pipeline.updated pip_1"]),
        ({"action": "pipeline.updated"}, ["ada pipeline.updated pip_1", "bob pipeline.updated pip_2"]),
        ({"resource_type": "token"}, ["bob token.issued tok_1"]),
        ({"resource_id": "pip_2"}, ["bob pipeline.updated pip_2"]),
        ({"actor": "bob", "action": "pipeline.updated"}, ["bob pipeline.updated pip_2"]),
        ({"actor": "nobody"}, []),
        ({"since": "2026-03-01T10:02:00Z"}, ["bob pipeline.updated pip_2", "bob token.issued tok_1"]),
        ({"until": "2026-03-01T10:01:00Z"}, ["ada pipeline.created pip_1"]),
        ({"since": "2026-03-01T11:01:00+01:00", "until": "2026-03-01T10:02:00Z"}, ["ada pipeline.updated pip_1"]),
        (
            {"since": "0001-01-01T00:00:00Z", "actor": "ada", "action": "pipeline.created"},
            ["ada pipeline.created pip_1"],
        ),
    ],
)
def test_filters_narrow_it(admin: Api, log: Organisation, query: dict[str, str], expected: list[str]) -> None:
    assert shown(admin, **query) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"user": "ada"},
        {"since": "yesterday"},
        {"since": "2026-03-01"},
        {"since": "2026-03-01T10:00:00"},
        {"since": "2026-02-30T10:00:00Z"},
        {"until": "0001-01-01T00:00:00+23:59"},
        {"since": "9999-12-31T23:59:59-23:59"},
        {"limit": "many"},
        {"cursor": "nonsense"},
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(admin: Api, query: dict[str, str]) -> None:
    answer = admin.get("audit-log", query)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == list(query)


def test_it_comes_in_pages_newest_first_also_where_moments_are_the_same(admin: Api, organisation: Organisation) -> None:
    with time_machine.travel(START, tick=False):
        for number in range(7):
            audit.record(
                actor=system(organisation), action="test", resource_type="thing", resource=Thing(str(number)), label=""
            )
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = admin.get("audit-log", {"action": "test", "limit": 3, **cursor}).json()
        seen += [entry["resource_id"] for entry in page["entries"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


def test_a_long_log_takes_no_more_statements_than_a_short_one(admin: Api, organisation: Organisation) -> None:
    with count_queries() as few:
        admin.get("audit-log", {"limit": 100})
    for number in range(40):
        audit.record(
            actor=system(organisation), action="test", resource_type="x", resource=Thing(str(number)), label=""
        )
    with count_queries() as many:
        assert len(admin.get("audit-log", {"limit": 100}).json()["entries"]) == 41
    assert_same_queries(few, many)
    assert len(few) == 2


def test_an_entry_keeps_the_name_its_actor_had(admin: Api, admin_user: User, viewer_user: User) -> None:
    update_user(actor=actor_of(admin_user), user_id=viewer_user.pk, name="Before")
    User.objects.filter(pk=admin_user.pk).update(email="renamed@acme.example")
    labels = [entry["actor"]["label"] for entry in admin.get("audit-log", {"action": "user.updated"}).json()["entries"]]
    assert labels == ["admin@acme.example"]


def test_a_token_that_acts_is_named_as_a_token(admin: Api, viewer_user: User) -> None:
    made = admin.post("tokens", {"name": "Robot", "scope": "admin"}).json()
    Api(made["token"]).patch(f"users/{viewer_user.pk}", {"name": "Renamed"})
    entry: dict[str, Any] = admin.get("audit-log", {"actor": made["id"]}).json()["entries"][0]
    assert entry["actor"] == {"type": "token", "id": made["id"], "label": "Robot"}
