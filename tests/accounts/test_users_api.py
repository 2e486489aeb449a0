"""Users over REST: admins list, add and change them, and an organisation keeps one admin."""

from typing import Any

import pytest
from django.db import transaction

from accounts.credentials import access_token
from accounts.errors import Conflict
from accounts.models import AuditEntry, Organisation, User
from accounts.roles import Role
from accounts.users import update_user
from tests.accounts.evidence import audited, code_of, denials, everything
from tests.accounts.threads import side_by_side, tally
from tests.clients import Api
from tests.conftest import Cast, user
from tests.factories import PASSWORD, UserFactory, actor_of, system
from tests.queries import assert_same_queries, count_queries

NEW = {"email": "New@Acme.Example", "name": "New Person", "role": "editor", "password": "a long enough one"}
DENIED = {
    "viewer": (403, "FORBIDDEN"),
    "editor": (403, "FORBIDDEN"),
    "processor": (403, "FORBIDDEN"),
    "nobody": (401, "INVALID_TOKEN"),
}


def test_an_admin_adds_a_user_who_can_log_in(admin: Api, nobody: Api) -> None:
    answer = admin.post("users", NEW)

    assert (answer.status_code, answer["ETag"]) == (201, '"1"')
    body = answer.json()
    assert body.pop("id").startswith("usr_")
    assert body.pop("created_at") == body.pop("updated_at")
    assert body == {"email": "new@acme.example", "name": "New Person", "role": "editor", "disabled": False}
    assert nobody.post("auth/login", {"email": NEW["email"], "password": NEW["password"]}).status_code == 200


def test_adding_a_user_is_audited_without_the_password(admin: Api, admin_user: User) -> None:
    added = admin.post("users", NEW).json()
    entry = AuditEntry.objects.get(action="user.created", actor_id=admin_user.pk)
    assert (entry.resource_type, entry.resource_id, entry.resource_label) == ("user", added["id"], "new@acme.example")
    assert entry.changes == {
        "email": {"old": None, "new": "new@acme.example"},
        "name": {"old": None, "new": "New Person"},
        "role": {"old": None, "new": "editor"},
    }
    assert NEW["password"] not in repr(everything())


def test_a_user_may_be_added_without_a_password(admin: Api, nobody: Api) -> None:
    body = {key: value for key, value in NEW.items() if key != "password"}
    assert admin.post("users", body).status_code == 201
    assert nobody.post("auth/login", {"email": NEW["email"], "password": PASSWORD}).status_code == 401


def test_only_admins_add_users(cast: Cast) -> None:
    assert denials(cast, DENIED, lambda api: api.post("users", NEW)) == DENIED
    assert [cast["admin"].post("users", NEW).status_code, User.objects.filter(name="New Person").count()] == [201, 1]


def test_only_admins_read_users_and_each_only_their_own(cast: Cast, viewer_user: User) -> None:
    assert denials(cast, DENIED, lambda api: api.get("users")) == DENIED
    assert denials(cast, DENIED, lambda api: api.get(f"users/{viewer_user.pk}")) == DENIED
    emails = {name: [row["email"] for row in cast[name].get("users").json()["users"]] for name in ("admin", "stranger")}
    assert emails == {
        "admin": ["viewer@acme.example", "editor@acme.example", "admin@acme.example"],
        "stranger": ["admin@elsewhere.example"],
    }
    assert cast["stranger"].get(f"users/{viewer_user.pk}").json()["error"] == {
        "code": "NOT_FOUND",
        "message": "There is no such user in this organisation.",
        "details": [],
    }


def test_only_admins_of_the_same_organisation_change_users(cast: Cast, viewer_user: User) -> None:
    denied = {**DENIED, "stranger": (404, "NOT_FOUND")}
    path = f"users/{viewer_user.pk}"
    assert denials(cast, denied, lambda api: api.patch(path, {"role": "admin"})) == denied
    assert cast["admin"].patch(path, {"role": "admin"}).json()["role"] == "admin"


def test_a_user_is_neither_replaced_nor_deleted(admin: Api, viewer_user: User) -> None:
    before = everything()
    path = f"users/{viewer_user.pk}"
    assert [admin.put(path, {"name": "X"}).status_code, admin.delete(path).status_code] == [405, 405]
    assert everything() == before


@pytest.mark.parametrize(
    ("changed", "status", "field", "code"),
    [
        ({"email": "no email"}, 422, "email", "invalid"),
        ({"email": f"{'a' * 60}@{'.'.join(['b' * 60] * 4)}.example"}, 422, "email", "max_length"),
        ({"email": 5}, 422, "email", "wrong_type"),
        ({"email": None}, 422, "email", "null"),
        ({"email": "VIEWER@acme.example"}, 422, "email", "taken"),
        ({"email": "admin@ELSEWHERE.example"}, 422, "email", "taken"),
        ({"name": ""}, 422, "name", "blank"),
        ({"name": " New"}, 422, "name", "blanks"),
        ({"name": "New\nPerson"}, 422, "name", "control_character"),
        ({"name": "x" * 201}, 422, "name", "max_length"),
        ({"role": "owner"}, 422, "role", "not_a_choice"),
        ({"role": "processor"}, 422, "role", "not_a_choice"),
        ({"role": ["admin"]}, 422, "role", "not_a_choice"),
        ({"password": "short"}, 422, "password", "weak_password"),
        ({"password": "new@acme.example"}, 422, "password", "weak_password"),
        ({"password": "x" * 10_000}, 422, "password", "max_length"),
        ({"is_superuser": True}, 400, "is_superuser", "unknown_field"),
        ({"disabled": True}, 400, "disabled", "unknown_field"),
    ],
)
def test_what_is_wrong_with_a_new_user_is_named_and_nothing_kept(
    admin: Api, viewer: Api, stranger: Api, changed: dict[str, Any], status: int, field: str, code: str
) -> None:
    before = everything()
    answer = admin.post("users", {**NEW, **changed})
    assert answer.status_code == status
    assert {(detail["field"], detail["code"]) for detail in answer.json()["error"]["details"]} == {(field, code)}
    assert everything() == before


@pytest.mark.parametrize("name", ["Zoë 👩‍👩‍👧", "山田　太郎", "O’Brien-Ødegård"])
def test_names_are_whatever_people_are_called(admin: Api, name: str) -> None:
    assert admin.post("users", {**NEW, "name": name}).json()["name"] == name


def test_a_change_is_audited_field_by_field(admin: Api, admin_user: User, viewer_user: User) -> None:
    answer = admin.patch(f"users/{viewer_user.pk}", {"name": "Vera", "role": "editor", "disabled": True})

    assert (answer.status_code, answer["ETag"]) == (200, '"2"')
    assert (answer.json()["name"], answer.json()["role"], answer.json()["disabled"]) == ("Vera", "editor", True)
    entry = AuditEntry.objects.get(action="user.updated")
    assert entry.actor == {"type": "user", "id": admin_user.pk, "label": "admin@acme.example"}
    assert entry.changes == {
        "name": {"old": "Somebody", "new": "Vera"},
        "role": {"old": "viewer", "new": "editor"},
        "disabled": {"old": False, "new": True},
    }


@pytest.mark.parametrize("body", [{}, {"name": "Somebody"}, {"role": "viewer", "disabled": False}])
def test_a_change_to_what_is_already_so_changes_nothing(admin: Api, viewer_user: User, body: dict[str, Any]) -> None:
    before = everything()
    answer = admin.patch(f"users/{viewer_user.pk}", body)
    assert (answer.status_code, answer["ETag"]) == (200, '"1"')
    assert everything() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": None}, 422),
        ({"role": None}, 422),
        ({"disabled": "true"}, 422),
        ({"disabled": 1}, 422),
        ({"disabled": None}, 422),
        ({"email": "other@acme.example"}, 400),
        ({"password": "a long enough one"}, 400),
    ],
)
def test_a_change_that_cannot_be_is_refused(admin: Api, viewer_user: User, body: dict[str, Any], status: int) -> None:
    before = everything()
    assert admin.patch(f"users/{viewer_user.pk}", body).status_code == status
    assert everything() == before


def test_a_change_to_an_older_user_than_stands_is_refused_with_the_one_that_stands(
    admin: Api, viewer_user: User
) -> None:
    path = f"users/{viewer_user.pk}"
    assert admin.patch(path, {"name": "First"}, If_Match='"1"').status_code == 200
    before = everything()

    stale = admin.patch(path, {"name": "Second"}, If_Match='"1"')

    assert (stale.status_code, code_of(stale), stale["ETag"]) == (412, "PRECONDITION_FAILED", '"2"')
    assert stale.json()["current"]["name"] == "First"
    assert everything() == before


@pytest.mark.parametrize(
    ("tag", "status"),
    [('"1"', 200), ("*", 200), ('"7", "1"', 200), ('"7"', 412), ('W/"1"', 412), ('""', 412), ("nonsense", 412)],
)
def test_if_match_is_honoured(admin: Api, viewer_user: User, tag: str, status: int) -> None:
    assert admin.patch(f"users/{viewer_user.pk}", {"name": "New"}, If_Match=tag).status_code == status


def test_a_client_that_has_the_user_already_is_told_so(admin: Api, viewer_user: User) -> None:
    path = f"users/{viewer_user.pk}"
    tags = ['"1"', 'W/"1"', "*", '"7", "1"', '"2"']
    assert [admin.get(path, If_None_Match=tag).status_code for tag in tags] == [304, 304, 304, 304, 200]


def test_a_dry_run_of_either_write_answers_the_same_and_keeps_nothing(admin: Api, viewer_user: User) -> None:
    before = everything()
    added = admin.post("users?dry_run=true", NEW)
    changed = admin.patch(f"users/{viewer_user.pk}?dry_run=true", {"disabled": True})
    assert (added.status_code, added.json()["email"]) == (201, "new@acme.example")
    assert (changed.status_code, changed.json()["disabled"]) == (200, True)
    assert everything() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [({"role": "viewer"}, "role"), ({"role": "editor"}, "role"), ({"disabled": True}, "disabled")],
)
def test_the_last_admin_stays(admin: Api, admin_user: User, body: dict[str, Any], field: str) -> None:
    before = everything()
    answer = admin.patch(f"users/{admin_user.pk}", body)
    message = "This is the organisation's last admin. Make someone else an admin first."
    assert (answer.status_code, answer.json()["error"]) == (
        409,
        {
            "code": "LAST_ADMIN",
            "message": message,
            "details": [{"field": field, "code": "last_admin", "message": message}],
        },
    )
    assert everything() == before


def test_neither_a_disabled_admin_nor_one_of_another_organisation_counts_as_another(
    admin: Api, admin_user: User, stranger: Api, organisation: Organisation
) -> None:
    second = user(organisation, "second@acme.example", Role.ADMIN)
    update_user(actor=actor_of(admin_user), user_id=second.pk, disabled=True)
    assert code_of(admin.patch(f"users/{admin_user.pk}", {"role": "viewer"})) == "LAST_ADMIN"
    update_user(actor=actor_of(admin_user), user_id=second.pk, disabled=False)
    assert admin.patch(f"users/{admin_user.pk}", {"role": "viewer"}).status_code == 200


def test_the_last_admin_may_be_renamed(admin: Api, admin_user: User) -> None:
    assert admin.patch(f"users/{admin_user.pk}", {"name": "Ada", "role": "admin"}).json()["name"] == "Ada"


def test_of_eight_admins_who_step_down_side_by_side_one_stays(committed_db: str, organisation: Organisation) -> None:
    admins = [user(organisation, f"admin{number}@acme.example", Role.ADMIN) for number in range(8)]

    def step_down(number: int) -> str:
        try:
            update_user(actor=system(organisation), user_id=admins[number].pk, role=Role.VIEWER)
        except Conflict as refusal:
            return refusal.code
        return "stepped down"

    assert tally(side_by_side(8, step_down)) == {"stepped down": 7, "LAST_ADMIN": 1}
    assert User.objects.admins().count() == 1


def test_of_two_changes_to_the_same_user_as_it_was_one_is_refused(committed_db: str, viewer_user: User) -> None:
    organisation = viewer_user.organisation
    assert organisation is not None
    admin = Api(admin_bearer(organisation))

    def rename(number: int) -> int:
        status: int = admin.patch(f"users/{viewer_user.pk}", {"name": f"Name {number}"}, If_Match='"1"').status_code
        return status

    assert tally(side_by_side(4, rename)) == {200: 1, 412: 3}
    viewer_user.refresh_from_db()
    assert viewer_user.row_version == 2


def test_an_email_added_twice_side_by_side_is_added_once(
    committed_db: str, organisation: Organisation, other_organisation: Organisation
) -> None:
    apis = [Api(admin_bearer(home)) for home in (organisation, other_organisation)]
    answers = side_by_side(2, lambda number: apis[number].post("users", NEW).status_code)
    assert answers.count(201) == 1
    assert set(answers) <= {201, 409, 422}
    assert User.objects.by_email("new@acme.example").count() == 1


def test_a_change_whose_audit_entry_cannot_be_written_does_not_happen(
    admin_user: User, viewer_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(entry: AuditEntry) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr("accounts.audit.insert", fail)
    with pytest.raises(RuntimeError, match="no audit"), transaction.atomic():
        update_user(actor=actor_of(admin_user), user_id=viewer_user.pk, role=Role.ADMIN)
    viewer_user.refresh_from_db()
    assert viewer_user.role == "viewer"


def test_users_come_in_pages_oldest_first(admin: Api, organisation: Organisation) -> None:
    for number in range(4):
        UserFactory(organisation=organisation, email=f"{number}@acme.example")
    first = admin.get("users", {"limit": 3}).json()
    second = admin.get("users", {"limit": 3, "cursor": first["next_cursor"]}).json()
    emails = [row["email"] for page in (first, second) for row in page["users"]]
    assert emails == ["admin@acme.example", *(f"{number}@acme.example" for number in range(4))]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize("query", [{"role": "admin"}, {"limit": "0"}, {"limit": "101"}, {"cursor": "nonsense"}])
def test_a_list_of_users_refuses_what_it_does_not_know(admin: Api, query: dict[str, str]) -> None:
    answer = admin.get("users", query)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")


def test_a_long_list_of_users_takes_no_more_statements_than_a_short_one(admin: Api, organisation: Organisation) -> None:
    with count_queries() as few:
        admin.get("users", {"limit": 100})
    UserFactory.create_batch(30, organisation=organisation)
    with count_queries() as many:
        assert len(admin.get("users", {"limit": 100}).json()["users"]) == 31
    assert_same_queries(few, many)
    assert len(few) == 2


def test_a_user_is_added_once_for_one_idempotency_key(admin: Api) -> None:
    first = admin.post("users", NEW, Idempotency_Key="key-1")
    again = admin.post("users", NEW, Idempotency_Key="key-1")
    other = admin.post("users", {**NEW, "name": "Other"}, Idempotency_Key="key-1")
    assert [first.status_code, again.status_code, other.status_code] == [201, 201, 422]
    assert (again.json(), again["Idempotent-Replayed"], again["ETag"]) == (first.json(), "true", '"1"')
    assert [entry for entry in audited() if entry[0] == "user.created"][-1] == ("user.created", "admin@acme.example")
    assert User.objects.filter(name="New Person").count() == 1


def admin_bearer(organisation: Organisation) -> str:
    return access_token(user(organisation, f"admin@{organisation.name.lower()}.example", Role.ADMIN))
