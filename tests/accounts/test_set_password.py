"""Setting somebody's password: audited, at the end of all their sessions, by an admin or at the command line."""

import io
import json
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.errors import Invalid, NotFound, Unauthenticated
from accounts.models import AuditEntry, Organisation, RefreshToken, User
from accounts.sessions import log_in, prove, refresh
from accounts.users import set_password
from tests.accounts.evidence import everything
from tests.console.people import at_console, errors, told
from tests.factories import PASSWORD, UserFactory, actor_of

ANOTHER = "a longer horse with a battery"


@pytest.fixture
def invited(organisation: Organisation) -> User:
    """Somebody who has no password yet."""
    made: User = UserFactory(organisation=organisation, email="nora@acme.example", password=None)
    return made


def command(*arguments: str, password: str = ANOTHER) -> str:
    out = io.StringIO()
    with patch("sys.stdin", io.StringIO(f"{password}\n")):
        call_command("set_password", *arguments, "--password-stdin", stdout=out)
    return out.getvalue()


def last_entry() -> tuple[str, str, str, Any]:
    entry = AuditEntry.objects.latest("pk")
    return entry.action, entry.actor_label, entry.resource_label, entry.changes


def test_an_admin_sets_the_first_password_of_a_user_who_then_logs_in(admin_user: User, invited: User) -> None:
    assert prove(email=invited.email, password="") is None
    set_password(actor=actor_of(admin_user), user_id=invited.pk, password=ANOTHER)
    assert prove(email=invited.email, password=ANOTHER) == invited
    assert last_entry() == ("user.password_set", "admin@acme.example", "nora@acme.example", {})


def test_every_session_of_the_user_ends_and_nobody_elses(admin_user: User, viewer_user: User) -> None:
    session = log_in(email=viewer_user.email, password=PASSWORD)
    log_in(email=admin_user.email, password=PASSWORD)
    theirs, mine = at_console(viewer_user), at_console(admin_user)
    set_password(actor=actor_of(admin_user), user_id=viewer_user.pk, password=ANOTHER)
    assert theirs.get("/admin/").status_code == 302
    assert mine.get("/admin/").status_code == 200
    assert RefreshToken.objects.values_list("user_id", flat=True).get() == admin_user.pk
    with pytest.raises(Unauthenticated):
        refresh(refresh_token=session.refresh_token)


def test_a_weak_password_and_somebody_of_another_organisation_are_refused(
    admin_user: User, viewer_user: User, other_organisation: Organisation
) -> None:
    stranger = UserFactory(organisation=other_organisation)
    log_in(email=viewer_user.email, password=PASSWORD)
    before = everything()
    with pytest.raises(Invalid, match="This password is too weak"):
        set_password(actor=actor_of(admin_user), user_id=viewer_user.pk, password="short")
    with pytest.raises(NotFound):
        set_password(actor=actor_of(admin_user), user_id=stranger.pk, password=ANOTHER)
    assert everything() == before


def test_an_admin_sets_a_password_at_the_console(admin_user: User, invited: User) -> None:
    admin = at_console(admin_user)
    page = f"/admin/accounts/user/{invited.pk}/"
    assert f'href="{page}password/"' in admin.get(page).content.decode()
    answer = admin.post(f"{page}password/", {"password": ANOTHER, "again": ANOTHER}, follow=True)
    assert answer.redirect_chain == [(page, 302)]
    assert told(answer) == ["nora@acme.example has a new password."]
    assert prove(email=invited.email, password=ANOTHER) == invited


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"password": ANOTHER, "again": "something else"}, {"again": ["The two passwords differ."]}),
        (
            {"password": "0canary0", "again": "0canary0"},
            {"password": ["This password is too short. It must contain at least 10 characters."]},
        ),
    ],
)
def test_what_is_wrong_with_a_password_is_told_beside_it_and_it_is_not_sent_back(
    admin_user: User, invited: User, typed: dict[str, str], wrong: dict[str, list[str]]
) -> None:
    admin = at_console(admin_user)
    before = everything()
    answer = admin.post(f"/admin/accounts/user/{invited.pk}/password/", typed)
    assert errors(answer) == wrong
    assert typed["password"] not in answer.content.decode()
    assert everything() == before


def test_ones_own_password_is_changed_with_the_old_one(admin_user: User) -> None:
    answer = at_console(admin_user).get(f"/admin/accounts/user/{admin_user.pk}/password/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/password_change/")


def test_the_command_sets_a_password_and_says_who_did_it(invited: User) -> None:
    with patch("getpass.getuser", return_value="ops"), patch("socket.gethostname", return_value="host-1"):
        assert command("Nora@Acme.example") == "nora@acme.example has a new password.\n"
    assert last_entry() == ("user.password_set", "ops@host-1", "nora@acme.example", {})
    assert prove(email=invited.email, password=ANOTHER) == invited


def test_the_command_acts_for_an_admin_of_the_same_organisation(admin_user: User, invited: User) -> None:
    printed = command(invited.email, "--actor", admin_user.email, "--organisation", "Acme", "--format", "json")
    assert json.loads(printed) == {"id": invited.pk, "email": "nora@acme.example"}
    assert last_entry()[1] == "admin@acme.example"


def test_the_command_sets_a_superusers_password_which_no_audit_log_holds(organisation: Organisation) -> None:
    superuser = User.objects.create_superuser("root@house.example", "Root", PASSWORD)
    before = AuditEntry.objects.count()
    assert "They belong to no organisation, so no audit log says so." in command("root@house.example")
    assert prove(email="root@house.example", password=ANOTHER) == superuser
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize(
    ("arguments", "password", "code", "message"),
    [
        (["nobody@acme.example"], ANOTHER, 1, "There is no user nobody@acme.example."),
        (["nora@acme.example"], "short", 1, "This password is too weak."),
        (["nora@acme.example", "--organisation", "Elsewhere"], ANOTHER, 2, "nora@acme.example does not belong to"),
        (["nora@acme.example", "--actor", "viewer@acme.example"], ANOTHER, 1, "viewer@acme.example is a viewer"),
    ],
)
def test_the_command_refuses_and_leaves_everything_as_it_was(
    invited: User, viewer_user: User, arguments: list[str], password: str, code: int, message: str
) -> None:
    before = everything()
    with pytest.raises(CommandError) as caught:
        command(*arguments, password=password)
    assert (caught.value.returncode, str(caught.value).startswith(message)) == (code, True)
    assert everything() == before


def test_djangos_own_command_is_closed_since_it_leaves_no_trace(viewer_user: User) -> None:
    before = everything()
    with pytest.raises(CommandError, match=r"Use manage\.py set_password viewer@acme\.example instead"):
        call_command("changepassword", viewer_user.email)
    assert everything() == before
