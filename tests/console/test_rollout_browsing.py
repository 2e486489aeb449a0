"""A rollout in a real browser, from the form to taking it back, with the worker's steps taken by the test."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.roles import Role
from integrations.models import Template
from pipelines.models import Pin, Rollout, RolloutState, RolloutWave
from pipelines.rollouts.driving import advance
from tests.console.browsers import picture, violations
from tests.console.conftest import Person
from tests.console.rollouts import ROLLOUTS, numbers, page_of, pinned, planned, running

META = "tmpl_abc123"


def meta_fleet() -> Template:
    """The demo's template with three more shops at its first revision."""
    template = Template.objects.get(pk=META)
    pinned(template.organisation, template, 3)
    return template


def next_step(rollout: Rollout) -> None:
    """What a worker does once the soak is over."""
    RolloutWave.objects.filter(rollout=rollout, applied_at__isnull=False).update(
        watched_from=timezone.now() - timedelta(hours=1)
    )
    Rollout.objects.filter(pk=rollout.pk).update(next_at=timezone.now())
    advance(rollout.pk)


def test_an_editor_plans_starts_watches_and_takes_back(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.admin.rollout_progress.EVERY", 1)
    page = person(Role.EDITOR)
    template = meta_fleet()
    page.goto(f"/admin/integrations/template/{META}/")
    page.get_by_role("link", name="Roll out v5").click()
    page.get_by_label("Leave out").fill("Marketing Website")
    page.get_by_role("button", name="Show the plan").click()
    expect(page.get_by_role("heading", name="Meta CAPI Production to v5")).to_be_visible()
    expect(page.get_by_role("link", name="3 Moves")).to_be_visible()
    assert sorted(numbers(template)) == [1, 1, 1, 3, 5]
    page.get_by_role("button", name="Start: move 3 integrations").click()
    expect(page.get_by_text("0 of 3 moved", exact=True)).to_be_visible()
    rollout = Rollout.objects.get()
    pause = page.get_by_role("link", name="Pause")
    pause.focus()
    next_step(rollout)
    expect(page.get_by_text("1 of 3 moved", exact=True)).to_be_visible()
    expect(pause).to_be_focused()
    expect(page.get_by_role("status").first).to_have_text("Running: 1 of 2 waves applied, 1 of 3 moved.")
    next_step(rollout)
    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(page.get_by_label("Refresh by itself")).to_be_hidden()
    page.get_by_role("link", name="Take back").click()
    expect(page.get_by_text("3 Goes back")).to_be_visible()
    page.get_by_role("button", name="Take back 3 integrations").click()
    expect(page.get_by_role("heading", name="Meta CAPI Production, v5 taken back")).to_be_visible()
    expect(page.get_by_text("3 of 3 moved", exact=True)).to_be_visible()
    assert sorted(numbers(template)) == [1, 1, 1, 3, 5]


def test_ticked_integrations_are_moved_without_waiting_for_a_worker(person: Person) -> None:
    page = person(Role.EDITOR)
    page.goto(f"/admin/pipelines/pin/?template={META}")
    page.get_by_role("row", name="Marketing Website").get_by_role("checkbox").check()
    page.get_by_role("combobox", name="Action").select_option(label="Move to a revision")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_label("Move to").select_option(label="v4 – Stop sending test events")
    page.get_by_role("button", name="Show the plan").click()
    expect(page.get_by_role("row", name="/test_event_code")).to_contain_text("TEST12345")
    page.get_by_role("button", name="Start: move 1 integration").dblclick()
    expect(page.get_by_text("1 of 1 moved", exact=True)).to_be_visible()
    assert Pin.objects.get(pk="pi_abc123").revision.number == 4
    assert Rollout.objects.get().state == RolloutState.DONE


def test_a_viewer_watches_without_scripts_and_sees_no_button(person: Person) -> None:
    page = person(Role.VIEWER, javascript=False)
    rollout = running(meta_fleet())
    page.goto(page_of(rollout))
    expect(page.get_by_text("1 of 4 moved", exact=True)).to_be_visible()
    expect(page.get_by_label("Refresh by itself")).to_be_hidden()
    next_step(rollout)
    page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_text("4 of 4 moved", exact=True)).to_be_visible()
    assert page.get_by_role("main").get_by_role("button").count() == 0


def pages() -> dict[str, str]:
    """Every page of rollouts, and those of others that speak of one, while one is under way."""
    template = meta_fleet()
    plan, rollout = planned(template), running(template)
    return {
        "rollouts": ROLLOUTS,
        "which template": f"{ROLLOUTS}new/",
        "plan a rollout": f"{ROLLOUTS}new/?like={plan.pk}",
        "plan": page_of(plan),
        "rollout": page_of(rollout),
        "pipelines of a rollout": f"{page_of(rollout)}targets/",
        "pause": f"{page_of(rollout)}pause/",
        "take back": f"{page_of(rollout)}revert/",
        "pin in a rollout": "/admin/pipelines/pin/pi_abc123/do/disable/",
        "home with a rollout": "/admin/",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page_of_rollouts(person: Person, theme: str) -> None:
    page = person(Role.EDITOR, theme=theme)
    found = {}
    for name, address in pages().items():
        page.goto(address)
        picture(page, f"{theme} {name}")
        found[name] = violations(page)
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_every_page_of_rollouts_fits_a_phone_also_with_a_mistake_in_the_form(person: Person) -> None:
    page = person(Role.EDITOR, width=360)
    widths = {}
    for name, address in pages().items():
        page.goto(address)
        widths[name] = page.evaluate("document.documentElement.scrollWidth")
        picture(page, f"phone {name}")
    page.goto(f"{ROLLOUTS}new/?template={META}")
    page.get_by_label("Wait after each wave").fill("soon")
    page.get_by_role("button", name="Show the plan").click()
    expect(page.get_by_text("Write a duration as 90s")).to_be_visible()
    assert violations(page) == []
    assert {name: width for name, width in widths.items() if width > 360} == {}
