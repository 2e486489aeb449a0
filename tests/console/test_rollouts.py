"""Rollouts under way in the console: how far they have come, every target, and pausing, going on, ending, going back."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Organisation, User
from integrations.models import Template
from pipelines.models import Pin, Rollout, RolloutState
from pipelines.pins import update_pin
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.lifecycle import abort_rollout, pause_rollout, resume_rollout
from tests.console.pages import text_of
from tests.console.people import at_console, everything, told
from tests.console.rollouts import ROLLOUTS, fleet_of, next_step, numbers, page_of, pinned, planned, running
from tests.factories import TemplateFactory, revision_of, system
from tests.queries import assert_same_queries, count_queries

NO_WORKER = "No worker seems to run: start manage.py run_rollouts"


@pytest.fixture
def editor(editor_user: User) -> Client:
    return at_console(editor_user)


@pytest.fixture
def template(organisation: Organisation) -> Template:
    return fleet_of(organisation)


def counts(page: Any) -> dict[str, int]:
    return {word: number for _, word, _, number in page.context["counts"]}


def press(client: Client, rollout: Rollout, name: str, **said: str) -> Any:
    """Open the page that asks, and press its button."""
    asked = client.get(f"{page_of(rollout)}{name}/")
    tag = {"tag": asked.context["rollout"].tag} if asked.context else {}
    return client.post(f"{page_of(rollout)}{name}/", tag | said, follow=True)


def by_hand(pin: Pin, number: int) -> None:
    actor = system(pin.organisation)
    target = revision_of(pin.template, number).pk
    update_pin(actor=actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk, revision_id=target)


def test_the_page_says_how_far_it_has_come(editor: Client, template: Template) -> None:
    rollout = running(template)
    page = editor.get(page_of(rollout))
    assert page.context["title"] == "Meta to v3"
    assert page.context["summary"].sentence == "Running: 1 of 2 waves applied, 1 of 4 moved."
    assert counts(page) == {"Waits for its wave": 3, "Moved": 1}
    assert [(line.wave.number, line.wave.moved, line.is_next) for line in page.context["waves"]] == [
        (1, 1, False),
        (2, None, True),
    ]
    text = text_of(page)
    assert f"Looked at next: {rollout.next_at:%H:%M:%S} UTC" in text
    assert NO_WORKER not in text
    next_step(rollout)
    assert editor.get(page_of(rollout)).context["summary"].sentence == "Done: 2 of 2 waves applied, 4 of 4 moved."


def test_a_verdict_stands_beside_its_wave_with_its_sentence(editor: Client, template: Template) -> None:
    rollout = running(template, gate=Gate(max_failure_ratio=0.02, patience_seconds=0))
    assert "being watched" in text_of(editor.get(page_of(rollout)))
    next_step(rollout)
    page = editor.get(page_of(rollout))
    assert page.context["summary"].state == ("behind", "Paused")
    reason = "0 events were reported since the wave, and it takes 1 to judge."
    assert f"Inconclusive {reason}" in text_of(page)
    assert f"Paused. The gate could not judge wave 1: {reason}" in text_of(page)


def test_a_part_of_the_page_is_what_refreshes_it(editor: Client, template: Template) -> None:
    rollout = running(template)
    whole = editor.get(page_of(rollout)).content.decode()
    part = editor.get(page_of(rollout), {"part": "progress"}).content.decode()
    assert part.strip() in whole
    assert "<html" not in part
    assert 'aria-live="polite"' in part
    assert f'<a href="{page_of(rollout)}" id="refresh">Refresh</a>' in whole
    assert 'data-live="?part=progress"' in whole


def test_a_rollout_that_nobody_looks_at_hints_at_the_worker(editor: Client, template: Template) -> None:
    rollout = running(template)
    Rollout.objects.filter(pk=rollout.pk).update(next_at=timezone.now() - timedelta(seconds=50))
    assert NO_WORKER not in text_of(editor.get(page_of(rollout)))
    Rollout.objects.filter(pk=rollout.pk).update(next_at=timezone.now() - timedelta(seconds=61))
    assert NO_WORKER in text_of(editor.get(page_of(rollout)))
    pause_rollout(actor=system(template.organisation), rollout_id=rollout.pk)
    assert NO_WORKER not in text_of(editor.get(page_of(rollout)))


def test_the_buttons_are_those_that_the_state_allows(editor: Client, template: Template) -> None:
    rollout, actor = running(template), system(template.organisation)
    offered = {"running": deeds(editor, rollout)}
    pause_rollout(actor=actor, rollout_id=rollout.pk)
    offered["paused"] = deeds(editor, rollout)
    resume_rollout(actor=actor, rollout_id=rollout.pk)
    abort_rollout(actor=actor, rollout_id=rollout.pk)
    offered["aborted"] = deeds(editor, rollout)
    assert offered == {
        "running": ["pause", "abort", "revert"],
        "paused": ["resume", "abort", "revert"],
        "aborted": ["revert"],
    }
    response = editor.get(f"{page_of(rollout)}pause/", follow=True)
    assert told(response) == ["This rollout is aborted, so this cannot be done to it now."]


def deeds(client: Client, rollout: Rollout) -> list[str]:
    return [name for name, _ in client.get(page_of(rollout)).context["deeds"]]


def test_a_rollout_is_paused_with_a_reason_and_goes_on_in_the_name_of_who_resumes_it(
    editor: Client, template: Template
) -> None:
    rollout = running(template)
    page = press(editor, rollout, "pause", reason="Coffee first.")
    assert told(page) == ["It is paused."]
    assert "Paused. Coffee first." in text_of(page)
    assert told(press(editor, rollout, "resume")) == ["It goes on."]
    rollout.refresh_from_db()
    assert rollout.state == RolloutState.RUNNING
    assert rollout.runs_for is not None
    assert rollout.runs_for["label"] == "editor@acme.example"


def test_a_wave_that_was_applied_meanwhile_does_not_stop_a_pause(editor: Client, template: Template) -> None:
    rollout = running(template, "1,2,100%")
    asked = editor.get(f"{page_of(rollout)}pause/")
    next_step(rollout)
    editor.post(f"{page_of(rollout)}pause/", {"tag": asked.context["rollout"].tag})
    rollout.refresh_from_db()
    assert (rollout.state, rollout.waves_applied) == (RolloutState.PAUSED, 2)


def test_going_on_may_pass_over_the_gate_or_skip_what_is_blocked_where_that_applies(
    editor: Client, template: Template
) -> None:
    gated, actor = running(template, gate=Gate(max_failure_ratio=0.02)), system(template.organisation)
    pause_rollout(actor=actor, rollout_id=gated.pk)
    text = text_of(editor.get(f"{page_of(gated)}resume/"))
    assert "Pass over the gate’s word on the last wave" in text
    assert "Skip what is blocked from now on" in text
    press(editor, gated, "resume", skip_gate="yes", skip_blocked="yes")
    gated.refresh_from_db()
    assert gated.skip_blocked
    assert gated.waves.get(number=1).verdict_reason == "editor@acme.example went on without the gate."
    pause_rollout(actor=actor, rollout_id=gated.pk)
    text = text_of(editor.get(f"{page_of(gated)}resume/"))
    assert "Pass over" not in text
    assert "Skip what is blocked" not in text


@pytest.mark.parametrize("name", ["resume", "abort", "revert"])
def test_a_page_that_asks_is_refused_once_the_rollout_has_changed_and_asks_anew(
    editor: Client, template: Template, name: str
) -> None:
    rollout, actor = running(template, "1,2,100%"), system(template.organisation)
    pause_rollout(actor=actor, rollout_id=rollout.pk)
    asked = editor.get(f"{page_of(rollout)}{name}/")
    resume_rollout(actor=actor, rollout_id=rollout.pk)
    pause_rollout(actor=actor, rollout_id=rollout.pk)
    before = everything()
    sent = {"tag": asked.context["rollout"].tag, "reason": "Typed.", "skip_blocked": "yes"}
    answer = editor.post(f"{page_of(rollout)}{name}/", sent)
    assert told(answer) == ["Someone changed this since you read it. Read it again, then repeat your change."]
    assert everything() == before
    rollout.refresh_from_db()
    assert answer.context["rollout"].tag == rollout.tag
    kept = {"abort": 'value="Typed."', "resume": 'value="yes" checked', "revert": "Take back 1 integration"}
    assert kept[name] in answer.content.decode()


def test_what_cannot_be_done_any_more_leads_to_the_rollout_as_it_is(editor: Client, template: Template) -> None:
    rollout = running(template)
    asked = editor.get(f"{page_of(rollout)}pause/")
    abort_rollout(actor=system(template.organisation), rollout_id=rollout.pk)
    answer = editor.post(f"{page_of(rollout)}pause/", {"tag": asked.context["rollout"].tag}, follow=True)
    assert told(answer) == ["This rollout is aborted, and only one that is running can be paused."]
    assert answer.redirect_chain == [(page_of(rollout), 302)]


def test_an_aborted_rollout_leaves_everything_where_it_is(editor: Client, template: Template) -> None:
    rollout = running(template)
    page = press(editor, rollout, "abort", reason="Wrong pixel.")
    assert told(page) == ["It is aborted."]
    assert counts(page) == {"Waits for its wave": 3, "Moved": 1}
    assert sorted(numbers(template)) == [1, 1, 1, 3]


def test_taking_back_says_what_it_will_do_and_does_exactly_that(editor: Client, template: Template) -> None:
    rollout = next_step(running(template))
    moved_on, kept, *_ = Pin.objects.filter(template=template).order_by("pipeline__name")
    by_hand(moved_on, 2)
    before = everything()
    asked = editor.get(f"{page_of(rollout)}revert/")
    assert everything() == before
    preview = asked.context["preview"]
    assert [(word, number) for _, word, _, number in preview.lines] == [("Goes back", 3), ("Moved on since", 1)]
    assert [(target.pipeline.name, word[1]) for target, word in preview.left] == [("Shop 1", "Moved on since")]
    assert asked.context["button"] == "Take back 3 integrations"
    page = press(editor, rollout, "revert")
    assert page.context["title"] == "Meta, v3 taken back"
    assert page.context["summary"].sentence == "Done: 1 of 1 wave applied, 3 of 3 moved."
    assert numbers(template) == [2, 1, 1, 1]
    assert "It is taken back by Meta, v3 taken back : Done, 3 of 3 moved." in text_of(editor.get(page_of(rollout)))
    kept.refresh_from_db()
    assert kept.revision.number == 1


def test_what_cannot_be_taken_back_says_so_and_offers_no_button(editor: Client, template: Template) -> None:
    rollout = next_step(running(template))
    press(editor, rollout, "revert")
    asked = editor.get(f"{page_of(rollout)}revert/")
    assert asked.context["preview"].problems == [
        "Nothing can be taken back: every pin has been moved on since, or could not run its earlier revision."
    ]
    assert "<button" not in asked.content.decode().partition('id="content"')[2]


def test_targets_come_in_the_order_of_the_waves_narrowed_by_how_they_stand(editor: Client, template: Template) -> None:
    rollout = running(template)
    waiting = next(iter(Pin.objects.filter(template=template, revision__number=1)))
    by_hand(waiting, 2)
    address = f"{page_of(rollout)}targets/"
    everyone = editor.get(address).context["rows"]
    assert [wave for _, _, wave in everyone] == [1, 2, 2, 2]
    found = {
        name: sorted(target.pipeline.name for target, _, _ in editor.get(address, {"standing": name}).context["rows"])
        for name in ("moved", "detached", "waiting")
    }
    assert found["detached"] == [waiting.pipeline.name]
    assert [len(names) for names in found.values()] == [1, 1, 2]
    assert counts(editor.get(page_of(rollout))) == {"Waits for its wave": 2, "Moved": 1, "Changed by hand": 1}


def test_targets_are_paged(editor: Client, template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.admin.rollout_progress.TARGETS_SHOWN", 3)
    address = f"{page_of(planned(template))}targets/"
    first = editor.get(address)
    assert [target.position for target, _, _ in first.context["rows"]] == [1, 2, 3]
    second = editor.get(f"{address}?standing=&after={first.context['next_after']}")
    assert [target.position for target, _, _ in second.context["rows"]] == [4]
    assert second.context["next_after"] is None
    assert editor.get(f"{address}?after=everything").status_code == 200


def test_a_pin_says_that_a_rollout_is_moving_it_also_before_it_is_changed_by_hand(
    editor: Client, template: Template
) -> None:
    rollout = running(template)
    moved, waiting, *_ = Pin.objects.filter(template=template).order_by("-revision__number", "pipeline__name")
    link = f'<a href="{page_of(rollout)}">Meta to v3</a>'
    for pin, said in ((moved, "has moved it"), (waiting, "is going to move it")):
        for address in (f"/admin/pipelines/pin/{pin.pk}/", f"/admin/pipelines/pin/{pin.pk}/do/disable/"):
            page = editor.get(address).content.decode()
            assert f"The rollout {link} {said}, and is not over." in page
            assert "takes it out of the rollout" in page
    by_hand(waiting, 2)
    assert "takes it out" not in text_of(editor.get(f"/admin/pipelines/pin/{waiting.pk}/"))
    abort_rollout(actor=system(template.organisation), rollout_id=rollout.pk)
    assert "takes it out" not in text_of(editor.get(f"/admin/pipelines/pin/{moved.pk}/"))


def test_home_shows_what_is_under_way_with_who_waits_for_somebody_first(
    editor: Client, organisation: Organisation, template: Template
) -> None:
    paused = running(template)
    pause_rollout(actor=system(organisation), rollout_id=paused.pk, reason="Look at this.")
    other = TemplateFactory(organisation=organisation, name="Other", revisions=2)
    pinned(organisation, other, 2)
    goes_on = running(other)
    planned(other)
    home = editor.get("/admin/")
    assert [one.rollout.pk for one in home.context["rollouts"]] == [paused.pk, goes_on.pk]
    text = text_of(home)
    assert "2 rollouts running or paused" in text
    assert "Meta to v3 Look at this. Paused 1 of 4 moved" in text
    listed = editor.get(ROLLOUTS, {"state": "active"}).context["cl"].result_list
    assert {rollout.pk for rollout in listed} == {paused.pk, goes_on.pk}


def test_a_template_shows_its_rollouts_the_latest_first(editor: Client, template: Template) -> None:
    first = next_step(running(template))
    second = planned(template)
    page = editor.get(f"/admin/integrations/template/{template.pk}/")
    assert [one.rollout.pk for one in page.context["rollouts"]] == [second.pk, first.pk]
    assert f'href="{ROLLOUTS}?template={template.pk}"' in page.content.decode()


def test_the_list_is_narrowed_by_state_template_and_vendor_and_searched(
    editor: Client, organisation: Organisation, template: Template
) -> None:
    other = TemplateFactory(organisation=organisation, name="Hooks", vendor="webhook", revisions=2)
    pinned(organisation, other, 1)
    meta, hooks = running(template), planned(other)
    found = {
        query: [rollout.pk for rollout in editor.get(f"{ROLLOUTS}?{query}").context["cl"].result_list]
        for query in ("", "state=planned", f"template={template.pk}", "vendor=webhook", "q=meta", f"q={hooks.pk}")
    }
    assert found == {
        "": [hooks.pk, meta.pk],
        "state=planned": [hooks.pk],
        f"template={template.pk}": [meta.pk],
        "vendor=webhook": [hooks.pk],
        "q=meta": [meta.pk],
        f"q={hooks.pk}": [hooks.pk],
    }
    page = editor.get(ROLLOUTS).content.decode()
    assert '<progress class="progress" max="4" value="1" aria-label="Meta to v3: 1 of 4 moved"></progress>' in page
    assert "planned by tests" in page


def test_every_page_takes_the_same_statements_for_many_pipelines_as_for_few(
    editor: Client, organisation: Organisation, template: Template
) -> None:
    many_pins = TemplateFactory(organisation=organisation, name="Many", revisions=3)
    pinned(organisation, many_pins, 20)
    few, many = running(template), running(many_pins)
    for address in ("", "?part=progress", "targets/", "targets/?standing=waiting", "pause/"):
        with count_queries() as one:
            editor.get(f"{page_of(few)}{address}")
        with count_queries() as two:
            editor.get(f"{page_of(many)}{address}")
        assert_same_queries(one, two)
        assert len(two) <= 20, address


def test_lists_take_the_same_statements_for_many_rollouts_as_for_few(
    editor: Client, organisation: Organisation, template: Template
) -> None:
    running(template)
    addresses = (ROLLOUTS, "/admin/", f"/admin/integrations/template/{template.pk}/")
    few = [counted(editor, address) for address in addresses]
    for number in range(4):
        other = TemplateFactory(organisation=organisation, name=f"Other {number}", revisions=2)
        pinned(organisation, other, 1)
        running(other)
        planned(template)
    many = [counted(editor, address) for address in addresses]
    assert few == many
    assert max(many) <= 20


def counted(client: Client, address: str) -> int:
    with count_queries() as queries:
        client.get(address)
    return len(queries)


def test_a_viewer_sees_the_progress_and_no_button(viewer_user: User, template: Template) -> None:
    viewer, rollout = at_console(viewer_user), running(template)
    page = viewer.get(page_of(rollout))
    assert counts(page) == {"Waits for its wave": 3, "Moved": 1}
    main = page.content.decode().partition('id="content"')[2]
    assert 'class="button' not in main
    assert viewer.get(f"{page_of(rollout)}targets/").status_code == 200
    before = everything()
    for name in ("pause", "resume", "abort", "revert"):
        address = f"{page_of(rollout)}{name}/"
        assert viewer.get(address).status_code == 403
        assert viewer.post(address, {"tag": rollout.tag}).status_code == 403
    assert everything() == before


def test_nobody_sees_a_rollout_of_another_organisation(editor: Client, other_organisation: Organisation) -> None:
    rollout = running(fleet_of(other_organisation))
    before = everything()
    assert editor.get(ROLLOUTS).context["cl"].result_count == 0
    assert editor.get("/admin/").context["rollout_count"] == 0
    for address in ("", "?part=progress", "targets/", "pause/", "resume/", "abort/", "revert/"):
        assert editor.get(f"{page_of(rollout)}{address}").status_code == 404
        assert editor.post(f"{page_of(rollout)}{address}", {"tag": rollout.tag}).status_code == 404
    assert everything() == before
