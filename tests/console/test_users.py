"""Admins manage the people of their organisation, and nobody else does."""

import pytest
from django.test import Client

from accounts.models import AuditEntry, Organisation, User
from accounts.roles import Role
from tests.console.people import at_console, errors, everything, problems, told
from tests.factories import PASSWORD, UserFactory
from tests.queries import assert_same_queries, count_queries

USERS = "/admin/accounts/user/"


@pytest.fixture
def admin(admin_user: User) -> Client:
    return at_console(admin_user)


def page_of(user: User) -> str:
    return f"{USERS}{user.pk}/"


def test_the_list_holds_the_organisations_people_and_no_others(
    admin: Client, editor_user: User, other_organisation: Organisation
) -> None:
    UserFactory(organisation=other_organisation, email="somebody@elsewhere.example")
    shown = [user.email for user in admin.get(USERS).context["cl"].result_list]
    assert shown == ["admin@acme.example", "editor@acme.example"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_only_admins_see_the_users_the_tokens_and_the_audit_log(organisation: Organisation, role: Role) -> None:
    client = at_console(UserFactory(organisation=organisation, role=role))
    home = client.get("/admin/").content.decode()
    for address in (USERS, "/admin/accounts/apitoken/", "/admin/accounts/auditentry/"):
        assert client.get(address).status_code == 403
        assert address not in home


def test_the_list_takes_as_many_statements_for_many_users_as_for_few(admin: Client, organisation: Organisation) -> None:
    with count_queries() as few:
        admin.get(USERS)
    UserFactory.create_batch(10, organisation=organisation)
    with count_queries() as many:
        admin.get(USERS)
    assert_same_queries(few, many)
    assert len(few) <= 20


def test_an_admin_adds_a_user_who_can_log_in(admin: Client) -> None:
    sent = {"email": "New@Acme.example", "name": "Nora New", "role": "editor", "password": PASSWORD}
    response = admin.post(f"{USERS}new/", sent, follow=True)
    user = User.objects.get(email="new@acme.example")
    assert told(response) == ["new@acme.example is here as editor."]
    assert response.redirect_chain == [(page_of(user), 302)]
    assert (user.name, user.role, user.check_password(PASSWORD)) == ("Nora New", "editor", True)
    entry = AuditEntry.objects.get(action="user.created", resource_id=user.pk)
    assert entry.actor_label == "admin@acme.example"


def test_a_user_without_a_password_cannot_log_in(admin: Client) -> None:
    admin.post(f"{USERS}new/", {"email": "new@acme.example", "name": "Nora", "role": "viewer", "password": ""})
    assert not User.objects.get(email="new@acme.example").has_usable_password()


def test_a_taken_email_and_a_weak_password_are_told_beside_their_fields(admin: Client) -> None:
    sent = {"email": "admin@acme.example", "name": "Twin", "role": "viewer", "password": ""}
    assert errors(admin.post(f"{USERS}new/", sent)) == {
        "email": ["A user with this email exists already. Use another email."]
    }
    sent = {"email": "new@acme.example", "name": "Weak", "role": "viewer", "password": "short"}
    assert errors(admin.post(f"{USERS}new/", sent)) == {
        "password": ["This password is too short. It must contain at least 10 characters."]
    }
    assert User.objects.count() == 1


def test_a_typed_password_never_comes_back_in_the_page(admin: Client) -> None:
    sent = {"email": "admin@acme.example", "name": "Twin", "role": "viewer", "password": PASSWORD}
    assert PASSWORD not in admin.post(f"{USERS}new/", sent).content.decode()


def test_a_change_is_asked_for_before_it_happens(admin: Client, viewer_user: User) -> None:
    sent = {"name": "Vera", "role": "editor", "tag": viewer_user.tag}
    before = everything()
    question = admin.post(f"{page_of(viewer_user)}edit/", sent)
    assert question.context["question"].explanation == (
        "Name: from “Somebody” to “Vera”. Role: from “viewer” to “editor”."
    )
    assert problems(question) == []
    assert everything() == before
    response = admin.post(f"{page_of(viewer_user)}edit/", {**sent, "confirmed": "yes"}, follow=True)
    assert told(response) == ["viewer@acme.example is changed."]
    viewer_user.refresh_from_db()
    assert (viewer_user.name, viewer_user.role) == ("Vera", "editor")


def test_a_form_opened_before_someone_elses_change_shows_the_conflict(admin: Client, viewer_user: User) -> None:
    sent = {"name": "Vera", "role": "editor", "tag": viewer_user.tag}
    address = f"{page_of(viewer_user)}edit/"
    admin.post(address, {"name": "First", "role": "viewer", "tag": viewer_user.tag, "confirmed": "yes"})
    stale = "Someone changed this since you read it. Read it again, then repeat your change."
    assert problems(admin.post(address, sent)) == [stale]
    assert told(admin.post(address, {**sent, "confirmed": "yes"}, follow=True))[-1] == stale
    viewer_user.refresh_from_db()
    assert (viewer_user.name, viewer_user.role) == ("First", "viewer")


def test_a_form_without_its_tag_changes_nothing(admin: Client, viewer_user: User) -> None:
    before = everything()
    admin.post(f"{page_of(viewer_user)}edit/", {"name": "Vera", "role": "editor", "confirmed": "yes"})
    admin.post(f"{page_of(viewer_user)}do/disable/", {"confirmed": "yes"})
    assert everything() == before


def test_the_last_admin_cannot_step_down(admin: Client, admin_user: User) -> None:
    refused = "This is the organisation's last admin. Make someone else an admin first."
    sent = {"name": "Somebody", "role": "viewer", "tag": admin_user.tag}
    before = everything()
    assert problems(admin.post(f"{page_of(admin_user)}edit/", sent)) == [refused]
    assert problems(admin.get(f"{page_of(admin_user)}do/disable/")) == [refused]
    response = admin.post(f"{page_of(admin_user)}edit/", {**sent, "confirmed": "yes"}, follow=True)
    assert told(response) == [refused]
    response = admin.post(f"{page_of(admin_user)}do/disable/", {"tag": admin_user.tag}, follow=True)
    assert told(response) == [refused]
    assert everything() == before


def test_an_admin_who_is_not_the_last_may_step_down_and_is_led_home(
    admin: Client, admin_user: User, organisation: Organisation
) -> None:
    UserFactory(organisation=organisation, role=Role.ADMIN)
    sent = {"name": "Somebody", "role": "viewer", "tag": admin_user.tag}
    question = admin.post(f"{page_of(admin_user)}edit/", sent)
    assert "This is you" in question.content.decode()
    response = admin.post(f"{page_of(admin_user)}edit/", {**sent, "confirmed": "yes"}, follow=True)
    assert response.redirect_chain == [("/admin/", 302)]
    assert admin.get(USERS).status_code == 403


def test_a_disabled_user_is_out_at_the_next_click_and_can_be_let_in_again(admin: Client, editor_user: User) -> None:
    editor = at_console(editor_user)
    question = admin.get(f"{page_of(editor_user)}do/disable/")
    assert question.context["question"].title == "Disable editor@acme.example?"
    response = admin.post(f"{page_of(editor_user)}do/disable/", {"tag": editor_user.tag}, follow=True)
    assert told(response) == ["editor@acme.example is disabled."]
    assert editor.get("/admin/").status_code == 302
    editor_user.refresh_from_db()
    assert editor_user.disabled
    admin.post(f"{page_of(editor_user)}do/enable/", {"tag": editor_user.tag})
    editor_user.refresh_from_db()
    assert not editor_user.disabled


def test_there_is_nothing_else_to_do_to_a_user(admin: Client, editor_user: User) -> None:
    assert admin.get(f"{page_of(editor_user)}do/delete/").status_code == 404


def test_no_page_of_a_user_shows_the_hash_of_the_password(admin: Client, admin_user: User) -> None:
    for address in (USERS, page_of(admin_user), f"{page_of(admin_user)}edit/"):
        assert admin_user.password not in admin.get(address).content.decode()
    for closed in ("change/", "history/", "delete/"):
        assert admin.get(f"{page_of(admin_user)}{closed}").status_code == 404
