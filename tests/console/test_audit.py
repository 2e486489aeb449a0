"""The audit log: newest first, found by person, object, action and day, and taken away as a file."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts.actors import Actor, ActorType
from accounts.models import AuditEntry, Organisation, User
from accounts.roles import Role
from accounts.users import update_user
from tests.console.people import at_console, everything, streamed, told
from tests.factories import UserFactory
from tests.queries import assert_same_queries, count_queries

LOG = "/admin/accounts/auditentry/"


@pytest.fixture
def admin(admin_user: User) -> Client:
    """Logged in to a log that says nothing yet but that the admin was added."""
    return at_console(admin_user)


def entry(organisation: Organisation, number: int = 1, **fields: Any) -> AuditEntry:
    usual = {
        "action": "pipeline.created",
        "resource_type": "pipeline",
        "resource_id": f"pip_{number}",
        "resource_label": f"Pipeline {number}",
        "created_at": datetime(2026, 3, number, 12, 0, 0, tzinfo=UTC),
    }
    actor = Actor(ActorType.USER, "usr_ann", "ann@acme.example", organisation.pk, Role.EDITOR)
    facts = AuditEntry.facts(actor)
    made: AuditEntry = AuditEntry.objects.create(organisation=organisation, **(facts | usual | fields))
    return made


def labels(response: Any) -> list[str]:
    return [entry.resource_label for entry in response.context["cl"].result_list]


def test_entries_stand_newest_first_whatever_order_they_came_in(admin: Client, organisation: Organisation) -> None:
    for number in (2, 3, 1):
        entry(organisation, number)
    assert labels(admin.get(LOG)) == ["admin@acme.example", "Pipeline 3", "Pipeline 2", "Pipeline 1"]


def test_another_organisations_entries_are_in_no_list_page_or_file(
    admin: Client, other_organisation: Organisation
) -> None:
    theirs = entry(other_organisation, resource_label="Theirs")
    assert labels(admin.get(LOG)) == ["admin@acme.example"]
    assert admin.get(f"{LOG}{theirs.pk}/").status_code == 404
    assert "Theirs" not in streamed(admin.get(f"{LOG}export/csv/"))


@pytest.mark.parametrize("words", ["bob@", "Shop", "pip_shop", "pipeline.deleted", "bob shop"])
def test_entries_are_found_by_person_object_id_and_action(
    admin: Client, organisation: Organisation, words: str
) -> None:
    entry(organisation, 1)
    entry(
        organisation,
        2,
        actor_label="bob@acme.example",
        resource_label="Web Shop",
        resource_id="pip_shop",
        action="pipeline.deleted",
    )
    assert labels(admin.get(LOG, {"q": words})) == ["Web Shop"]


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"action": "token.issued"}, ["Pipeline 2"]),
        ({"resource_type": "token"}, ["Pipeline 2"]),
        ({"actor_type": "token"}, ["Pipeline 3"]),
        ({"since": "2026-03-02", "until": "2026-03-02"}, ["Pipeline 2"]),
        ({"since": "2026-03-03"}, ["admin@acme.example", "Pipeline 3"]),
        ({"until": "2026-03-01"}, ["Pipeline 1"]),
        ({"until": "2026-03-02", "q": "Pipeline 1"}, ["Pipeline 1"]),
        ({"since": "2026-03-02", "action": "nothing.ever"}, []),
    ],
)
def test_entries_are_filtered_and_the_file_holds_the_same(
    admin: Client, organisation: Organisation, chosen: dict[str, str], found: list[str]
) -> None:
    entry(organisation, 1)
    entry(organisation, 2, action="token.issued", resource_type="token")
    entry(organisation, 3, actor_type="token")
    assert labels(admin.get(LOG, chosen)) == found
    rows = json.loads(streamed(admin.get(f"{LOG}export/json/", chosen)))
    assert [row["resource_label"] for row in rows] == found
    assert [row["resource_label"] for row in csv.DictReader(file(admin, chosen))] == found


def file(admin: Client, chosen: dict[str, str]) -> io.StringIO:
    return io.StringIO(streamed(admin.get(f"{LOG}export/csv/", chosen)))


def test_an_end_of_a_day_belongs_to_the_day(admin: Client, organisation: Organisation) -> None:
    entry(organisation, 1, created_at=datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC))
    entry(organisation, 2, created_at=datetime(2026, 3, 2, 0, 0, 0, tzinfo=UTC))
    assert labels(admin.get(LOG, {"since": "2026-03-01", "until": "2026-03-01"})) == ["Pipeline 1"]


def test_days_and_filters_stay_in_the_address_of_each_other(admin: Client, organisation: Organisation) -> None:
    entry(organisation)
    chosen = {"since": "2026-03-01", "until": "2026-03-31", "action": "pipeline.created", "q": "Pipeline"}
    page = admin.get(LOG, chosen).content.decode()
    assert '<input type="date" id="since" name="since" value="2026-03-01">' in page
    assert '<input type="date" id="until" name="until" value="2026-03-31">' in page
    assert '<input type="hidden" name="action" value="pipeline.created">' in page
    assert "?since=2026-03-01&amp;until=2026-03-31&amp;action=pipeline.created&amp;q=Pipeline" in page


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "0"])
def test_a_day_that_cannot_be_read_is_said_to_be_none(admin: Client, day: str) -> None:
    response = admin.get(LOG, {"since": day})
    assert told(response) == ["Write a day such as 2026-02-20. What cannot be read is left out."]
    assert labels(response) == ["admin@acme.example"]


def test_an_entry_shows_every_field_before_and_after(
    admin: Client, admin_user: User, organisation: Organisation
) -> None:
    user = UserFactory(organisation=organisation, email="vera@acme.example")
    actor = Actor(ActorType.USER, admin_user.pk, admin_user.email, organisation.pk, Role.ADMIN, "req_1", "192.0.2.1")
    update_user(actor=actor, user_id=user.pk, name="Vera", role=Role.EDITOR)
    made = AuditEntry.objects.get(action="user.updated")
    response = admin.get(f"{LOG}{made.pk}/")
    assert response.context["rows"] == [("name", "Somebody", "Vera"), ("role", "viewer", "editor")]
    page = response.content.decode()
    for text in ("admin@acme.example", "vera@acme.example", "192.0.2.1", "req_1", user.pk):
        assert text in page


def test_the_list_says_in_a_line_what_changed(admin: Client, organisation: Organisation) -> None:
    changes = {
        "role": {"old": "viewer", "new": "editor"},
        "enabled": {"old": None, "new": True},
        "config": {"old": None, "new": {"key": "x" * 100}},
        "more": {"old": 1, "new": 2},
    }
    entry(organisation, changes=changes)
    long = '{"key": "' + "x" * 50 + "…"
    assert f"config: {long}; enabled: true; more: 1 → 2; 1 more" in (
        admin.get(LOG, {"q": "Pipeline"}).content.decode().replace("&quot;", '"')
    )


def test_the_log_takes_as_many_statements_for_many_entries_as_for_few(
    admin: Client, organisation: Organisation
) -> None:
    entry(organisation)
    with count_queries() as few:
        admin.get(LOG)
    with count_queries() as few_rows:
        streamed(admin.get(f"{LOG}export/json/"))
    for number in range(1, 29):
        entry(organisation, number)
    with count_queries() as many:
        admin.get(LOG)
    with count_queries() as many_rows:
        streamed(admin.get(f"{LOG}export/json/"))
    assert_same_queries(few, many)
    assert_same_queries(few_rows, many_rows)
    assert len(few) <= 20


def test_the_log_is_for_admins_and_cannot_be_written(
    admin: Client, viewer_user: User, editor_user: User, organisation: Organisation
) -> None:
    made = entry(organisation)
    before = everything()
    for user in (viewer_user, editor_user):
        client = at_console(user)
        for address in (LOG, f"{LOG}{made.pk}/", f"{LOG}export/csv/", f"{LOG}export/json/"):
            assert client.get(address).status_code == 403
    for closed in ("change/", "delete/", "history/"):
        assert admin.post(f"{LOG}{made.pk}/{closed}").status_code == 404
    assert admin.post(f"{LOG}add/").status_code == 404
    assert everything() == before
