"""A browser in which JavaScript is switched off: the whole of an ordinary day is done there as well."""

import pytest
from playwright.sync_api import expect

from accounts.models import AuditEntry
from accounts.roles import Role
from integrations.models import Template
from pipelines.models import Pin, Pipeline
from tests.console.browsers import picture
from tests.console.conftest import Person, log_in


def test_an_admin_does_a_days_work_without_javascript(person: Person) -> None:
    page = person(Role.ADMIN, javascript=False)
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Pipelines").click()
    page.get_by_label("Search", exact=True).fill("marketing")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Marketing Website", exact=True).click()

    page.get_by_role("link", name="Disable Meta CAPI Production").click()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("Meta CAPI Production on Marketing Website is disabled.")).to_be_visible()
    assert not Pin.objects.get(pk="pi_abc123").enabled
    page.get_by_role("link", name="Enable Meta CAPI Production").click()
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_text("Meta CAPI Production on Marketing Website is enabled.")).to_be_visible()
    assert Pin.objects.get(pk="pi_abc123").enabled

    page.get_by_role("link", name="Templates").click()
    page.get_by_role("link", name="Meta CAPI Production", exact=True).click()
    page.get_by_role("link", name="New revision").click()
    page.get_by_label("Test event code").fill("TEST777")
    page.get_by_label("Change summary").fill("Send test events again")
    page.get_by_role("button", name="Show what changes").click()
    expect(page.get_by_role("region", name="What changes from v5")).to_contain_text("TEST777")
    page.get_by_role("button", name="Save as revision 6").click()
    expect(page.get_by_text("Meta CAPI Production v6 is saved.")).to_be_visible()
    assert Template.objects.get(pk="tmpl_abc123").latest_number == 6

    page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("revision.created")
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    expect(page.get_by_role("row", name="change_summary")).to_contain_text("Send test events again")
    picture(page, "without javascript")


def test_a_double_click_without_javascript_makes_one_pipeline(person: Person) -> None:
    page = person(Role.EDITOR, javascript=False)
    page.goto("/admin/pipelines/pipeline/new/")
    page.get_by_label("Name").fill("Twice")
    page.get_by_role("button", name="Add pipeline").dblclick()
    page.wait_for_url("**/pip_*/")
    expect(page.get_by_role("heading", name="Twice")).to_be_visible()
    made = Pipeline.objects.get(name="Twice")
    assert page.url.endswith(f"/admin/pipelines/pipeline/{made.pk}/")
    assert AuditEntry.objects.filter(action="pipeline.created", resource_id=made.pk).count() == 1


@pytest.mark.parametrize("javascript", [True, False])
def test_a_form_sent_after_the_session_ended_comes_back_after_the_login(person: Person, javascript: bool) -> None:
    page = person(Role.EDITOR, javascript=javascript)
    page.goto("/admin/pipelines/pipeline/new/")
    page.get_by_label("Name").fill("Typed before")
    page.get_by_label("Labels").fill("team:marketing")
    page.context.clear_cookies()
    page.get_by_role("button", name="Add pipeline").click()
    expect(page.get_by_text("Your session has ended. Nothing has been changed.")).to_be_visible()
    assert "Typed before" not in page.content()
    log_in(page, Role.EDITOR)
    expect(page.get_by_text("You are logged in again, and nothing has been changed.")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Typed before")
    expect(page.get_by_label("Labels")).to_have_value("team:marketing")
    assert not Pipeline.objects.filter(name="Typed before").exists()
    page.get_by_role("button", name="Add pipeline").click()
    expect(page.get_by_text("Typed before is here.")).to_be_visible()
    assert Pipeline.objects.filter(name="Typed before").count() == 1


def test_two_tabs_of_one_browser_lose_nothing_when_one_logs_in_anew(person: Person) -> None:
    first = person(Role.EDITOR)
    first.goto("/admin/pipelines/pipeline/new/")
    first.get_by_label("Name").fill("Typed before")
    second = first.context.new_page()
    second.goto("/admin/")
    second.get_by_role("button", name="Log out").click()
    second.goto("/admin/login/?next=/admin/")
    log_in(second, Role.EDITOR)
    first.get_by_role("button", name="Add pipeline").click()
    expect(first.get_by_text("Since you opened this form, you logged in anew in another tab.")).to_be_visible()
    first.get_by_role("button", name="Show what I sent").click()
    expect(first.get_by_label("Name")).to_have_value("Typed before")
    first.get_by_role("button", name="Add pipeline").click()
    expect(first.get_by_text("Typed before is here.")).to_be_visible()
    assert Pipeline.objects.filter(name="Typed before").count() == 1
