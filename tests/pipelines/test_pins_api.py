"""Pipeline integrations over REST: the user's document, and what it leaves open."""

from typing import Any

import pytest

from accounts.models import Organisation
from integrations.models import Status, Template
from integrations.revisions import set_status
from integrations.templates import delete_template, update_template
from pipelines.models import Pin, Pipeline
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes
from tests.pipelines.traces import counts, grown, kept, refusal, version_of

HOOK = {"url": "https://{{pipeline_param.host}}/{{pipeline_param.path}}"}


def assign(api: Api, pipeline: Pipeline, template: Template, number: int | None = None, **more: Any) -> Any:
    body = {"integration_id": template.pk, "revision_id": revision_of(template, number).pk, **more}
    return api.post(f"pipelines/{pipeline.pk}/integrations", body)


def address(pin: Pin) -> str:
    return f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}"


@pytest.fixture
def pipeline(organisation: Organisation) -> Any:
    return PipelineFactory(organisation=organisation)


@pytest.fixture
def template(organisation: Organisation) -> Any:
    return TemplateFactory(organisation=organisation, name="Meta CAPI Production", revisions=5)


@pytest.fixture
def pin(organisation: Organisation, pipeline: Pipeline, template: Template) -> Any:
    return PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=3)


@pytest.fixture
def hook(organisation: Organisation) -> Any:
    """A template that needs two parameters."""
    return TemplateFactory(organisation=organisation, name="Hook", vendor="webhook", config=HOOK)


def test_assigning_answers_with_the_full_object(editor: Api, pipeline: Pipeline, template: Template) -> None:
    answer = assign(editor, pipeline, template, 3, enabled=True)

    assert answer.status_code == 201
    pin = answer.json()
    assert pin.pop("id").startswith("pi_")
    assert pin.pop("created_at") == pin.pop("updated_at")
    assert pin == {
        "pipeline_id": pipeline.pk,
        "integration_id": template.pk,
        "integration_name": "Meta CAPI Production",
        "vendor": "meta_capi",
        "revision_id": revision_of(template, 3).pk,
        "revision_number": 3,
        "latest_revision": 5,
        "enabled": True,
    }


def test_a_new_pin_is_enabled_unless_the_body_says_otherwise(
    editor: Api, organisation: Organisation, pipeline: Pipeline, template: Template
) -> None:
    other = PipelineFactory(organisation=organisation)
    assert assign(editor, pipeline, template).json()["enabled"] is True
    assert assign(editor, other, template, enabled=False).json()["enabled"] is False


def test_the_object_has_the_documented_fields_in_the_documented_order(viewer: Api, pin: Pin) -> None:
    fields = [
        "id",
        "pipeline_id",
        "integration_id",
        "integration_name",
        "vendor",
        "revision_id",
        "revision_number",
        "latest_revision",
        "enabled",
        "created_at",
        "updated_at",
    ]
    assert list(viewer.get(address(pin)).json()) == fields
    assert [
        list(shown) for shown in viewer.get(f"pipelines/{pin.pipeline_id}/integrations").json()["integrations"]
    ] == [fields]


def test_the_list_holds_all_pins_of_the_pipeline_and_no_others_oldest_first(
    viewer: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    PinFactory(organisation=organisation)
    pins = [PinFactory(organisation=organisation, pipeline=pipeline).pk for _ in range(120)]

    answer = viewer.get(f"pipelines/{pipeline.pk}/integrations").json()

    assert list(answer) == ["integrations"]
    assert [shown["id"] for shown in answer["integrations"]] == pins


def test_the_list_of_a_pipeline_without_pins_is_empty(viewer: Api, pipeline: Pipeline) -> None:
    assert viewer.get(f"pipelines/{pipeline.pk}/integrations").json() == {"integrations": []}


def test_the_list_refuses_a_filter_it_does_not_know(viewer: Api, pipeline: Pipeline) -> None:
    answer = viewer.get(f"pipelines/{pipeline.pk}/integrations?enabled=true")
    assert refusal(answer) == (400, "BAD_REQUEST", [("enabled", "unknown_filter")])


def test_a_template_is_assigned_to_a_pipeline_once(editor: Api, pin: Pin, template: Template) -> None:
    before = kept()
    answer = assign(editor, pin.pipeline, template, 1)
    assert refusal(answer) == (409, "ALREADY_ASSIGNED", [("integration_id", "already_assigned")])
    assert kept() == before


def test_a_revision_of_another_template_is_refused(
    editor: Api, organisation: Organisation, pipeline: Pipeline, template: Template, pin: Pin
) -> None:
    other = TemplateFactory(organisation=organisation)
    foreign = revision_of(other).pk
    before = kept()
    created = editor.post(
        f"pipelines/{PipelineFactory(organisation=organisation).pk}/integrations",
        {"integration_id": template.pk, "revision_id": foreign},
    )
    assert refusal(created) == (422, "VALIDATION_ERROR", [("revision_id", "revision_mismatch")])
    before = kept()
    updated = editor.put(address(pin), {"revision_id": foreign})
    assert refusal(updated) == (422, "VALIDATION_ERROR", [("revision_id", "revision_mismatch")])
    assert kept() == before


def test_a_template_or_revision_that_is_not_here_is_refused_on_its_field(
    editor: Api, organisation: Organisation, other_organisation: Organisation, pipeline: Pipeline, template: Template
) -> None:
    foreign = TemplateFactory(organisation=other_organisation)
    gone = TemplateFactory(organisation=organisation)
    revision = revision_of(gone).pk
    delete_template(actor=system(organisation), template_id=gone.pk)
    path, before = f"pipelines/{pipeline.pk}/integrations", kept()

    for unknown in (foreign.pk, gone.pk, "tmpl_nothere", "no id at all", "☃"):
        answer = editor.post(path, {"integration_id": unknown, "revision_id": revision_of(template).pk})
        assert refusal(answer) == (422, "VALIDATION_ERROR", [("integration_id", "unknown_template")])
    for unknown in (revision_of(foreign).pk, revision, "rev_nothere", "3"):
        answer = editor.post(path, {"integration_id": template.pk, "revision_id": unknown})
        assert refusal(answer) == (422, "VALIDATION_ERROR", [("revision_id", "unknown_revision")])
    assert kept() == before


def test_an_archived_template_takes_no_new_pin_and_no_enabling_but_can_be_turned_off(
    editor: Api, organisation: Organisation, template: Template, pin: Pin
) -> None:
    update_template(actor=system(organisation), template_id=template.pk, archived=True)
    refused = (409, "TEMPLATE_ARCHIVED", [("integration_id", "archived")])

    assert refusal(assign(editor, PipelineFactory(organisation=organisation), template)) == refused
    assert refusal(editor.put(address(pin), {"revision_id": revision_of(template, 4).pk})) == refused
    assert editor.put(address(pin), {"enabled": True}).status_code == 200
    assert editor.put(address(pin), {"enabled": False}).json()["enabled"] is False
    assert refusal(editor.put(address(pin), {"enabled": True})) == refused
    assert editor.delete(address(pin)).json() == {"status": "removed"}


def test_a_retired_revision_takes_no_new_pin_and_no_enabling_and_keeps_those_it_has(
    editor: Api, organisation: Organisation, template: Template, pin: Pin
) -> None:
    set_status(
        actor=system(organisation), template_id=template.pk, revision="3", status=Status.RETIRED, reason="Leaked."
    )
    refused = (409, "REVISION_RETIRED", [("revision_id", "retired")])

    created = assign(editor, PipelineFactory(organisation=organisation), template, 3)
    assert refusal(created) == refused
    assert created.json()["error"]["message"].endswith("Reason given: Leaked.")
    assert editor.put(address(pin), {"enabled": True}).json()["enabled"] is True
    assert editor.put(address(pin), {"enabled": False}).status_code == 200
    assert refusal(editor.put(address(pin), {"enabled": True})) == refused
    assert editor.put(address(pin), {"revision_id": revision_of(template, 5).pk, "enabled": True}).status_code == 200
    assert refusal(editor.put(address(pin), {"revision_id": revision_of(template, 3).pk})) == refused


def test_a_new_pin_on_a_deprecated_revision_carries_a_warning(
    editor: Api, organisation: Organisation, template: Template, pin: Pin
) -> None:
    set_status(actor=system(organisation), template_id=template.pk, revision="2", status=Status.DEPRECATED)
    warning = '299 - "Revision 2 is deprecated. Choose a newer one where you can."'

    assert assign(editor, PipelineFactory(organisation=organisation), template, 2)["Warning"] == warning
    assert editor.put(address(pin), {"revision_id": revision_of(template, 2).pk})["Warning"] == warning
    assert "Warning" not in editor.put(address(pin), {"enabled": False})
    assert "Warning" not in assign(editor, PipelineFactory(organisation=organisation), template, 4)


def test_an_enabled_pin_without_its_parameters_is_refused_with_every_missing_key(
    editor: Api, organisation: Organisation, hook: Template
) -> None:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(path=""))
    before = kept()
    answer = assign(editor, pipeline, hook)
    assert refusal(answer) == (
        422,
        "PREFLIGHT_FAILED",
        [("parameters/host", "missing_parameter"), ("parameters/path", "empty_parameter")],
    )
    assert [detail["key"] for detail in answer.json()["error"]["details"]] == ["host", "path"]
    assert kept() == before

    created = assign(editor, pipeline, hook, enabled=False)
    assert created.status_code == 201
    path = f"pipelines/{pipeline.pk}/integrations/{created.json()['id']}"
    before = kept()
    assert refusal(editor.put(path, {"enabled": True})) == refusal(answer)
    assert kept() == before

    editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"host": "a.example", "path": "in"}})
    assert editor.put(path, {"enabled": True}).json()["enabled"] is True


def test_an_enabled_pin_moves_only_to_a_revision_that_can_run(
    editor: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    template = TemplateFactory(organisation=organisation, vendor="webhook")
    editor.post(f"integration-templates/{template.pk}/revisions", {"config": HOOK})
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1)
    before = kept()
    answer = editor.put(address(pin), {"revision_id": revision_of(template, 2).pk})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "PREFLIGHT_FAILED"
    assert kept() == before
    moved = editor.put(address(pin), {"revision_id": revision_of(template, 2).pk, "enabled": False})
    assert (moved.json()["revision_number"], moved.json()["enabled"]) == (2, False)


@pytest.mark.parametrize("method", ["put", "patch"])
def test_what_an_update_leaves_out_stays(editor: Api, pin: Pin, template: Template, method: str) -> None:
    update = getattr(editor, method)
    moved = update(address(pin), {"revision_id": revision_of(template, 5).pk}).json()
    assert (moved["revision_number"], moved["enabled"]) == (5, True)
    off = update(address(pin), {"enabled": False}).json()
    assert (off["revision_number"], off["enabled"]) == (5, False)
    both = update(address(pin), {"enabled": True, "revision_id": revision_of(template, 1).pk}).json()
    assert (both["revision_number"], both["enabled"]) == (1, True)
    assert both["updated_at"] >= both["created_at"]


@pytest.mark.parametrize("method", ["put", "patch"])
def test_an_update_that_changes_nothing_leaves_no_trace(editor: Api, pin: Pin, template: Template, method: str) -> None:
    shown, before = editor.get(address(pin)), kept()
    for body in (
        {},
        {"enabled": True},
        {"revision_id": pin.revision_id},
        {"enabled": True, "revision_id": pin.revision_id},
    ):
        answer = getattr(editor, method)(address(pin), body)
        assert (answer.status_code, answer.json(), answer["ETag"]) == (200, shown.json(), shown["ETag"])
    assert kept() == before


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, ("integration_id", "required")),
        ({"integration_id": 7, "revision_id": "rev_1"}, 422, ("integration_id", "wrong_type")),
        ({"integration_id": None, "revision_id": "rev_1"}, 422, ("integration_id", "null")),
        ({"integration_id": "", "revision_id": "rev_1"}, 422, ("integration_id", "blank")),
        ({"integration_id": "t" * 41, "revision_id": "rev_1"}, 422, ("integration_id", "max_length")),
        ({"integration_id": "tmpl_1", "revision_id": "rev_1", "enabled": "yes"}, 422, ("enabled", "wrong_type")),
        ({"integration_id": "tmpl_1", "revision_id": "rev_1", "enabled": None}, 422, ("enabled", "null")),
        ({"integration_id": "tmpl_1", "revision_id": "rev_1", "enable": True}, 400, ("enable", "unknown_field")),
    ],
)
def test_a_body_that_is_not_as_documented_is_refused(
    editor: Api, pipeline: Pipeline, body: dict[str, Any], status: int, detail: tuple[str, str]
) -> None:
    before = kept()
    answer = editor.post(f"pipelines/{pipeline.pk}/integrations", body)
    found_status, _, details = refusal(answer)
    assert (found_status, details[0]) == (status, detail)
    assert kept() == before


def test_an_update_takes_no_other_field(editor: Api, pin: Pin) -> None:
    answer = editor.put(address(pin), {"integration_id": "tmpl_other"})
    assert refusal(answer) == (400, "BAD_REQUEST", [("integration_id", "unknown_field")])
    assert refusal(editor.put(address(pin), {"enabled": None}))[2] == [("enabled", "null")]


def test_what_is_not_there_is_not_found(
    editor: Api, organisation: Organisation, other_organisation: Organisation, pin: Pin, template: Template
) -> None:
    foreign = PinFactory(organisation=other_organisation)
    elsewhere = PipelineFactory(organisation=organisation)
    body = {"integration_id": "tmpl_nothere", "revision_id": "rev_nothere"}
    before = kept()
    for path in (
        address(foreign),
        f"pipelines/{elsewhere.pk}/integrations/{pin.pk}",
        f"pipelines/{pin.pipeline_id}/integrations/{foreign.pk}",
        f"pipelines/{pin.pipeline_id}/integrations/pi_nothere",
        f"pipelines/pip_nothere/integrations/{pin.pk}",
    ):
        for answer in (editor.get(path), editor.put(path, {"enabled": False}), editor.delete(path)):
            assert refusal(answer) == (404, "NOT_FOUND", [])
    for path in (f"pipelines/{foreign.pipeline_id}/integrations", "pipelines/pip_nothere/integrations"):
        for answer in (editor.get(path), editor.post(path, body)):
            assert refusal(answer) == (404, "NOT_FOUND", [])
    assert kept() == before


def test_removing_answers_removed_and_leaves_template_and_revisions(
    editor: Api, organisation: Organisation, pin: Pin, template: Template
) -> None:
    shown = editor.get(f"integration-templates/{template.pk}").json()
    assert (answer := editor.delete(address(pin))).status_code == 200
    assert answer.json() == {"status": "removed"}
    assert editor.delete(address(pin)).status_code == 404
    assert editor.get(f"pipelines/{pin.pipeline_id}/integrations").json() == {"integrations": []}
    assert editor.get(f"integration-templates/{template.pk}").json() == shown
    assert assign(editor, pin.pipeline, template, 3).status_code == 201


def test_every_change_writes_one_line_of_history_one_audit_entry_and_one_version(
    editor: Api, organisation: Organisation, pipeline: Pipeline, template: Template
) -> None:
    before, version = counts(), version_of(organisation)
    path = f"pipelines/{pipeline.pk}/integrations/{assign(editor, pipeline, template, 1).json()['id']}"
    assert grown(before) == {"history": 1, "audit": 1, "versions": 1}
    editor.put(path, {"revision_id": revision_of(template, 2).pk, "enabled": False})
    assert grown(before) == {"history": 2, "audit": 2, "versions": 2}
    editor.delete(path)
    assert grown(before) == {"history": 3, "audit": 3, "versions": 3}
    assert version_of(organisation) == version + 3


def test_a_tag_changes_with_all_that_a_client_sees(editor: Api, admin: Api, pin: Pin, template: Template) -> None:
    tags = [editor.get(address(pin))["ETag"]]
    tags.append(editor.put(address(pin), {"enabled": False})["ETag"])
    editor.put(f"integration-templates/{template.pk}", {"name": "Meta, renamed"})
    tags.append(editor.get(address(pin))["ETag"])
    editor.post(f"integration-templates/{template.pk}/revisions", {"config": {"pixel_id": "1", "access_token": "t"}})
    tags.append(editor.get(address(pin))["ETag"])
    assert len(set(tags)) == 4
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
    assert editor.get(address(pin), If_None_Match=tags[3]).status_code == 304
    assert editor.get(address(pin), If_None_Match=tags[2]).status_code == 200


def test_a_change_is_refused_to_who_saw_an_older_object_and_shows_the_current_one(
    editor: Api, pin: Pin, template: Template
) -> None:
    seen = editor.get(address(pin))["ETag"]
    current = editor.put(address(pin), {"enabled": False}, If_Match=seen)
    assert current.status_code == 200
    before = kept()
    for refused in (
        editor.put(address(pin), {"revision_id": revision_of(template, 5).pk}, If_Match=seen),
        editor.patch(address(pin), {}, If_Match=seen),
        editor.delete(address(pin), If_Match=seen),
    ):
        assert refusal(refused) == (412, "PRECONDITION_FAILED", [])
        assert refused.json()["current"] == current.json()
        assert refused["ETag"] == current["ETag"]
    assert kept() == before
    assert editor.put(address(pin), {"enabled": True}, If_Match=f'"old", {current["ETag"]}').status_code == 200
    assert editor.delete(address(pin), If_Match="*").status_code == 200


def test_a_dry_run_says_the_same_and_keeps_nothing(editor: Api, pipeline: Pipeline, pin: Pin, hook: Template) -> None:
    before = kept()
    body = {"integration_id": hook.pk, "revision_id": revision_of(hook).pk, "enabled": False}
    created = editor.post(f"pipelines/{pipeline.pk}/integrations?dry_run=true", body)
    assert (created.status_code, created.json()["integration_name"]) == (201, "Hook")
    refused = editor.post(f"pipelines/{pipeline.pk}/integrations?dry_run=true", {**body, "enabled": True})
    assert refused.json()["error"]["code"] == "PREFLIGHT_FAILED"
    assert editor.put(f"{address(pin)}?dry_run=true", {"enabled": False}).json()["enabled"] is False
    assert editor.delete(f"{address(pin)}?dry_run=true").json() == {"status": "removed"}
    assert kept() == before


def test_the_same_key_assigns_once(editor: Api, pipeline: Pipeline, template: Template) -> None:
    body = {"integration_id": template.pk, "revision_id": revision_of(template, 3).pk}
    first = editor.post(f"pipelines/{pipeline.pk}/integrations", body, Idempotency_Key="k-1")
    before = kept()
    again = editor.post(f"pipelines/{pipeline.pk}/integrations", body, Idempotency_Key="k-1")
    assert (again.status_code, again.json(), again["Idempotent-Replayed"]) == (201, first.json(), "true")
    assert kept() == before
