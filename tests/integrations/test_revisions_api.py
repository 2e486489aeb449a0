"""Revisions over REST: appended, read, never changed."""

from typing import Any

import pytest

from accounts.models import AuditEntry, Organisation, User
from integrations.models import Revision, Template
from integrations.vendors import VENDORS
from tests.clients import Api
from tests.factories import PinFactory, TemplateFactory, revision_of
from tests.integrations.kept import kept
from tests.queries import assert_same_queries, count_queries

HOOK = {"url": "https://hooks.example.com/events"}


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=0)
    return made


@pytest.fixture
def path(template: Template) -> str:
    return f"integration-templates/{template.pk}/revisions"


def test_the_documents_own_example_makes_the_next_revision(
    editor: Api, editor_user: User, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=5)
    body = {
        "config": {"pixel_id": "1234567890", "access_token": "new_token..."},
        "delivery_mode": "server_side",
        "change_summary": "Rotated access token",
    }

    answer = editor.post(f"integration-templates/{template.pk}/revisions", body)

    assert answer.status_code == 201
    assert answer["ETag"] == '"1"'
    revision = answer.json()
    assert revision.pop("id").startswith("rev_")
    assert revision.pop("created_at").endswith("Z")
    assert revision == {
        "integration_id": template.pk,
        "revision_number": 6,
        "config": {"pixel_id": "1234567890", "access_token": "***"},
        "delivery_mode": "server_side",
        "change_summary": "Rotated access token",
        "status": "active",
        "parameters_used": [],
        "created_by": {"type": "user", "id": editor_user.pk, "label": "editor@acme.example"},
        "warnings": [],
    }


def test_what_is_left_out_has_its_default(editor: Api, path: str) -> None:
    revision = editor.post(path, {"config": HOOK}).json()
    assert (revision["delivery_mode"], revision["change_summary"]) == ("server_side", "")


def test_a_revision_is_read_by_id_and_by_number(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    first = revision_of(template, 1)
    by_id = viewer.get(f"integration-templates/{template.pk}/revisions/{first.pk}")
    assert by_id.json()["revision_number"] == 1
    assert viewer.get(f"integration-templates/{template.pk}/revisions/1").json() == by_id.json()
    assert "warnings" not in by_id.json()


def test_a_revision_of_another_template_is_not_found(viewer: Api, editor: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    other = revision_of(TemplateFactory(organisation=organisation))
    before = kept()
    for reference in (
        other.pk,
        "2",
        "0",
        "-1",
        "1.0",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "99999999999999999999",
        "rev_x",
        "1 OR 1",
    ):
        path = f"integration-templates/{template.pk}/revisions/{reference}"
        assert viewer.get(path).status_code == 404
        assert viewer.get(f"{path}/diff").status_code == 404
        assert viewer.get(f"{path}/usages").status_code == 404
        assert editor.put(f"{path}/status", {"status": "retired", "reason": "r"}).status_code == 404
    assert kept() == before


def test_revisions_are_listed_newest_first_in_pages(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=5)
    TemplateFactory(organisation=organisation)
    path = f"integration-templates/{template.pk}/revisions"
    first = viewer.get(path, {"limit": "3"}).json()
    second = viewer.get(path, {"limit": "3", "cursor": first["next_cursor"]}).json()
    assert [shown["revision_number"] for shown in first["revisions"]] == [5, 4, 3]
    assert [shown["revision_number"] for shown in second["revisions"]] == [2, 1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert viewer.get(path, {"status": "active"}).status_code == 400


def test_listing_revisions_takes_the_same_statements_for_few_and_for_many(
    viewer: Api, organisation: Organisation
) -> None:
    small = TemplateFactory(organisation=organisation, revisions=1)
    large = TemplateFactory(organisation=organisation, revisions=10)
    with count_queries() as few:
        viewer.get(f"integration-templates/{small.pk}/revisions")
    with count_queries() as many:
        viewer.get(f"integration-templates/{large.pk}/revisions")
    assert_same_queries(few, many)
    assert len(many) == 3


def test_appending_takes_the_same_statements_whatever_came_before(editor: Api, organisation: Organisation) -> None:
    small = TemplateFactory(organisation=organisation, revisions=1)
    large = TemplateFactory(organisation=organisation, revisions=10)
    config = {"pixel_id": "1", "access_token": "t"}
    with count_queries() as few:
        editor.post(f"integration-templates/{small.pk}/revisions", {"config": config})
    with count_queries() as many:
        editor.post(f"integration-templates/{large.pk}/revisions", {"config": config})
    assert_same_queries(few, many)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_no_address_changes_or_deletes_a_revision(admin: Api, organisation: Organisation, method: str) -> None:
    template = TemplateFactory(organisation=organisation)
    before = kept()
    answer = getattr(admin, method)(f"integration-templates/{template.pk}/revisions/1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert kept() == before


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "required", "config"),
        ({"config": None}, 422, "null", "config"),
        ({"config": []}, 422, "wrong_type", "config"),
        ({"config": "{}"}, 422, "wrong_type", "config"),
        ({"config": {}}, 422, "required", "config/url"),
        ({"config": {"url": 5}}, 422, "wrong_type", "config/url"),
        ({"config": {**HOOK, "auth_type": "magic"}}, 422, "not_a_choice", "config/auth_type"),
        ({"config": HOOK, "delivery_mode": "by_hand"}, 422, "not_a_choice", "delivery_mode"),
        ({"config": HOOK, "delivery_mode": None}, 422, "null", "delivery_mode"),
        ({"config": HOOK, "change_summary": "s" * 501}, 422, "max_length", "change_summary"),
        ({"config": HOOK, "base_revision_id": "rev_0"}, 422, "unknown_revision", "base_revision_id"),
        ({"config": HOOK, "number": 7}, 400, "unknown_field", "number"),
    ],
)
def test_a_revision_that_cannot_be_is_refused(
    editor: Api, path: str, body: dict[str, object], status: int, code: str, field: str
) -> None:
    before = kept()
    answer = editor.post(path, body)
    assert answer.status_code == status
    (detail,) = answer.json()["error"]["details"]
    assert (detail["field"], detail["code"]) == (field, code)
    assert kept() == before


def test_everything_wrong_with_a_config_is_told_at_once(editor: Api, path: str) -> None:
    config = {"retries": "{{pipeline_params.x}}", "auth_type": "odd", "{{pipeline_param.k}}": 1, "bearer_token": "***"}
    answer = editor.post(path, {"config": config})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert error["message"].endswith("(4 more)")
    assert [(detail["code"], detail["pointer"]) for detail in error["details"]] == [
        ("nothing_to_keep", "/bearer_token"),
        ("malformed_placeholder", "/retries"),
        ("placeholder_in_key", "/{{pipeline_param.k}}"),
        ("required", "/url"),
        ("not_a_choice", "/auth_type"),
    ]


def test_an_unknown_field_is_kept_and_told_with_the_nearest_name(editor: Api, path: str) -> None:
    revision = editor.post(path, {"config": {**HOOK, "auth_typ": "none", "tags": [1, {"a": None}]}}).json()
    assert revision["config"] == {**HOOK, "auth_typ": "none", "tags": [1, {"a": None}]}
    assert [(warning["pointer"], warning["code"]) for warning in revision["warnings"]] == [
        ("/auth_typ", "unknown_field"),
        ("/tags", "unknown_field"),
    ]
    assert revision["warnings"][0]["did_you_mean"] == "auth_type"
    assert "did_you_mean" not in revision["warnings"][1]


def test_the_parameters_that_a_config_uses_are_told_sorted_and_once(editor: Api, path: str) -> None:
    config = {
        "url": "https://{{pipeline_param.host}}/{{pipeline_param.a}}",
        "headers": {"X": "{{pipeline_param.a}}"},
        "note": "\\{{pipeline_param.escaped}} {{vendor.own}}",
    }
    assert editor.post(path, {"config": config}).json()["parameters_used"] == ["a", "host"]


def test_a_revision_made_by_somebody_is_in_the_audit_log_without_its_secrets(
    editor: Api, editor_user: User, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=0, name="Meta")
    config = {"pixel_id": "1", "access_token": "canary"}
    revision = editor.post(f"integration-templates/{template.pk}/revisions", {"config": config}).json()
    entry = AuditEntry.objects.get(action="revision.created")
    assert (entry.actor_id, entry.resource_id, entry.resource_label) == (editor_user.pk, revision["id"], "Meta v1")
    assert entry.changes == {
        "revision_number": {"old": None, "new": 1},
        "delivery_mode": {"old": None, "new": "server_side"},
        "change_summary": {"old": None, "new": ""},
        "config": {"old": None, "new": {"pixel_id": "1", "access_token": "***"}},
    }


def test_an_archived_template_gets_no_revision_until_it_is_unarchived(editor: Api, path: str) -> None:
    template = path.removesuffix("/revisions")
    editor.put(template, {"archived": True})
    before = kept()
    answer = editor.post(path, {"config": HOOK})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "TEMPLATE_ARCHIVED")
    assert kept() == before
    editor.put(template, {"archived": False})
    assert editor.post(path, {"config": HOOK}).status_code == 201


def test_a_vendor_that_leaves_the_catalogue_takes_nothing_away(
    editor: Api, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    pin = PinFactory(organisation=organisation, template=template)
    without = {key: vendor for key, vendor in VENDORS.items() if key != "meta_capi"}
    for module in ("revisions", "templates", "api.catalogue"):
        monkeypatch.setattr(f"integrations.{module}.VENDORS", without)
    path = f"integration-templates/{template.pk}"

    assert editor.get(f"{path}/revisions/2").json()["config"]["access_token"] == "***"
    assert editor.get(f"{path}/revisions/2/diff").json()["changes"] == []
    shown = editor.get(f"pipelines/{pin.pipeline_id}/config").json()
    assert [one["state"] for one in shown["integrations"]] == ["ok"]
    assert editor.put(path, {"name": "Renamed"}).status_code == 200
    assert editor.put(f"{path}/revisions/1/status", {"status": "retired", "reason": "Gone"}).status_code == 200
    before = kept()
    refused = editor.post(f"{path}/revisions", {"config": {"pixel_id": "1", "access_token": "t"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "VENDOR_GONE")
    assert editor.get("integration-catalog/meta_capi").status_code == 404
    assert kept() == before


def test_a_dry_run_checks_everything_and_uses_up_no_number(editor: Api, path: str) -> None:
    before = kept()
    tried = editor.post(f"{path}?dry_run=true", {"config": HOOK})
    assert (tried.status_code, tried.json()["revision_number"]) == (201, 1)
    assert editor.post(f"{path}?dry_run=true", {"config": {}}).status_code == 422
    assert kept() == before
    assert editor.post(path, {"config": HOOK}).json()["revision_number"] == 1


def test_a_repeated_request_makes_one_revision(editor: Api, path: str) -> None:
    body: dict[str, Any] = {"config": {**HOOK, "bearer_token": "canary"}}
    first = editor.post(path, body, Idempotency_Key="once")
    again = editor.post(path, body, Idempotency_Key="once")
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert Revision.objects.count() == 1
