"""Templates over REST: what they look like, how they change, and what refuses a change."""

from datetime import UTC, datetime

import pytest

from accounts.models import AuditEntry, Organisation
from integrations.models import Revision, Template
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of
from tests.integrations.kept import kept
from tests.queries import assert_same_queries, count_queries

TEMPLATES = "integration-templates"


def test_a_new_template_has_no_revision_yet(editor: Api) -> None:
    answer = editor.post(TEMPLATES, {"name": "Meta CAPI Production", "vendor": "meta_capi"})

    assert answer.status_code == 201
    assert answer["ETag"] == '"1"'
    template = answer.json()
    assert template.pop("id").startswith("tmpl_")
    assert template.pop("created_at") == template.pop("updated_at")
    assert template == {
        "name": "Meta CAPI Production",
        "vendor": "meta_capi",
        "description": "",
        "latest_revision": None,
        "latest_revision_id": None,
        "archived": False,
    }


def test_a_template_tells_its_latest_revision(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    shown = viewer.get(f"{TEMPLATES}/{template.pk}").json()
    assert shown["latest_revision"] == 2
    assert shown["latest_revision_id"] == revision_of(template, 2).pk


def test_times_are_told_in_whole_seconds_of_utc(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    Template.objects.filter(pk=template.pk).update(created_at=datetime(2026, 2, 20, 10, 0, 0, 999, UTC))
    assert viewer.get(f"{TEMPLATES}/{template.pk}").json()["created_at"] == "2026-02-20T10:00:00Z"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"vendor": "ga4"}, 422, "required", "name"),
        ({"name": "N"}, 422, "required", "vendor"),
        ({"name": "", "vendor": "ga4"}, 422, "blank", "name"),
        ({"name": " N", "vendor": "ga4"}, 422, "blanks", "name"),
        ({"name": "a\nb", "vendor": "ga4"}, 422, "control_character", "name"),
        ({"name": "n" * 201, "vendor": "ga4"}, 422, "max_length", "name"),
        ({"name": 5, "vendor": "ga4"}, 422, "wrong_type", "name"),
        ({"name": "N", "vendor": "gA4"}, 422, "unknown_vendor", "vendor"),
        ({"name": "N", "vendor": "ga4", "description": None}, 422, "null", "description"),
        ({"name": "N", "vendor": "ga4", "description": "d" * 2001}, 422, "max_length", "description"),
        ({"name": "N", "vendor": "ga4", "archived": True}, 400, "unknown_field", "archived"),
        ({"name": "N", "vendor": "ga4", "id": "tmpl_0"}, 400, "unknown_field", "id"),
    ],
)
def test_a_template_that_cannot_be_is_refused(
    editor: Api, body: dict[str, object], status: int, code: str, field: str
) -> None:
    before = kept()
    answer = editor.post(TEMPLATES, body)
    assert answer.status_code == status
    (detail,) = answer.json()["error"]["details"]
    assert (detail["field"], detail["code"]) == (field, code)
    assert kept() == before


def test_a_name_is_taken_only_in_its_own_organisation(editor: Api, stranger: Api, organisation: Organisation) -> None:
    TemplateFactory(organisation=organisation, name="Meta")
    answer = editor.post(TEMPLATES, {"name": "Meta", "vendor": "ga4"})
    assert answer.status_code == 409
    assert answer.json()["error"] == {
        "code": "NAME_TAKEN",
        "message": "A template with this name exists already. Use another name.",
        "details": [
            {
                "field": "name",
                "code": "taken",
                "message": "A template with this name exists already. Use another name.",
            }
        ],
    }
    assert stranger.post(TEMPLATES, {"name": "Meta", "vendor": "ga4"}).status_code == 201


def test_a_template_cannot_take_the_name_of_another(editor: Api, organisation: Organisation) -> None:
    TemplateFactory(organisation=organisation, name="Meta")
    template = TemplateFactory(organisation=organisation, name="Other")
    before = kept()
    answer = editor.patch(f"{TEMPLATES}/{template.pk}", {"name": "Meta"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NAME_TAKEN")
    assert kept() == before
    assert editor.patch(f"{TEMPLATES}/{template.pk}", {"name": "Other", "description": "d"}).status_code == 200


@pytest.mark.parametrize("method", ["put", "patch"])
def test_what_a_change_leaves_out_stays(editor: Api, organisation: Organisation, method: str) -> None:
    template = TemplateFactory(organisation=organisation, name="Meta", description="For ads")
    answer = getattr(editor, method)(f"{TEMPLATES}/{template.pk}", {"archived": True})
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["name"], changed["description"], changed["archived"]) == ("Meta", "For ads", True)
    assert changed["latest_revision_id"] == revision_of(template).pk
    entry = AuditEntry.objects.get(action="template.updated")
    assert entry.changes == {"archived": {"old": False, "new": True}}
    assert entry.resource_id == template.pk


def test_a_change_that_changes_nothing_leaves_no_trace(editor: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, name="Meta")
    before = kept()
    assert editor.put(f"{TEMPLATES}/{template.pk}", {"name": "Meta"}).status_code == 200
    assert editor.put(f"{TEMPLATES}/{template.pk}", {}).status_code == 200
    assert kept() == before


def test_the_vendor_of_a_template_never_changes(editor: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    answer = editor.put(f"{TEMPLATES}/{template.pk}", {"vendor": "ga4"})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "vendor"


def test_a_change_of_what_somebody_else_has_changed_is_refused_with_how_it_stands(
    editor: Api, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, name="Meta")
    path = f"{TEMPLATES}/{template.pk}"
    seen = editor.get(path)["ETag"]
    now = editor.put(path, {"name": "Meta 2"})
    before = kept()

    stale = editor.put(path, {"name": "Meta 3"}, If_Match=seen)

    assert stale.status_code == 412
    assert stale["ETag"] == now["ETag"] != seen
    assert stale.json()["current"] == now.json()
    assert kept() == before
    assert editor.put(path, {"name": "Meta 3"}, If_Match=now["ETag"]).status_code == 200


def test_a_new_revision_is_a_new_state_of_its_template(editor: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, vendor="webhook")
    seen = editor.get(f"{TEMPLATES}/{template.pk}")["ETag"]
    editor.post(f"{TEMPLATES}/{template.pk}/revisions", {"config": {"url": "https://example.com"}})
    assert editor.get(f"{TEMPLATES}/{template.pk}")["ETag"] != seen


def test_a_dry_run_answers_the_same_and_keeps_nothing(admin: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    before = kept()
    assert admin.post(f"{TEMPLATES}?dry_run=true", {"name": "N", "vendor": "ga4"}).status_code == 201
    assert admin.put(f"{TEMPLATES}/{template.pk}?dry_run=true", {"name": "N"}).json()["name"] == "N"
    assert admin.delete(f"{TEMPLATES}/{template.pk}?dry_run=true").json() == {"status": "removed"}
    assert kept() == before


def test_a_template_in_use_cannot_be_deleted_and_names_its_users(admin: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    shop = PipelineFactory(organisation=organisation, name="Shop")
    pin = PinFactory(organisation=organisation, template=template, pipeline=shop, enabled=False)
    PinFactory(organisation=organisation, template=template)
    before = kept()

    answer = admin.delete(f"{TEMPLATES}/{template.pk}")

    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "TEMPLATE_IN_USE"
    assert error["message"] == "2 pipelines use this template. Remove it from them first, or archive it instead."
    assert error["details"][0] == {
        "field": "id",
        "code": "in_use",
        "message": "Used by “Shop”.",
        "pipeline_id": shop.pk,
        "pin_id": pin.pk,
    }
    assert len(error["details"]) == 2
    assert kept() == before


def test_a_stale_delete_is_refused_as_stale_even_of_a_template_in_use(admin: Api, organisation: Organisation) -> None:
    pin = PinFactory(organisation=organisation)
    assert admin.delete(f"{TEMPLATES}/{pin.template_id}", If_Match='"0"').status_code == 412


def test_a_template_that_no_pipeline_uses_any_more_can_be_deleted(admin: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, name="Meta", revisions=2)
    pin = PinFactory(organisation=organisation, template=template)
    admin.delete(f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}")

    answer = admin.delete(f"{TEMPLATES}/{template.pk}")

    assert (answer.status_code, answer.json()) == (200, {"status": "removed"})
    for path in ("", "/revisions", "/revisions/1", "/revisions/1/diff", "/revisions/1/usages"):
        assert admin.get(f"{TEMPLATES}/{template.pk}{path}").status_code == 404
    assert admin.delete(f"{TEMPLATES}/{template.pk}").status_code == 404
    assert admin.get(TEMPLATES).json()["templates"] == []
    assert Revision.objects.filter(template_id=template.pk).count() == 2
    history = admin.get(f"pipelines/{pin.pipeline_id}/history").json()
    assert {entry["integration_name"] for entry in history["history"] if entry["subject"] == "pin"} == {"Meta"}
    again = admin.post(TEMPLATES, {"name": "Meta", "vendor": "ga4"})
    assert again.status_code == 201
    assert again.json()["id"] != template.pk


@pytest.mark.parametrize("id", ["tmpl_0000000000000000", "rev_0000000000000000", "nonsense", "tmpl_" + "x" * 500])
def test_an_id_that_is_none_is_not_found(admin: Api, organisation: Organisation, id: str) -> None:
    for path in (f"{TEMPLATES}/{id}", f"{TEMPLATES}/{id}/revisions", f"{TEMPLATES}/{id}/revisions/1"):
        answer = admin.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert admin.put(f"{TEMPLATES}/{id}", {"name": "N"}).status_code == 404
    assert admin.post(f"{TEMPLATES}/{id}/revisions", {"config": {}}).status_code == 404


def test_the_list_is_filtered_by_vendor_archived_and_text(viewer: Api, editor: Api, organisation: Organisation) -> None:
    meta = TemplateFactory(organisation=organisation, name="Meta shop")
    ga4 = TemplateFactory(organisation=organisation, name="Analytics 100%", vendor="ga4")
    hook = TemplateFactory(organisation=organisation, name="Old hook", vendor="webhook")
    editor.put(f"{TEMPLATES}/{hook.pk}", {"archived": True})

    def listed(**query: str) -> list[str]:
        return [shown["id"] for shown in viewer.get(TEMPLATES, query).json()["templates"]]

    assert listed() == [meta.pk, ga4.pk, hook.pk]
    assert listed(vendor="ga4") == [ga4.pk]
    assert listed(vendor="nobody") == []
    assert listed(archived="true") == [hook.pk]
    assert listed(archived="false") == [meta.pk, ga4.pk]
    assert listed(q="SHOP") == [meta.pk]
    assert listed(q="webhoo") == [hook.pk]
    assert listed(q="0%") == [ga4.pk]
    assert listed(q="%") == [ga4.pk]
    assert listed(q=meta.pk) == [meta.pk]
    assert listed(q="o", archived="false", vendor="meta_capi") == [meta.pk]


@pytest.mark.parametrize("query", [{"vendr": "ga4"}, {"archived": "perhaps"}, {"limit": "0"}, {"cursor": "x"}])
def test_a_filter_that_cannot_be_read_is_refused(viewer: Api, query: dict[str, str]) -> None:
    assert viewer.get(TEMPLATES, query).status_code == 400


def test_the_list_is_paged(viewer: Api, organisation: Organisation) -> None:
    made = [TemplateFactory(organisation=organisation, revisions=0).pk for _ in range(5)]
    first = viewer.get(TEMPLATES, {"limit": "3"}).json()
    second = viewer.get(TEMPLATES, {"limit": "3", "cursor": first["next_cursor"]}).json()
    assert [shown["id"] for shown in first["templates"] + second["templates"]] == made
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)


def test_listing_templates_takes_the_same_statements_for_few_and_for_many(
    viewer: Api, organisation: Organisation
) -> None:
    TemplateFactory(organisation=organisation)
    with count_queries() as few:
        assert len(viewer.get(TEMPLATES).json()["templates"]) == 1
    for _ in range(9):
        TemplateFactory(organisation=organisation, revisions=2)
    with count_queries() as many:
        assert len(viewer.get(TEMPLATES).json()["templates"]) == 10
    assert_same_queries(few, many)
    assert len(many) == 2


def test_a_template_is_shown_and_changed_by_the_same_statements_whatever_it_holds(
    editor: Api, organisation: Organisation
) -> None:
    small = TemplateFactory(organisation=organisation)
    large = TemplateFactory(organisation=organisation, revisions=10)
    with count_queries() as few:
        editor.put(f"{TEMPLATES}/{small.pk}", {"description": "d"})
    with count_queries() as many:
        editor.put(f"{TEMPLATES}/{large.pk}", {"description": "d"})
    assert_same_queries(few, many)
