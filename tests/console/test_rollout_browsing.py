"""A rollout in a real browser, from the form to taking it back, with the worker's steps taken by the test."""

import pytest
from playwright.sync_api import expect

from accounts.roles import Role
from integrations.models import Template
from pipelines.models import Pin, Rollout, RolloutState
from tests.console.conftest import Person
from tests.console.rollouts import next_step, numbers, page_of, pinned, running

META = "tmpl_abc123"


def meta_fleet() -> Template:
    """The demo's template with three more shops at its first revision."""
    template = Template.objects.get(pk=META)
    pinned(template.organisation, template, 3)
    return template


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
