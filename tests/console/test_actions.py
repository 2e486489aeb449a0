"""Doing one thing to many integrations: the plan says what happens to each, then all of it happens, or nothing."""

from typing import Any

import pytest
from django.test import Client

from accounts.admin.console import rehearse
from accounts.models import AuditEntry, Organisation, User
from integrations.models import Template
from integrations.revisions import create_revision, set_status
from integrations.templates import update_template
from pipelines import batches
from pipelines.batches import Outcome, plan_batch
from pipelines.models import HistoryEntry, Pin, Rollout, RolloutState
from pipelines.parameters import Wish, change_parameters, delete_parameter
from pipelines.pins import remove_pin, update_pin
from tests.console.people import at_console, everything, told
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.queries import assert_same_queries, count_queries

PINS = "/admin/pipelines/pin/"


@pytest.fixture
def editor(editor_user: User) -> Client:
    return at_console(editor_user)


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, name="Meta", revisions=3)
    return made


@pytest.fixture
def pins(organisation: Organisation, template: Template) -> list[Pin]:
    """On Alpha at revision 1, on Beta at revision 1 and off, on Gamma at revision 3."""
    wanted = [("Alpha", 1, True), ("Beta", 1, False), ("Gamma", 3, True)]
    return [
        PinFactory(
            organisation=organisation,
            pipeline=PipelineFactory(organisation=organisation, name=name),
            template=template,
            number=number,
            enabled=enabled,
        )
        for name, number, enabled in wanted
    ]


def choose(client: Client, action: str, pins: list[Pin], address: str = PINS, **more: Any) -> Any:
    """Tick the pins and press Go."""
    sent = {"action": action, "index": "0", "_selected_action": [pin.pk for pin in pins], **more}
    return client.post(address, sent)


def plan_to_move(client: Client, pins: list[Pin], number: int, address: str = PINS) -> Any:
    """Choose the revision on the page that asks for it; the answer is the page of the plan."""
    question = choose(client, "move_chosen", pins, address)
    target = revision_of(pins[0].template, number)
    sent = {"pins": question.context["pins"], "filters": question.context["filters"], "revision": target.pk}
    return client.post(f"{PINS}actions/plan/move/", sent, follow=True)


def confirm(client: Client, plan: Any) -> Any:
    """Press the button of the plan that is shown."""
    sent = {"seen": plan.context["seen"], "filters": plan.context["filters"]}
    return client.post(f"{PINS}actions/plan/{plan.context['name']}/", sent, follow=True)


def start(client: Client, plan: Any, **more: str) -> Any:
    """Press the button of the plan of a move."""
    rollout = plan.context["rollout"]
    sent = {"plan_hash": rollout.plan_hash, **more}
    return client.post(f"/admin/pipelines/rollout/{rollout.pk}/start/", sent, follow=True)


def lines(plan: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(line.pin.pipeline.name, line.outcome.value, line.reasons) for line in plan.context["lines"]]


def states() -> dict[str, tuple[int, bool]]:
    found = Pin.objects.select_related("pipeline", "revision")
    return {pin.pipeline.name: (pin.revision.number, pin.enabled) for pin in found}


def test_an_editor_is_offered_changes_and_files_and_a_viewer_files_alone(editor: Client, viewer_user: User) -> None:
    viewer = at_console(viewer_user)
    offered = {
        name: [action for action, _ in client.get(PINS).context["action_form"].fields["action"].choices if action]
        for name, client in (("editor", editor), ("viewer", viewer))
    }
    assert offered == {
        "editor": ["enable_chosen", "disable_chosen", "move_chosen", "export_csv", "export_json"],
        "viewer": ["export_csv", "export_json"],
    }


def test_pins_are_disabled_after_a_plan(editor: Client, pins: list[Pin]) -> None:
    before = everything()
    plan = choose(editor, "disable_chosen", pins)
    assert lines(plan) == [("Alpha", "changes", ()), ("Gamma", "changes", ()), ("Beta", "stands", ())]
    assert plan.context["button"] == "Disable 2 integrations"
    assert everything() == before
    assert told(confirm(editor, plan)) == ["2 integrations are disabled."]
    assert states() == {"Alpha": (1, False), "Beta": (1, False), "Gamma": (3, False)}
    assert AuditEntry.objects.filter(action="pin.updated", actor_label="editor@acme.example").count() == 2


def test_pins_are_enabled_after_a_plan(editor: Client, pins: list[Pin]) -> None:
    assert told(confirm(editor, choose(editor, "enable_chosen", pins))) == ["1 integration is enabled."]
    assert states()["Beta"] == (1, True)


def test_pins_move_to_the_revision_that_is_chosen_by_a_rollout_that_is_done_at_once(
    editor: Client, pins: list[Pin]
) -> None:
    question = choose(editor, "move_chosen", pins)
    assert [revision.number for revision in question.context["revisions"]] == [3, 2, 1]
    plan = plan_to_move(editor, pins, 3)
    assert plan.context["title"] == "Meta to v3"
    assert [(word, number) for _, word, _, number in plan.context["counts"]] == [("Moves", 2), ("There already", 1)]
    assert plan.context["button"] == "Start: move 2 integrations"
    assert states()["Alpha"] == (1, True)
    page = start(editor, plan)
    assert told(page) == ["Started."]
    assert page.context["rollout"].state == RolloutState.DONE
    assert states() == {"Alpha": (3, True), "Beta": (3, False), "Gamma": (3, True)}


def test_pins_that_are_ticked_are_all_that_moves(editor: Client, pins: list[Pin]) -> None:
    start(editor, plan_to_move(editor, pins[:1], 3))
    assert states() == {"Alpha": (3, True), "Beta": (1, False), "Gamma": (3, True)}
    assert Rollout.objects.get().selection["pipelines"] == [pins[0].pipeline_id]


def test_a_revision_is_chosen_only_for_pins_of_one_template(
    editor: Client, pins: list[Pin], organisation: Organisation
) -> None:
    other = PinFactory(organisation=organisation, template=TemplateFactory(organisation=organisation, name="Other"))
    response = choose(editor, "move_chosen", [*pins, other])
    assert response.status_code == 302
    assert told(editor.get(response.url)) == [
        "A revision belongs to one template. Choose integrations of one; you chose Meta, Other."
    ]


def test_a_retired_revision_is_not_offered(editor: Client, pins: list[Pin], organisation: Organisation) -> None:
    retire(organisation, pins[0].template, 2)
    question = choose(editor, "move_chosen", pins)
    assert [revision.number for revision in question.context["revisions"]] == [3, 1]


def test_a_blocked_pin_says_every_reason_and_stays_while_the_others_move(
    editor: Client, organisation: Organisation
) -> None:
    needy = needing(organisation, "first", "second")
    fit, unfit = pinned_low(organisation, needy, "Fit"), pinned_low(organisation, needy, "Unfit")
    wishes = {"first": Wish("1"), "second": Wish("2")}
    change_parameters(actor=system(organisation), pipeline_id=fit.pipeline_id, wishes=wishes)
    plan = plan_to_move(editor, [fit, unfit], 2)
    [blocked] = plan.context["blocked"]
    assert (
        blocked.pipeline.name,
        ["first" in blocked.reasons[0]["message"], "second" in blocked.reasons[1]["message"]],
    ) == (
        "Unfit",
        [True, True],
    )
    before = everything()
    assert told(start(editor, plan))[0].startswith("1 pipeline is blocked.")
    assert everything() == before
    start(editor, plan, skip_blocked="yes")
    assert states() == {"Fit": (2, True), "Unfit": (1, True)}


def test_a_pin_changed_since_the_plan_is_reported_and_nothing_is_done(
    editor: Client, pins: list[Pin], organisation: Organisation
) -> None:
    plan = choose(editor, "disable_chosen", pins)
    alpha, _, gamma = pins
    move(organisation, alpha, 2)
    before = everything()
    response = confirm(editor, plan)
    assert told(response) == [
        "Nothing has been changed: 1 integration is not as you saw it.",
        "Meta on Alpha: Someone changed it, or its template, since you saw the plan.",
    ]
    assert everything() == before
    assert lines(response) == [("Alpha", "changes", ()), ("Gamma", "changes", ())]
    remove_pin(actor=system(organisation), pipeline_id=gamma.pipeline_id, pin_id=gamma.pk)
    response = confirm(editor, response)
    assert told(response) == [
        "Nothing has been changed: 1 integration is not as you saw it.",
        "It is not here any more.",
    ]
    assert told(confirm(editor, response)) == ["1 integration is disabled."]


def test_a_parameter_lost_since_the_plan_stops_all_of_it(editor: Client, organisation: Organisation) -> None:
    """A disabled pin may lose its parameter; enabling it is then refused, and with it the one that could be."""
    needy = needing(organisation, "first")
    fit, lost = (pinned_low(organisation, needy, name, enabled=False) for name in ("Fit", "Lost"))
    for pin in (fit, lost):
        wishes = {"first": Wish("1")}
        change_parameters(actor=system(organisation), pipeline_id=pin.pipeline_id, wishes=wishes)
        move(organisation, pin, 2)
    plan = choose(editor, "enable_chosen", [fit, lost])
    assert plan.context["counts"] == {"blocked": 0, "changes": 2, "stands": 0}
    delete_parameter(actor=system(organisation), pipeline_id=lost.pipeline_id, key="first")
    before = everything()
    response = confirm(editor, plan)
    assert told(response)[0].startswith("Nothing has been changed: Needy on Lost cannot be.")
    assert everything() == before
    assert [line[:2] for line in lines(response)] == [("Lost", "blocked"), ("Fit", "changes")]


def test_a_second_click_on_the_button_changes_nothing_more(editor: Client, pins: list[Pin]) -> None:
    plan = choose(editor, "disable_chosen", pins)
    confirm(editor, plan)
    before = everything()
    again = confirm(editor, plan)
    assert told(again)[0] == "Nothing has been changed: 2 integrations are not as you saw them."
    assert everything() == before
    assert plan_words(again) == {"blocked": 0, "changes": 0, "stands": 2}


def plan_words(plan: Any) -> dict[str, int]:
    counts: dict[str, int] = plan.context["counts"]
    return counts


def test_the_filters_of_the_list_are_there_again_afterwards(editor: Client, pins: list[Pin]) -> None:
    plan = choose(editor, "disable_chosen", pins[:1], f"{PINS}?enabled__exact=1&q=Alpha")
    response = confirm(editor, plan)
    assert response.redirect_chain == [(f"{PINS}?enabled__exact=1&q=Alpha", 302)]


def test_the_plan_of_a_move_leads_back_to_the_list_as_it_was(editor: Client, pins: list[Pin]) -> None:
    filtered = f"{PINS}?enabled__exact=1&q=Alpha"
    plan = plan_to_move(editor, pins[:1], 3, filtered)
    assert plan.context["back"] == filtered
    rollout = plan.context["rollout"]
    address = f"/admin/pipelines/rollout/{rollout.pk}/discard/"
    response = editor.post(address, {"back": plan.context["back"]}, follow=True)
    assert response.redirect_chain == [(filtered, 302)]
    assert told(response) == ["The plan is discarded. Nothing has been moved."]
    assert not Rollout.objects.exists()


def test_more_than_a_thousand_are_refused_with_what_to_do(
    editor: Client, pins: list[Pin], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.admin.actions.LIMIT", 2)
    monkeypatch.setattr(batches, "LIMIT", 2)
    before = everything()
    response = choose(editor, "disable_chosen", pins[:1], select_across="1")
    assert told(editor.get(response.url)) == [
        "An action changes at most 2 integrations at once, and you chose 3. "
        "Nothing has been changed: narrow the list with its filters, then repeat."
    ]
    seen = " ".join(f"{pin.pk}:{pin.tag}" for pin in pins)
    response = editor.post(f"{PINS}actions/plan/disable/", {"seen": seen}, follow=True)
    assert told(response)[0] == "At most 2 integrations can be changed at once, and these are 3. Choose fewer."
    assert everything() == before


def test_a_thousand_is_how_many() -> None:
    assert batches.LIMIT == 1000


def test_pins_of_another_organisation_are_neither_planned_nor_changed(
    editor: Client, other_organisation: Organisation, pins: list[Pin]
) -> None:
    theirs = PinFactory(organisation=other_organisation)
    before = everything()
    address = f"{PINS}actions/plan/disable/"
    assert editor.post(address, {"pins": theirs.pk}).status_code == 404
    assert editor.post(address, {"seen": f"{theirs.pk}:{theirs.tag}"}).status_code == 404
    target = {"pins": pins[0].pk, "revision": theirs.revision_id}
    assert editor.post(f"{PINS}actions/plan/move/", target).status_code == 404
    ours = {"pins": theirs.pk, "revision": pins[0].revision_id}
    assert editor.post(f"{PINS}actions/plan/move/", ours).status_code == 404
    mixed = editor.post(address, {"seen": f"{pins[0].pk}:{pins[0].tag} {theirs.pk}:{theirs.tag}"})
    assert mixed.context["gone"] == 1
    assert everything() == before


def test_a_viewer_plans_and_changes_nothing(viewer_user: User, pins: list[Pin]) -> None:
    viewer = at_console(viewer_user)
    before = everything()
    seen = {"seen": f"{pins[0].pk}:{pins[0].tag}"}
    assert viewer.post(f"{PINS}actions/plan/disable/", seen).status_code == 403
    assert viewer.post(f"{PINS}actions/plan/disable/", {"pins": pins[0].pk}).status_code == 403
    move_them = {"pins": pins[0].pk, "revision": pins[0].revision_id}
    assert viewer.post(f"{PINS}actions/plan/move/", move_them).status_code == 403
    response = choose(viewer, "disable_chosen", pins)
    assert told(viewer.get(response.url)) == ["No action selected."]
    assert everything() == before


def test_there_is_no_other_action(editor: Client, pins: list[Pin]) -> None:
    assert editor.post(f"{PINS}actions/plan/remove/", {"pins": pins[0].pk}).status_code == 404
    assert editor.get(f"{PINS}actions/plan/disable/").status_code == 302
    assert editor.get(f"{PINS}actions/plan/move/").status_code == 302


def test_a_plan_says_of_each_pin_what_the_service_would(organisation: Organisation) -> None:
    """Archived, retired, lacking parameters, off: the plan and `update_pin` agree on all."""
    needy = needing(organisation, "first")
    archived, retired = (TemplateFactory(organisation=organisation, revisions=2) for _ in range(2))
    everywhere = [
        pinned_low(organisation, template, f"P{number}", enabled=enabled)
        for number, (template, enabled) in enumerate(
            (template, enabled) for template in (needy, archived, retired) for enabled in (True, False)
        )
    ]
    lacking = pinned_low(organisation, needy, "Lacking", enabled=False)
    move(organisation, lacking, 2)
    update_template(actor=system(organisation), template_id=archived.pk, archived=True)
    retire(organisation, retired, 1)
    retire(organisation, retired, 2)
    outcomes = set()
    for enabled in (True, False):
        keys = [pin.pk for pin in [*everywhere, lacking]]
        for line in plan_batch(actor=system(organisation), pins=keys, enabled=enabled):
            refused = rehearse(lambda line=line, enabled=enabled: turn(organisation, line.pin, enabled))  # type: ignore[misc]  # bound now
            assert (line.outcome is Outcome.BLOCKED) == bool(refused), (line, enabled, refused)
            outcomes.add(line.outcome)
    assert outcomes == set(Outcome)


def test_a_plan_takes_as_many_statements_for_many_pins_as_for_few(editor: Client, organisation: Organisation) -> None:
    needy = needing(organisation, "first")
    pins = [pinned_low(organisation, needy, f"P{number}") for number in range(20)]
    for pin in pins[::2]:
        wishes = {"first": Wish("1", secret=True)}
        change_parameters(actor=system(organisation), pipeline_id=pin.pipeline_id, wishes=wishes)
    with count_queries() as few:
        plan_to_move(editor, pins[:2], 2)
    with count_queries() as many:
        plan_to_move(editor, pins, 2)
    assert_same_queries(few, many)
    assert len(few) <= 70  # three: the choice of a revision, planning with its audit, and the page of the plan
    with count_queries() as few:
        choose(editor, "disable_chosen", pins[:2])
    with count_queries() as many:
        choose(editor, "disable_chosen", pins)
    assert_same_queries(few, many)
    assert len(few) <= 20


def test_each_pin_leaves_its_own_line_of_history(editor: Client, pins: list[Pin]) -> None:
    before = HistoryEntry.objects.count()
    start(editor, plan_to_move(editor, pins, 2))
    lines = HistoryEntry.objects.order_by("-pk")[: HistoryEntry.objects.count() - before]
    assert {(line.subject_id, line.before_revision_id, line.after_revision_id) for line in lines} == {
        (pin.pk, pin.revision_id, revision_of(pin.template, 2).pk) for pin in pins
    }


def needing(organisation: Organisation, *keys: str) -> Template:
    """Its first revision needs nothing, its second these parameters."""
    plain = {"url": "https://hooks.example.com/events"}
    template = TemplateFactory(organisation=organisation, name="Needy", vendor="webhook", config=plain)
    query = "&".join(f"{key}={{{{pipeline_param.{key}}}}}" for key in keys)
    create = {"url": f"https://hooks.example.com/events?{query}"}
    create_revision(actor=system(organisation), template_id=template.pk, config=create)
    template.refresh_from_db()
    made: Template = template
    return made


def pinned_low(organisation: Organisation, template: Template, name: str, *, enabled: bool = True) -> Pin:
    """At revision 1, on a pipeline of this name."""
    pipeline = PipelineFactory(organisation=organisation, name=name)
    made: Pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1, enabled=enabled)
    return made


def move(organisation: Organisation, pin: Pin, number: int) -> None:
    key = {"pipeline_id": pin.pipeline_id, "pin_id": pin.pk}
    update_pin(actor=system(organisation), **key, revision_id=revision_of(pin.template, number).pk)


def turn(organisation: Organisation, pin: Pin, enabled: bool) -> None:
    update_pin(actor=system(organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=enabled)


def retire(organisation: Organisation, template: Template, number: int) -> None:
    set_status(actor=system(organisation), template_id=template.pk, revision=str(number), status="retired")
