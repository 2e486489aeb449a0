"""Every kind of page in a real browser: held to WCAG 2.2 AA in both themes, fit for a phone and for the keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from accounts.roles import Role
from pipelines.models import Pin
from tests.console.browsers import picture, violations
from tests.console.conftest import Person
from tests.console.visits import META, PINS, visits

MOST_TABS = 120
PARTS = 2  # for two workers
PHONE = 360
# What has the focus: its name, and whether something around it says so.
FOCUS = """() => {
    const focused = document.activeElement, style = getComputedStyle(focused), label = focused.labels?.[0];
    const text = label ? label.firstChild.textContent : focused.innerText;
    const ringed = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return {
        name: (focused.getAttribute("aria-label") || text || "").trim().replace(/\\s+/g, " "),
        shown: ringed || focused === document.body, // where Tab leaves the page for the browser's own buttons
    };
}"""
OUT_OF_REACH = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [onclick]")]
    .filter(one => one.checkVisibility() && one.tabIndex < 0 && one.getAttribute("aria-hidden") !== "true" && !one.disabled)
    .map(one => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_accessible_in_both_themes_and_fits_a_phone(person: Person, part: int) -> None:
    """One visit to each page, since opening it takes most of the time."""
    page = person(Role.ADMIN)
    found: dict[str, list[str]] = {}
    for name, visit in list(visits().items())[part::PARTS]:
        visit(page)
        if complaints := looked_over(page, name):
            found[name] = complaints
    assert found == {}


def looked_over(page: Page, name: str) -> list[str]:
    """What is wrong with the page as it stands; it leaves a picture of each look."""
    complaints = [f"out of reach of the keyboard: {one}" for one in page.evaluate(OUT_OF_REACH)]
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        picture(page, f"{theme} {name}")
        complaints += [f"{theme}: {violation}" for violation in violations(page)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": PHONE, "height": 900})
    picture(page, f"phone {name}")
    width = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    return complaints + ([f"{width} pixels wide on a phone of {PHONE}"] if width > PHONE else [])


def test_what_a_viewer_may_not_open_says_so_and_is_accessible(person: Person) -> None:
    page = person(Role.VIEWER)
    page.goto(f"{META}do/disable/")
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    picture(page, "light forbidden")
    assert violations(page) == []


def test_an_integration_is_found_disabled_and_enabled_with_the_keyboard_alone(person: Person) -> None:
    page = person(Role.EDITOR)
    press(page, "Pipelines")
    tab_to(page, "Search")
    page.keyboard.type("Marketing")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    press(page, "Marketing Website")
    press(page, "Disable Meta CAPI Production")
    press(page, "Disable")
    expect(page.get_by_text("Meta CAPI Production on Marketing Website is disabled.")).to_be_visible()
    assert not Pin.objects.get(pk="pi_abc123").enabled
    press(page, "Enable Meta CAPI Production")
    press(page, "Enable")
    expect(page.get_by_text("Meta CAPI Production on Marketing Website is enabled.")).to_be_visible()
    assert Pin.objects.get(pk="pi_abc123").enabled


def test_integrations_are_ticked_planned_and_disabled_with_the_keyboard_alone(person: Person) -> None:
    page = person(Role.EDITOR)
    page.goto(PINS)
    tab_to(page, "Action:")
    page.keyboard.type("Disable")
    tab_to(page, "Select all objects on this page for an action")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    press(page, "Go", key="Shift+Tab")
    press(page, "Disable 5 integrations")
    expect(page.get_by_text("5 integrations are disabled.")).to_be_visible()
    assert not Pin.objects.filter(enabled=True).exists()


def press(page: Page, name: str, key: str = "Tab") -> None:
    tab_to(page, name, key)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Go on with Tab until the focus is on what is called so; wherever it is on the way, it can be seen."""
    seen = []
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        focus = page.evaluate(FOCUS)
        assert focus["shown"], f"Nobody sees that the focus is on {focus['name']!r} of {page.url}."
        if focus["name"] == name:
            return
        seen.append(focus["name"])
    raise AssertionError(f"{name!r} is not among what Tab reaches at {page.url}: {seen}")
