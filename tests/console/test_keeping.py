"""What a browser keeps of a visit: nothing that opens a door, and no page of somebody who has left."""

import json

import pytest
from playwright.sync_api import Error, Page, expect

from accounts.roles import Role
from pipelines.demo import login
from tests.console.conftest import Person

KEPT = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"


def kept(page: Page) -> str:
    """All that a script of the page could read again later."""
    text: str = page.evaluate(KEPT)
    return text


def test_neither_password_nor_token_nor_session_stays_where_a_script_could_read_it(person: Person) -> None:
    page = person(Role.ADMIN)
    page.goto("/admin/accounts/apitoken/new/")
    page.get_by_role("textbox", name="Name (required)").fill("Event processor")
    page.get_by_label("Scope").select_option("processor")
    page.get_by_role("button", name="Issue").click()
    token = page.get_by_label("Token", exact=True).input_value()
    session = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}["sessionid"]
    assert [secret for secret in (token, session, login(Role.ADMIN)["password"]) if secret in kept(page)] == []
    assert set(json.loads(kept(page))[0]) <= {"theme"}
    page.goto("/admin/")
    with pytest.raises(Error, match="ERR_CACHE_MISS"):  # it would have to send the form again, and asks before it does
        page.go_back()
    expect(page.get_by_label("Token", exact=True)).to_have_count(0)
    expect(page.locator("html")).not_to_contain_text(token)


def test_the_button_that_leads_back_shows_nothing_after_the_logout(person: Person) -> None:
    page = person(Role.ADMIN)
    page.goto("/admin/pipelines/pipeline/pip_xyz789/")
    expect(page.get_by_role("heading", name="Marketing Website")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_load_state("domcontentloaded")
    page.go_back()
    expect(page.get_by_label("Password")).to_be_visible()
    expect(page.get_by_text("Marketing Website")).to_have_count(0)
