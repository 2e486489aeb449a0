"""A form that came when its person was logged out comes back after the login, as it was typed, and does nothing before."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.admin.sending import LOOK_AGAIN
from accounts.models import Organisation, User
from accounts.roles import Role
from integrations.models import Revision, Template
from integrations.revisions import whole_config
from pipelines.admin.returning import LOST, NOT_YOURS
from pipelines.models import Parameter, Pin, Pipeline
from tests.console.pages import LIST, META, hidden, text_of
from tests.console.people import at_console, everything, told
from tests.factories import PASSWORD, PinFactory, PipelineFactory, TemplateFactory, UserFactory, revision_of

PIPELINES = "/admin/pipelines/pipeline/"
NEW = f"{PIPELINES}new/"
CANARY = "canary-7f3a"
OURS = {"origin": "http://testserver"}
ENDED = "Your session has ended. Nothing has been changed."


@pytest.fixture
def admin(admin_user: User) -> Client:
    return at_console(admin_user)


def log_in(client: Client, page: Any, user: User, address: str) -> Any:
    """Type email and password into the page that came instead of the answer."""
    return client.post(address, hidden(page) | {"username": user.email, "password": PASSWORD})


def lost(client: Client, address: str, typed: dict[str, str]) -> Any:
    """Open the page, lose the session, send the form."""
    sent = hidden(client.get(address)) | typed
    client.logout()
    return client.post(address, sent)


def test_a_form_sent_after_the_session_ended_comes_back_as_it_was_typed(admin: Client, admin_user: User) -> None:
    page = lost(admin, NEW, {"name": "Web Shop", "type": "app", "labels": "team:marketing"})
    assert page.status_code == 403
    assert ENDED in text_of(page)
    back = log_in(admin, page, admin_user, NEW)
    assert told(back) == [LOOK_AGAIN]
    form = back.context["form"]
    assert [form[name].value() for name in ("name", "type", "labels")] == ["Web Shop", "app", "team:marketing"]
    assert Pipeline.objects.count() == 0
    admin.post(NEW, hidden(back) | {"name": "Web Shop", "type": "app", "labels": "team:marketing"})
    assert Pipeline.objects.get().name == "Web Shop"


def test_nothing_that_was_typed_stands_in_the_login_page(admin: Client) -> None:
    page = lost(admin, NEW, {"name": CANARY, "type": "app", "labels": CANARY})
    assert CANARY not in page.content.decode()
    assert "no-store" in page["Cache-Control"]


def test_a_wrong_password_keeps_the_form(admin: Client, admin_user: User) -> None:
    page = lost(admin, NEW, {"name": "Web Shop", "type": "app"})
    wrong = admin.post(NEW, hidden(page) | {"username": admin_user.email, "password": "wrong"})
    assert wrong.status_code == 403
    assert "Please enter the correct email and password" in text_of(wrong)
    assert log_in(admin, wrong, admin_user, NEW).context["form"]["name"].value() == "Web Shop"


def test_a_secret_is_asked_for_again_and_is_on_no_page(
    admin: Client, admin_user: User, organisation: Organisation
) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    address = f"{PIPELINES}{pipeline.pk}/parameters/"
    page = lost(admin, address, {"key": "token", "value": CANARY, "secret": "on"})
    back = log_in(admin, page, admin_user, address)
    assert CANARY not in page.content.decode() + back.content.decode()
    assert back.context["form"]["key"].value() == "token"
    assert "Type it again: a secret is not sent back." in text_of(back)
    assert Parameter.objects.count() == 0


def test_secrets_of_a_revision_stay_with_its_form_sealed(
    admin: Client, admin_user: User, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation)
    address = f"{LIST}{template.pk}/revise/"
    page = lost(admin, address, META | {"field_access_token": CANARY, "do": "review"})
    back = log_in(admin, page, admin_user, address)
    assert [line[0] for line in back.context["review"].comparisons[0].lines] == ["/access_token"]
    saved = admin.post(address, hidden(back) | META | {"do": "save"})
    assert CANARY not in page.content.decode() + back.content.decode() + saved.content.decode()
    made = revision_of(Template.objects.get(pk=template.pk))
    assert (made.number, whole_config(made)["access_token"]) == (2, CANARY)


def test_a_revision_that_was_being_saved_is_shown_again_before_it_is(
    admin: Client, admin_user: User, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation)
    address = f"{LIST}{template.pk}/revise/"
    reviewed = admin.post(address, hidden(admin.get(address)) | META | {"field_pixel_id": "9", "do": "review"})
    sent = hidden(reviewed) | META | {"field_pixel_id": "9", "do": "save"}
    admin.logout()
    back = log_in(admin, admin.post(address, sent), admin_user, address)
    assert Revision.objects.filter(template=template).count() == 1
    admin.post(address, sent | hidden(back))
    assert revision_of(Template.objects.get(pk=template.pk)).config["pixel_id"] == "9"


def test_a_question_is_asked_again(admin: Client, admin_user: User, organisation: Organisation) -> None:
    pin = PinFactory(organisation=organisation)
    address = f"/admin/pipelines/pin/{pin.pk}/do/disable/"
    back = log_in(admin, lost(admin, address, {}), admin_user, address)
    assert told(back) == [LOOK_AGAIN]
    assert back.context["question"].title.startswith("Disable")
    assert Pin.objects.get().enabled
    admin.post(address, hidden(back))
    assert not Pin.objects.get().enabled


def test_ticked_rows_lead_to_their_plan(admin: Client, admin_user: User, organisation: Organisation) -> None:
    pin = PinFactory(organisation=organisation)
    address = "/admin/pipelines/pin/"
    page = lost(admin, address, {"action": "disable_chosen", "index": "0", "_selected_action": pin.pk})
    back = log_in(admin, page, admin_user, address)
    assert [line.pin for line in back.context["lines"]] == [pin]


def test_somebody_else_who_logs_in_gets_nothing_of_the_form(
    admin: Client, organisation: Organisation, viewer_user: User
) -> None:
    colleague = UserFactory(organisation=organisation, role=Role.EDITOR)
    page = lost(admin, NEW, {"name": CANARY, "type": "app"})
    for user in (colleague, viewer_user):
        answer = log_in(admin, page, user, NEW)
        assert (answer.status_code, answer["Location"]) == (302, NEW)
        admin.logout()
    answer = admin.post(NEW, hidden(page) | {"username": colleague.email, "password": PASSWORD}, follow=True)
    assert told(answer) == [NOT_YOURS]
    assert CANARY not in answer.content.decode()


def test_what_was_kept_opens_at_its_own_address_only_and_for_half_a_day(admin: Client, admin_user: User) -> None:
    page = lost(admin, NEW, {"name": "Web Shop", "type": "app"})
    elsewhere = "/admin/accounts/user/new/"
    assert log_in(admin, page, admin_user, elsewhere)["Location"] == elsewhere
    admin.logout()
    with time_machine.travel(timezone.now() + timedelta(hours=13), tick=False):
        sent = hidden(page) | {"username": admin_user.email, "password": PASSWORD}
        assert told(admin.post(NEW, sent, follow=True)) == [LOST]


def test_a_superuser_gets_the_form_back_in_the_organisation_it_was_opened_in(organisation: Organisation) -> None:
    superuser = User.objects.create_superuser("root@house.example", "Root", PASSWORD)
    client = at_console(superuser)
    client.post("/admin/organisation/", {"organisation": organisation.pk})
    back = log_in(client, lost(client, NEW, {"name": "Web Shop", "type": "web"}), superuser, NEW)
    assert back.context["form"]["name"].value() == "Web Shop"
    assert back.context["organisation"] == organisation


def strict(user: User) -> Client:
    """A browser, which sends the tokens of the pages it has opened and no others."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def with_token(page: Any) -> dict[str, str]:
    """What the page's form sends, its token against forgery too."""
    [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode()))
    return hidden(page) | {"csrfmiddlewaretoken": token}


def test_a_login_in_another_tab_does_not_lose_the_form_in_this_one(editor_user: User) -> None:
    client = strict(editor_user)
    sent = with_token(client.get(NEW)) | {"name": "Web Shop", "type": "app"}
    client.logout()
    login = client.get("/admin/login/")
    client.post("/admin/login/", with_token(login) | {"username": editor_user.email, "password": PASSWORD})
    page = client.post(NEW, sent, headers=OURS)
    assert page.status_code == 403
    assert "you logged in anew in another tab" in text_of(page)
    back = client.post(NEW, with_token(page), headers=OURS)
    assert back.context["form"]["name"].value() == "Web Shop"
    assert Pipeline.objects.count() == 0
    assert client.post(NEW, sent | with_token(back)).status_code == 302
    assert Pipeline.objects.count() == 1


def test_a_form_from_a_browser_that_lost_its_cookies_comes_back_after_the_login(editor_user: User) -> None:
    client = strict(editor_user)
    sent = with_token(client.get(NEW)) | {"name": "Web Shop", "type": "app"}
    client.cookies.clear()
    page = client.post(NEW, sent, headers=OURS)
    assert ENDED in text_of(page)
    typed = with_token(page) | {"username": editor_user.email, "password": PASSWORD}
    assert client.post(NEW, typed, headers=OURS).context["form"]["name"].value() == "Web Shop"


@pytest.mark.parametrize("origin", [{}, {"origin": "https://evil.example"}, {"origin": "null"}])
def test_what_another_site_sends_is_neither_done_nor_shown(editor_user: User, origin: dict[str, str]) -> None:
    client = strict(editor_user)
    before = everything()
    page = client.post(NEW, {"name": CANARY, "type": "web", "form_key": "x"}, headers=origin)
    assert page.status_code == 403
    assert "This form was not sent by a page of this console." in text_of(page)
    assert "kept" not in hidden(page)
    assert everything() == before


def test_a_login_page_that_is_too_old_comes_anew_and_one_that_is_not_needed_says_so(editor_user: User) -> None:
    client = strict(editor_user)
    typed = {"username": editor_user.email, "password": PASSWORD, "next": "/admin/fleet/"}
    known = client.post("/admin/login/", typed, headers=OURS)
    assert "You logged in in another tab meanwhile." in text_of(known)
    assert 'href="/admin/fleet/"' in known.content.decode()
    client.logout()
    page = client.post("/admin/login/", typed, headers=OURS)
    assert "This page was open for too long" in text_of(page)
    assert client.post("/admin/login/", with_token(page) | typed, headers=OURS)["Location"] == "/admin/fleet/"
