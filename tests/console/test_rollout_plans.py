"""Planning a rollout in the console: the form, the page of the plan, and its start, exactly as shown or not at all."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, Organisation, User
from integrations.models import Template
from integrations.revisions import create_revision, set_status
from pipelines.models import Pin, Rollout, RolloutState
from pipelines.pins import update_pin
from pipelines.registry import update_pipeline
from pipelines.rollouts.gates import Gate
from tests.console.pages import text_of
from tests.console.people import at_console, errors, everything, told
from tests.console.rollouts import ROLLOUTS, fleet_of, numbers, page_of, pinned, planned, running
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.queries import assert_same_queries, count_queries

FORM = {
    "revision": "3",
    "waves": "1,10%,100%",
    "soak": "10m",
    "min_events": "100",
    "patience": "30m",
    "on_failure": "pause",
    "on_inconclusive": "pause",
}


@pytest.fixture
def editor(editor_user: User) -> Client:
    return at_console(editor_user)


@pytest.fixture
def template(organisation: Organisation) -> Template:
    return fleet_of(organisation)


def send(client: Client, template: Template, **changed: str) -> Any:
    return client.post(f"{ROLLOUTS}new/?template={template.pk}", FORM | changed, follow=True)


def start(client: Client, rollout: Rollout, **more: str) -> Any:
    return client.post(f"{page_of(rollout)}start/", {"plan_hash": rollout.plan_hash, **more}, follow=True)


def counts(page: Any) -> dict[str, int]:
    return {word: number for _, word, _, number in page.context["counts"]}


def test_a_revision_on_the_page_of_a_template_leads_to_the_form(editor: Client, template: Template) -> None:
    page = editor.get(f"/admin/integrations/template/{template.pk}/")
    assert f'href="{ROLLOUTS}new/?template={template.pk}&amp;revision=2"' in page.content.decode()
    form = editor.get(f"{ROLLOUTS}new/", {"template": template.pk, "revision": "2"}).context["form"]
    assert form["revision"].value() == "2"
    assert [text for _, text in form.fields["from_revision"].choices] == ["Any", "v1 (4 integrations)"]


def test_from_the_list_one_chooses_the_template_first(editor: Client, template: Template) -> None:
    TemplateFactory(organisation=template.organisation, name="Without any revision", revisions=0)
    assert f'href="{ROLLOUTS}new/"' in editor.get(ROLLOUTS).content.decode()
    assert [one.name for one in editor.get(f"{ROLLOUTS}new/").context["templates"]] == ["Meta"]


def test_a_retired_revision_is_not_offered(editor: Client, template: Template) -> None:
    actor = system(template.organisation)
    set_status(actor=actor, template_id=template.pk, revision="2", status="retired", reason="Broken")
    form = editor.get(f"{ROLLOUTS}new/", {"template": template.pk}).context["form"]
    assert [value for value, _ in form.fields["revision"].choices] == ["3", "1"]


def test_sending_the_form_makes_a_plan_and_moves_nothing(editor: Client, template: Template) -> None:
    page = send(editor, template)
    rollout = Rollout.objects.get()
    assert page.redirect_chain == [(page_of(rollout), 302)]
    assert told(page) == ["The plan is ready. Look it over, then start it."]
    assert counts(page) == {"Moves": 4}
    assert [wave.size for wave in page.context["summary"].waves] == [1, 3]
    assert page.context["button"] == "Start: move 4 integrations"
    assert (rollout.state, rollout.actor_label, rollout.soak_seconds, rollout.gate) == (
        RolloutState.PLANNED,
        "editor@acme.example",
        600,
        None,
    )
    assert numbers(template) == [1, 1, 1, 1]


def test_everything_in_the_form_reaches_the_plan(editor: Client, organisation: Organisation) -> None:
    template = fleet_of(organisation, 0)
    labels = {"environment": "production"}
    shops = [PipelineFactory(organisation=organisation, name=f"Shop {number}", labels=labels) for number in range(4)]
    for shop in shops:
        PinFactory(organisation=organisation, pipeline=shop, template=template, number=1)
    send(
        editor,
        template,
        labels="environment:production",
        from_revision="1",
        percent="50",
        pipelines=f"{shops[0].name}\n{shops[1].slug}\r\n{shops[2].pk}",
        exclude=shops[2].name,
        include_disabled="on",
        waves="own",
        own_waves="1, 100%",
        soak="2h",
        max_failures="2.5 %",
        max_increase="1",
        min_events="50",
        patience="1d",
        on_failure="rollback",
        on_inconclusive="continue",
    )
    rollout = Rollout.objects.get()
    assert rollout.selection == {
        "pipelines": [shops[0].pk, shops[1].pk, shops[2].pk],
        "labels": ["environment:production"],
        "from_revision": revision_of(template, 1).pk,
        "percent": 50,
        "exclude": [shops[2].pk],
        "include_disabled": True,
    }
    assert rollout.gate == Gate(0.025, 0.01, 50, 86_400).as_json()
    assert (rollout.soak_seconds, rollout.on_failure, rollout.on_inconclusive) == (7200, "rollback", "continue")
    page = text_of(editor.get(page_of(rollout)))
    assert "at most 2.5 % of events fail and at most 1 points more than in the hour before" in page
    assert "judged from 50 events on, patient for 1d" in page


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("labels", "production", "Write each label as key:value on a line of its own."),
        ("percent", "101", "Ensure this value is less than or equal to 100."),
        ("pipelines", "Nowhere", "There is no pipeline of this name, slug or id: Nowhere."),
        ("pipelines", "Unpinned", "Without an integration of “Meta”: Unpinned."),
        ("exclude", "Twin", "More than one pipeline has this name, write its slug: Twin."),
        ("own_waves", "1,100%", "Choose “My own” above to use these, or empty this field."),
        ("soak", "soon", "Write a duration as 90s, 10m, 2h or 1d, at most 30 days."),
        ("max_failures", "101", "Ensure this value is less than or equal to 100."),
        ("min_events", "0", "Ensure this value is greater than or equal to 1."),
        ("patience", "31d", "Write a duration as 90s, 10m, 2h or 1d, at most 30 days."),
    ],
)
def test_a_bad_value_is_told_at_its_field_and_nothing_is_planned(
    editor: Client, template: Template, field: str, value: str, message: str
) -> None:
    for name in ("Unpinned", "Twin", "Twin"):
        PipelineFactory(organisation=template.organisation, name=name)
    before = everything()
    assert errors(send(editor, template, **{field: value})) == {field: [message]}
    assert everything() == before


def test_waves_of_ones_own_are_told_at_their_field(editor: Client, template: Template) -> None:
    page = send(editor, template, waves="own", own_waves="1,10%")
    assert errors(page) == {
        "own_waves": ["The last wave must be 100%: write 1,10%,100%, or narrow the selection instead."]
    }
    assert not Rollout.objects.exists()


def test_a_limit_that_is_wrong_is_shown_with_the_gate_opened(editor: Client, template: Template) -> None:
    assert not editor.get(f"{ROLLOUTS}new/?template={template.pk}").context["form"].shows_gate
    assert send(editor, template, max_failures="many").context["form"].shows_gate


def test_a_plan_shows_who_is_blocked_and_why_with_links_to_the_lists(editor: Client, template: Template) -> None:
    off = Pin.objects.order_by("pipeline__name").first()
    assert off is not None
    actor = system(template.organisation)
    update_pipeline(actor=actor, pipeline_id=off.pipeline_id, fields={"enabled": False})
    pinned(template.organisation, template, 1, number=3)
    page = send(editor, template)
    assert counts(page) == {"Moves": 3, "There already": 1, "Blocked": 1}
    text = text_of(page)
    assert "Shop 1 The pipeline is disabled: enable it, or take it along with include_disabled." in text
    assert f'href="{page_of(page.context["rollout"])}targets/?standing=blocked"' in page.content.decode()
    targets = editor.get(f"{page_of(page.context['rollout'])}targets/", {"standing": "blocked"})
    assert [target.pipeline.name for target, _, _ in targets.context["rows"]] == ["Shop 1"]


def test_a_plan_shows_what_changes_in_the_configs_and_no_secret(editor: Client, organisation: Organisation) -> None:
    template = fleet_of(organisation, 2)
    config = {"pixel_id": "777", "access_token": "EAAB-another-secret"}
    create_revision(actor=system(organisation), template_id=template.pk, config=config)
    page = send(editor, template, revision="4")
    [route] = page.context["routes"]
    assert (route.comparison.title, route.comparison.lines) == (
        "2 integrations from v1 to v4",
        [("/pixel_id", "1234567890", "777", ""), ("/access_token", "***", "***", "a secret, hidden")],
    )
    assert "EAAB" not in page.content.decode()


def test_a_plan_is_started_as_it_was_shown_and_left_to_the_worker(editor: Client, template: Template) -> None:
    rollout = planned(template)
    page = start(editor, rollout)
    assert told(page) == ["Started."]
    rollout.refresh_from_db()
    assert (rollout.state, rollout.waves_applied) == (RolloutState.RUNNING, 0)
    assert rollout.runs_for is not None
    assert rollout.runs_for["label"] == "editor@acme.example"
    assert numbers(template) == [1, 1, 1, 1]


def test_one_small_wave_is_applied_with_the_start(editor: Client, template: Template) -> None:
    rollout = planned(template, "100%")
    page = start(editor, rollout)
    assert page.context["rollout"].state == RolloutState.DONE
    assert numbers(template) == [3, 3, 3, 3]


def test_one_wave_that_is_not_small_is_left_to_the_worker(
    editor: Client, template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.admin.rollout_plans.AT_ONCE", 3)
    start(editor, planned(template, "100%"))
    assert Rollout.objects.get().state == RolloutState.RUNNING
    assert numbers(template) == [1, 1, 1, 1]


def test_a_second_click_on_start_leads_to_where_the_first_one_did(editor: Client, template: Template) -> None:
    page = editor.get(page_of(planned(template, "100%")))
    form = {"form_key": page.context["form_key"], "plan_hash": page.context["rollout"].plan_hash}
    address = f"{page_of(page.context['rollout'])}start/"
    assert editor.post(address, form).status_code == 302
    before = everything()
    again = editor.post(address, form, follow=True)
    assert told(again)[-1] == "This form has been sent already, and what it asked for has been done once."
    assert again.redirect_chain == [(page_of(page.context["rollout"]), 302)]
    assert everything() == before


def test_what_changed_since_the_plan_is_told_and_nothing_is_started(editor: Client, template: Template) -> None:
    rollout = planned(template)
    pin = Pin.objects.order_by("pipeline__name").last()
    assert pin is not None
    update_pin(actor=system(template.organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=False)
    before = everything()
    page = start(editor, rollout)
    assert page.context["changes"] == ("Shop 4: its integration has been changed.",)
    assert "Plan again with the same choices" in text_of(page)
    assert everything() == before
    again = editor.post(f"{page_of(rollout)}again/", follow=True)
    made = Rollout.objects.get()
    assert made.pk != rollout.pk
    assert again.redirect_chain == [(page_of(made), 302)]
    assert counts(again) == {"Moves": 3, "Left out": 1}
    assert (made.soak_seconds, [wave.size for wave in again.context["summary"].waves]) == (600, [1, 2])


def test_a_hash_of_another_plan_starts_nothing(editor: Client, template: Template) -> None:
    rollout = planned(template)
    before = everything()
    page = editor.post(f"{page_of(rollout)}start/", {"plan_hash": "0" * 64})
    assert page.context["changes"] == ("This is not the plan that you saw: its hash is another. Look at it again.",)
    editor.post(f"{page_of(rollout)}start/")
    assert everything() == before


def test_blocked_pipelines_are_skipped_only_where_the_box_is_ticked(editor: Client, template: Template) -> None:
    blocked = PipelineFactory(organisation=template.organisation, name="Off", enabled=False)
    PinFactory(organisation=template.organisation, pipeline=blocked, template=template, number=1)
    rollout = planned(template)
    assert "Skip what is blocked" in text_of(editor.get(page_of(rollout)))
    before = everything()
    page = start(editor, rollout)
    assert told(page) == [
        "1 pipeline is blocked. Mend what stands in the way and plan again, or skip what is blocked. "
        "Off: The pipeline is disabled: enable it, or take it along with include_disabled."
    ]
    assert everything() == before
    start(editor, rollout, skip_blocked="yes")
    rollout.refresh_from_db()
    assert (rollout.state, rollout.skip_blocked) == (RolloutState.RUNNING, True)


def test_a_second_rollout_of_a_template_is_refused_with_the_one_that_is_active(
    editor: Client, template: Template
) -> None:
    first, second = running(template), planned(template)
    assert told(start(editor, second))[0].startswith(
        f"A template has one active rollout at a time, and {first.pk} is active."
    )
    second.refresh_from_db()
    assert second.state == RolloutState.PLANNED


def test_a_plan_is_discarded_with_a_trace(editor: Client, template: Template) -> None:
    rollout = planned(template)
    page = editor.post(f"{page_of(rollout)}discard/", follow=True)
    assert told(page) == ["The plan is discarded. Nothing has been moved."]
    assert page.redirect_chain == [(f"/admin/integrations/template/{template.pk}/", 302)]
    assert not Rollout.objects.exists()
    assert AuditEntry.objects.filter(action="rollout.discarded", actor_label="editor@acme.example").count() == 1


def test_what_has_been_started_can_be_neither_discarded_nor_started_again(editor: Client, template: Template) -> None:
    rollout = running(template)
    before = everything()
    for name, verb in (("discard", "discarded"), ("start", "started")):
        page = editor.post(f"{page_of(rollout)}{name}/", follow=True)
        said = f"This rollout is running, and only one that is planned can be {verb}."
        assert told(page) == [said]
    assert everything() == before


def test_the_choices_of_a_plan_are_there_to_be_changed(editor: Client, template: Template) -> None:
    send(editor, template, exclude="Shop 4", waves="own", own_waves="2,100%", max_failures="2.5", soak="90s")
    form = editor.get(f"{ROLLOUTS}new/", {"like": Rollout.objects.get().pk}).context["form"]
    shown = {name: form[name].value() for name in ("revision", "exclude", "waves", "own_waves", "max_failures", "soak")}
    assert shown == {
        "revision": 3,
        "exclude": "shop-4",
        "waves": "own",
        "own_waves": "2,100%",
        "max_failures": "2.5",
        "soak": "90s",
    }
    assert form.shows_gate


def test_a_plan_takes_the_same_statements_for_many_pipelines_as_for_few(editor: Client, template: Template) -> None:
    few_moves = planned(template)
    pinned(template.organisation, template, 20)
    blocked = PipelineFactory.create_batch(5, organisation=template.organisation, enabled=False)
    for pipeline in blocked[:1]:
        PinFactory(organisation=template.organisation, pipeline=pipeline, template=template, number=1)
    some_blocked = planned(template)
    for pipeline in blocked[1:]:
        PinFactory(organisation=template.organisation, pipeline=pipeline, template=template, number=2)
    many_blocked = planned(template)
    with count_queries() as few:
        editor.get(page_of(some_blocked))
    with count_queries() as many:
        editor.get(page_of(many_blocked))
    assert_same_queries(few, many)
    assert len(many) <= 20
    with count_queries() as form:
        editor.get(f"{ROLLOUTS}new/?like={few_moves.pk}")
    assert len(form) <= 20


def test_a_viewer_sees_a_plan_and_no_button(viewer_user: User, template: Template) -> None:
    viewer, rollout = at_console(viewer_user), planned(template)
    page = viewer.get(page_of(rollout))
    assert counts(page) == {"Moves": 4}
    main = page.content.decode().partition('id="content"')[2]
    assert "<button" not in main
    assert "/new/" not in main
    before = everything()
    for address in ("start/", "again/", "discard/"):
        assert viewer.post(f"{page_of(rollout)}{address}", {"plan_hash": rollout.plan_hash}).status_code == 403
    assert viewer.get(f"{ROLLOUTS}new/").status_code == 403
    assert viewer.post(f"{ROLLOUTS}new/?template={template.pk}", FORM).status_code == 403
    assert "Plan a rollout" not in text_of(viewer.get(ROLLOUTS))
    assert "Roll out" not in text_of(viewer.get(f"/admin/integrations/template/{template.pk}/"))
    assert everything() == before


def test_another_organisations_templates_and_rollouts_cannot_be_planned_from(
    editor: Client, other_organisation: Organisation
) -> None:
    theirs = fleet_of(other_organisation)
    rollout = planned(theirs)
    before = everything()
    for query in ({"template": theirs.pk}, {"like": rollout.pk}):
        assert editor.get(f"{ROLLOUTS}new/", query).status_code == 404
    assert editor.post(f"{ROLLOUTS}new/?template={theirs.pk}", FORM).status_code == 404
    assert everything() == before
