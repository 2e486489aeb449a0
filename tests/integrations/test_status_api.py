"""The status of a revision: whether it may still be pinned, which is all about it that changes."""

import pytest

from accounts.models import AuditEntry, Organisation
from integrations.models import Template
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of
from tests.integrations.kept import kept

RETIRED = {"status": "retired", "reason": "Leaked"}


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, revisions=2, name="Meta")
    return made


@pytest.fixture
def path(template: Template) -> str:
    return f"integration-templates/{template.pk}/revisions/1/status"


def test_a_status_is_set_and_shown(editor: Api, path: str, template: Template) -> None:
    for status in ("deprecated", "retired", "active"):
        answer = editor.put(path, {"status": status, "reason": "Because"})
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert answer.json() == editor.get(path.removesuffix("/status")).json()
    entries = AuditEntry.objects.filter(action="revision.status_changed").order_by("pk")
    assert [entry.changes.get("status") for entry in entries] == [
        {"old": "active", "new": "deprecated"},
        {"old": "deprecated", "new": "retired"},
        {"old": "retired", "new": "active"},
    ]
    assert entries[0].resource_label == "Meta v1"
    assert entries[0].changes["reason"] == {"old": "", "new": "Because"}
    assert editor.get(f"integration-templates/{template.pk}/revisions/2").json()["status"] == "active"


def test_the_status_is_part_of_the_revisions_tag(editor: Api, path: str) -> None:
    revision = path.removesuffix("/status")
    seen = editor.get(revision)["ETag"]
    now = editor.put(path, RETIRED)["ETag"]
    assert now == editor.get(revision)["ETag"] != seen
    before = kept()
    stale = editor.put(path, {"status": "active", "reason": "r"}, If_Match=seen)
    assert stale.status_code == 412
    assert stale.json()["current"]["status"] == "retired"
    assert kept() == before
    assert editor.get(revision, If_None_Match=now).status_code == 304


def test_the_same_status_again_leaves_no_trace(editor: Api, path: str) -> None:
    editor.put(path, RETIRED)
    before = kept()
    assert editor.put(path, RETIRED).status_code == 200
    assert kept() == before


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"reason": "r"}, "required", "status"),
        ({"status": "retired"}, "required", "reason"),
        ({"status": "retired", "reason": ""}, "blank", "reason"),
        ({"status": "retired", "reason": "r" * 501}, "max_length", "reason"),
        ({"status": "gone", "reason": "r"}, "not_a_choice", "status"),
        ({"status": None, "reason": "r"}, "null", "status"),
    ],
)
def test_a_status_that_cannot_be_is_refused(
    editor: Api, path: str, body: dict[str, str], code: str, field: str
) -> None:
    before = kept()
    answer = editor.put(path, body)
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert (detail["field"], detail["code"]) == (field, code)
    assert kept() == before


def test_a_retired_revision_takes_no_new_pin_and_keeps_delivering(
    editor: Api, organisation: Organisation, template: Template, path: str
) -> None:
    pin = PinFactory(organisation=organisation, template=template, number=1)
    editor.put(path, RETIRED)

    shown = editor.get(f"pipelines/{pin.pipeline_id}/config").json()
    assert [(one["revision_number"], one["state"]) for one in shown["integrations"]] == [(1, "ok")]
    elsewhere = PipelineFactory(organisation=organisation)
    body = {"integration_id": template.pk, "revision_id": revision_of(template, 1).pk}
    refused = editor.post(f"pipelines/{elsewhere.pk}/integrations", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "REVISION_RETIRED")
    assert "Leaked" in refused.json()["error"]["message"]
    editor.put(path, {"status": "active", "reason": "All is well"})
    assert editor.post(f"pipelines/{elsewhere.pk}/integrations", body).status_code == 201


def test_the_status_of_an_archived_templates_revision_can_change(editor: Api, template: Template, path: str) -> None:
    editor.put(f"integration-templates/{template.pk}", {"archived": True})
    assert editor.put(path, RETIRED).status_code == 200
