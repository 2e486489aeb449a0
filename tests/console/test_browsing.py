"""People at the console in a real browser: what they see, what they can do, and that all of it is accessible."""

import re

from playwright.sync_api import Page, expect

from accounts.roles import Role
from integrations.models import Template
from integrations.revisions import create_revision, sealed_values
from pipelines.demo import login
from pipelines.models import HistoryEntry, Pin
from tests.console.browsers import picture
from tests.console.conftest import Person
from tests.factories import system

WEBSITE = "/admin/pipelines/pipeline/pip_xyz789/"
META = "/admin/pipelines/pin/pi_abc123/"
META_TEMPLATE = "/admin/integrations/template/tmpl_abc123/"
REFUSED = re.compile(r"^(Enable|Disable|Remove|Move to|Delete|Edit|Set|New|Add)\b")


def test_an_editor_moves_an_integration_to_the_latest_revision(person: Person) -> None:
    page = person(Role.EDITOR)
    page.goto(WEBSITE)
    page.get_by_role("link", name="Move to v5 Meta CAPI Production").click()
    expect(page.get_by_text("From revision 3 to revision 5.")).to_be_visible()
    expect(page.get_by_role("row", name="/test_event_code")).to_contain_text("TEST12345")
    page.get_by_role("button", name="Move to revision 5").click()
    expect(page.get_by_text("Meta CAPI Production on Marketing Website is at revision 5.")).to_be_visible()
    assert Pin.objects.get(pk="pi_abc123").revision.number == 5


def test_a_viewer_sees_no_button_that_would_be_refused(person: Person) -> None:
    page = person(Role.VIEWER)
    for address in (WEBSITE, META, "/admin/pipelines/pipeline/"):
        page.goto(address)
        assert page.get_by_role("main").get_by_role("link", name=REFUSED).count() == 0, address
    assert refused(page, f"{META}do/disable/") == 403
    assert Pin.objects.get(pk="pi_abc123").enabled


def test_a_form_opened_before_someone_elses_change_shows_the_conflict(person: Person) -> None:
    mine, theirs = person(Role.EDITOR), person(Role.ADMIN)
    mine.goto(f"{META}move/?revision=4")
    theirs.goto(f"{META}move/?revision=5")
    theirs.get_by_role("button", name="Move to revision 5").click()
    mine.get_by_role("button", name="Move to revision 4").click()
    expect(mine.get_by_text("Someone changed this since you read it")).to_be_visible()
    assert Pin.objects.get(pk="pi_abc123").revision.number == 5


def test_a_double_click_changes_once(person: Person) -> None:
    page = person(Role.EDITOR)
    before = HistoryEntry.objects.count()
    page.goto(f"{META}do/disable/")
    page.get_by_role("button", name="Disable").dblclick()
    expect(page.get_by_role("main")).to_contain_text("Marketing Website")
    assert HistoryEntry.objects.count() == before + 1


def test_a_revision_made_meanwhile_does_not_change_what_move_to_latest_means(person: Person) -> None:
    page = person(Role.EDITOR)
    page.goto(f"{META}move/?revision=5")
    template = Template.objects.get(pk="tmpl_abc123")
    config = {"pixel_id": "1", "access_token": "later"}
    create_revision(actor=system(template.organisation), template_id=template.pk, config=config)
    page.get_by_role("button", name="Move to revision 5").click()
    expect(page.get_by_text("Someone changed this since you read it")).to_be_visible()
    assert Pin.objects.get(pk="pi_abc123").revision.number == 3


def refused(page: Page, address: str) -> int:
    response = page.goto(address)
    assert response is not None
    return response.status


def test_an_editor_revises_a_config_after_seeing_the_difference(person: Person) -> None:
    page = person(Role.EDITOR)
    page.goto(f"{META_TEMPLATE}revise/")
    page.get_by_label("Test event code").fill("TEST777")
    page.get_by_role("button", name="Show what changes").click()
    expect(page.get_by_role("main")).to_contain_text("TEST777")
    assert Template.objects.get(pk="tmpl_abc123").latest_number == 5
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main")).to_contain_text("v6")
    newest = Template.objects.get(pk="tmpl_abc123").revisions.with_config().get(number=6)
    assert newest.config == {"pixel_id": "1234567890", "access_token": "***", "test_event_code": "TEST777"}
    assert sealed_values(newest) == {"/access_token": "demo-token-3"}


def test_an_admin_sees_a_new_token_once(person: Person) -> None:
    page = person(Role.ADMIN)
    page.goto("/admin/accounts/apitoken/new/")
    page.get_by_role("textbox", name="Name (required)").fill("Event processor")
    page.get_by_label("Scope").select_option("processor")
    page.get_by_role("button", name="Issue").click()
    shown = page.get_by_label("Token", exact=True).input_value()
    assert shown.startswith("pinion_")
    picture(page, "token shown once")
    page.goto("/admin/accounts/apitoken/")
    expect(page.get_by_role("main")).to_contain_text("Event processor")
    assert shown not in page.content()


def test_someone_whose_session_has_ended_logs_in_and_goes_on_where_they_were(person: Person) -> None:
    page = person(Role.EDITOR)
    page.context.clear_cookies()
    page.goto(f"{META}do/disable/")
    page.get_by_label("Email").fill(login(Role.EDITOR)["email"])
    page.get_by_label("Password").fill(login(Role.EDITOR)["password"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("Meta CAPI Production on Marketing Website is disabled.")).to_be_visible()
    assert not Pin.objects.get(pk="pi_abc123").enabled
