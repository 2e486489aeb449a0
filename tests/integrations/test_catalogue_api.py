"""The catalogue over REST, and installing a vendor: a template and its first revision at once."""

from typing import Any

import pytest

from accounts.models import AuditEntry, Organisation
from integrations.models import Revision, Template
from integrations.revisions import whole_config
from integrations.vendors import VENDORS
from tests.clients import Api
from tests.factories import TemplateFactory
from tests.integrations.kept import kept

CATALOGUE = "integration-catalog"


def test_the_catalogue_lists_every_vendor_on_one_page(viewer: Api) -> None:
    shown = viewer.get(CATALOGUE).json()
    assert [vendor["vendor"] for vendor in shown["vendors"]] == list(VENDORS)
    assert (shown["next_cursor"], shown["has_more"]) == (None, False)


def test_a_vendor_tells_its_fields_and_variants(viewer: Api) -> None:
    shown = viewer.get(f"{CATALOGUE}/ga4").json()
    assert {key: shown[key] for key in ("vendor", "name", "category")} == {
        "vendor": "ga4",
        "name": VENDORS["ga4"].name,
        "category": "analytics",
    }
    assert shown["one_of"] == [["measurement_id", "firebase_app_id"]]
    secret = next(field for field in shown["fields"] if field["key"] == "api_secret")
    assert set(secret) == {"key", "label", "type", "required", "default", "placeholder", "help_text", "choices"}
    assert (secret["type"], secret["required"], secret["default"], secret["choices"]) == ("secret", True, None, [])
    hmac = viewer.get(f"{CATALOGUE}/webhook").json()["variants"][3]
    assert hmac == {
        "key": "hmac",
        "label": "Signed (HMAC)",
        "help_text": "A signature over the body.",
        "preset": {"auth_type": "hmac"},
        "requires": ["signing_secret"],
    }


def test_every_vendor_can_be_asked_for_by_itself(viewer: Api) -> None:
    listed = viewer.get(CATALOGUE).json()["vendors"]
    assert [viewer.get(f"{CATALOGUE}/{key}").json() for key in VENDORS] == listed
    assert viewer.get(f"{CATALOGUE}/GA4").status_code == 404


def test_installing_makes_a_template_and_its_first_revision(editor: Api, organisation: Organisation) -> None:
    answer = editor.post(
        f"{CATALOGUE}/meta_capi/install", {"name": "Meta", "config": {"pixel_id": "1", "access_token": "t", "x": 1}}
    )

    assert answer.status_code == 201
    shown = answer.json()
    template, revision = Template.objects.get(), Revision.objects.with_config().get()
    assert shown["template"] == editor.get(f"integration-templates/{template.pk}").json()
    assert shown["template"]["latest_revision_id"] == revision.pk
    assert shown["revision"] == editor.get(f"integration-templates/{template.pk}/revisions/1").json()
    assert shown["revision"]["change_summary"] == "Installed Meta Conversions API"
    assert [warning["pointer"] for warning in shown["warnings"]] == ["/x"]
    assert whole_config(revision) == {"pixel_id": "1", "access_token": "t", "x": 1}
    assert sorted(AuditEntry.objects.filter(resource_type__in=["template", "revision"]).values_list("action")) == [
        ("revision.created",),
        ("template.created",),
    ]


def test_a_variant_puts_its_preset_beneath_the_config(editor: Api) -> None:
    body: dict[str, Any] = {
        "name": "Hook",
        "variant": "hmac",
        "config": {"url": "https://e.com", "signing_secret": "s"},
    }
    shown = editor.post(f"{CATALOGUE}/webhook/install", body).json()
    assert shown["revision"]["config"] == {"auth_type": "hmac", "url": "https://e.com", "signing_secret": "***"}
    body = {**body, "name": "Own", "config": {**body["config"], "auth_type": "none"}}
    assert editor.post(f"{CATALOGUE}/webhook/install", body).json()["revision"]["config"]["auth_type"] == "none"


@pytest.mark.parametrize(
    ("vendor", "body", "status", "problems"),
    [
        ("nobody", {"name": "N", "config": {}}, 404, []),
        ("webhook", {"config": {"url": "u"}}, 422, [("required", "name")]),
        ("webhook", {"name": "N"}, 422, [("required", "config")]),
        ("webhook", {"name": "N", "config": {}}, 422, [("required", "config/url")]),
        ("webhook", {"name": "N", "config": {"url": "u"}, "variant": "x"}, 422, [("unknown_variant", "variant")]),
        (
            "webhook",
            {"name": "N", "config": {"password": " "}, "variant": "basic"},
            422,
            [("required", "config/url"), ("required", "config/username"), ("empty", "config/password")],
        ),
        (
            "webhook",
            {"name": "N", "config": {"url": "u", "bearer_token": "***"}},
            422,
            [("nothing_to_keep", "config/bearer_token")],
        ),
        ("webhook", {"name": "Taken", "config": {"url": "u"}}, 409, [("taken", "name")]),
        ("webhook", {"name": "N", "config": {"url": "u"}, "delivery_mode": "hybrid"}, 400, None),
    ],
)
def test_what_cannot_be_installed_leaves_no_trace(
    editor: Api,
    organisation: Organisation,
    vendor: str,
    body: dict[str, Any],
    status: int,
    problems: list[tuple[str, str]] | None,
) -> None:
    TemplateFactory(organisation=organisation, name="Taken")
    before = kept()
    answer = editor.post(f"{CATALOGUE}/{vendor}/install", body)
    assert answer.status_code == status
    if problems is not None:
        found = [(detail["code"], detail["field"]) for detail in answer.json()["error"]["details"]]
        assert sorted(found) == sorted(problems)
    assert kept() == before


def test_a_dry_run_installs_nothing(editor: Api) -> None:
    before = kept()
    answer = editor.post(f"{CATALOGUE}/webhook/install?dry_run=true", {"name": "N", "config": {"url": "u"}})
    assert (answer.status_code, answer.json()["template"]["latest_revision"]) == (201, 1)
    assert kept() == before
