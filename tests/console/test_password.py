"""Changing one's own password in the console."""

from django.test import Client

from accounts.models import AuditEntry, RefreshToken, User
from accounts.sessions import log_in, prove
from tests.console.people import at_console
from tests.factories import PASSWORD

ANOTHER = "a longer horse with a battery"


def change(client: Client, old: str, new: str) -> int:
    body = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/admin/password_change/", body).status_code


def test_a_new_password_is_audited_ends_other_sessions_and_keeps_this_one(viewer_user: User) -> None:
    log_in(email=viewer_user.email, password=PASSWORD)
    client = at_console(viewer_user)
    assert change(client, PASSWORD, ANOTHER) == 302
    assert prove(email=viewer_user.email, password=ANOTHER) == viewer_user
    assert prove(email=viewer_user.email, password=PASSWORD) is None
    assert RefreshToken.objects.count() == 0
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.actor_id, entry.changes) == ("user.password_changed", viewer_user.pk, {})
    assert client.get("/admin/").status_code == 200


def test_a_weak_password_or_a_wrong_old_one_changes_nothing(viewer_user: User) -> None:
    client = at_console(viewer_user)
    before = AuditEntry.objects.count()
    assert change(client, PASSWORD, "short") == 200
    assert change(client, "wrong", ANOTHER) == 200
    assert prove(email=viewer_user.email, password=PASSWORD) == viewer_user
    assert AuditEntry.objects.count() == before
