"""Errors in the console: each has a page that says what to do, and tells nothing of what went wrong inside."""

from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from django.test import RequestFactory
from django.urls import reverse

from accounts.models import AuditEntry, Organisation, User
from integrations.models import Revision
from pipelines.admin import site
from tests.console.people import at_console
from tests.factories import PASSWORD, TemplateFactory

SENSITIVE = "hunter2-and-more"


def failing(user: User, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
    """The answer of a page in which something goes wrong."""

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(site, "home", fail)
    client = at_console(user)
    client.raise_request_exception = False
    return client.get("/admin/")


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (IntegrityError(SENSITIVE), 409, "Something else changed at the same moment."),
        (OperationalError(SENSITIVE), 503, "The database is not available just now."),
        (InterfaceError(SENSITIVE), 503, "The database is not available just now."),
        (DataError(SENSITIVE), 400, "The request holds a number, a time or a text that is out of range."),
        (RuntimeError(SENSITIVE), 500, "This is our fault, and it has been noted."),
        (PermissionDenied(SENSITIVE), 403, "Your role does not allow this."),
        (Http404(SENSITIVE), 404, "There is nothing at this address"),
    ],
)
def test_what_goes_wrong_has_a_page_that_says_what_to_do_and_nothing_more(
    viewer_user: User, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, sentence: str
) -> None:
    answer = failing(viewer_user, monkeypatch, error)
    page = answer.content.decode()
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    assert sentence in page
    assert '<a class="button plain" href="/admin/">Home</a>' in page
    assert SENSITIVE not in page
    assert ("Retry-After" in answer) is (status == 503)


def test_a_session_that_cannot_be_kept_has_the_same_page(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is saved when the view is over, where Django knows one answer to everything."""

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError(SENSITIVE)

    client = at_console(User.objects.create_superuser("root@house.example", "Root", PASSWORD))
    client.raise_request_exception = False
    monkeypatch.setattr(SessionStore, "save", fail)
    answer = client.post(reverse("admin:choose_organisation"), {"organisation": organisation.pk})
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert "The database is not available just now." in answer.content.decode()
    assert SENSITIVE not in answer.content.decode()


@pytest.mark.parametrize("address", ["/admin/pipelines/pin/", "/admin/accounts/apitoken/", "/admin/login/"])
@pytest.mark.parametrize("form", [{"revision": "1\0"}, {"q": "a\0b"}, {"\0": "a"}])
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_a_nul_in_a_form_is_refused_before_anything_reads_it(
    admin_user: User, address: str, form: dict[str, str], kind: str
) -> None:
    client = at_console(admin_user)
    if kind == "multipart":
        answer = client.post(address, form)
    else:
        body = "&".join(f"{name}={text}" for name, text in form.items()).replace("\0", "%00")
        answer = client.post(address, body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400
    assert "The form holds a NUL character. Take it out." in answer.content.decode()


def test_a_form_that_ends_too_early_is_refused(monkeypatch: pytest.MonkeyPatch, admin_user: User) -> None:
    def broken(_: Any) -> None:
        raise UnreadablePostError

    monkeypatch.setattr(type(RequestFactory().post("/")), "_load_post_and_files", broken)
    answer = at_console(admin_user).post("/admin/pipelines/pin/")
    assert answer.status_code == 400
    assert "The form ended before all of it was here." in answer.content.decode()


def test_the_audit_log_is_read_until_the_last_day_there_is(admin_user: User) -> None:
    answer = at_console(admin_user).get("/admin/accounts/auditentry/?until=9999-12-31")
    assert answer.status_code == 200
    assert answer.context["cl"].result_count == AuditEntry.objects.count()


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_status_without_a_reason_is_refused_at_both_doors(
    editor_user: User, editor: Any, organisation: Organisation, reason: str
) -> None:
    template = TemplateFactory(organisation=organisation)
    console, seen = at_console(editor_user), Revision.objects.get(template=template).tag
    address = f"/admin/integrations/template/{template.pk}/revisions/1/status/retired/"
    answer = console.post(address, {"tag": seen, "reason": reason}, follow=True)
    assert "Say why, for whoever meets this revision later." in answer.content.decode()
    body = {"status": "retired", "reason": reason}
    refused = editor.put(f"integration-templates/{template.pk}/revisions/1/status", body)
    (detail,) = refused.json()["error"]["details"]
    assert (refused.status_code, detail["field"], detail["code"]) == (422, "reason", "blank")
    assert Revision.objects.get(template=template).status == "active"
