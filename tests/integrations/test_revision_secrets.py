"""Secrets of a revision: sealed from the first write on, shown as the mask, kept by the mask."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organisation
from integrations.models import Revision, SealedValues, Template
from integrations.revisions import whole_config
from integrations.vendors import VENDORS
from tests.clients import Api
from tests.committed import rows_of, tables
from tests.factories import TemplateFactory, revision_of
from tests.integrations.kept import kept

CANARY = "canary-0f3b9c71"


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=0)
    return made


@pytest.fixture
def path(template: Template) -> str:
    return f"integration-templates/{template.pk}/revisions"


def hook(**more: Any) -> dict[str, Any]:
    return {"url": "https://example.com", **more}


def make(editor: Api, path: str, config: Any, **more: Any) -> Revision:
    answer = editor.post(path, {"config": config, **more})
    assert answer.status_code == 201, answer.json()
    return Revision.objects.with_config().get(pk=answer.json()["id"])


def test_a_secret_stands_nowhere_in_the_database(committed_db: str, editor: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=0)
    path = f"integration-templates/{template.pk}/revisions"
    config = hook(
        bearer_token=CANARY,
        headers={"X-Key": CANARY, "Y": f"Bearer {CANARY}"},
        bearer_tokn=CANARY,
        api_key={"inner": [CANARY]},
        timeout_seconds="x",
    )
    refused = editor.post(path, {"config": config})
    assert refused.status_code == 422
    assert CANARY not in refused.content.decode()
    del config["timeout_seconds"]

    answer = editor.post(path, {"config": config}, Idempotency_Key="k")

    assert answer.status_code == 201
    assert CANARY not in answer.content.decode()
    assert CANARY not in repr(rows_of(tables()))
    if connection.vendor == "sqlite":
        name = str(connection.settings_dict["NAME"])
        files = [file for suffix in ("", "-wal") if (file := Path(name + suffix)).exists()]
        assert template.pk.encode() in b"".join(file.read_bytes() for file in files)
        assert CANARY.encode() not in b"".join(file.read_bytes() for file in files)


def test_secrets_are_masked_wherever_they_are_shown(admin: Api, path: str) -> None:
    config = hook(bearer_token=CANARY, headers={"A": CANARY}, bearer_tokn=CANARY, webhook_secret=CANARY)
    make(admin, path, config)
    make(admin, path, hook(headers={"A": f"{CANARY}2"}, other=1))
    pages = (path, f"{path}/1", f"{path}/2/diff", f"{path}/1/diff", "audit-log")
    shown = [admin.get(page) for page in pages]
    assert [page.status_code for page in shown] == [200] * 5
    assert all(CANARY not in page.content.decode() for page in shown)
    masked = hook(bearer_token="***", headers={"A": "***"}, bearer_tokn="***", webhook_secret="***")
    assert shown[1].json()["config"] == masked
    assert admin.get(f"{path}/2/diff").json()["changes"] == [
        {
            "op": "removed",
            "pointer": "/bearer_token",
            "before": "***",
            "after": None,
            "type_changed": False,
            "secret": True,
        },
        {
            "op": "changed",
            "pointer": "/headers/A",
            "before": "***",
            "after": "***",
            "type_changed": False,
            "secret": True,
        },
        {
            "op": "removed",
            "pointer": "/bearer_tokn",
            "before": "***",
            "after": None,
            "type_changed": False,
            "secret": True,
        },
        {
            "op": "removed",
            "pointer": "/webhook_secret",
            "before": "***",
            "after": None,
            "type_changed": False,
            "secret": True,
        },
        {"op": "added", "pointer": "/other", "before": None, "after": 1, "type_changed": False, "secret": False},
    ]


def test_a_config_without_secrets_seals_nothing(editor: Api, path: str) -> None:
    make(editor, path, hook())
    assert not SealedValues.objects.exists()


def test_the_mask_keeps_the_secrets_of_the_base(editor: Api, path: str) -> None:
    first = make(editor, path, hook(bearer_token="one", headers={"A": "a", "B": "b"}, bearer_tokn={"x": [1]}))
    read = editor.get(f"{path}/1").json()["config"]

    second = make(editor, path, {**read, "url": "https://two.example.com"}, base_revision_id=first.pk)
    third = make(editor, path, hook(headers={"B": "***", "A": "new"}), base_revision_id=second.pk)

    assert whole_config(second) == hook(
        url="https://two.example.com", bearer_token="one", headers={"A": "a", "B": "b"}, bearer_tokn={"x": [1]}
    )
    assert whole_config(third) == hook(headers={"B": "b", "A": "new"})
    assert SealedValues.objects.get(pk=first.pk).box != SealedValues.objects.get(pk=second.pk).box


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
def test_a_config_read_back_changed_and_sent_again_comes_round(
    editor: Api, organisation: Organisation, vendor: Any
) -> None:
    secrets = {field.key for field in vendor.fields if field.type == "secret"}
    config = {
        field.key: {"K": "v"} if field.type == "object" else field.choices[0] if field.choices else field.placeholder
        for field in vendor.fields
        if field.type in ("string", "secret", "enum", "object")
    }
    template = TemplateFactory(organisation=organisation, vendor=vendor.key, config=config)
    path = f"integration-templates/{template.pk}/revisions"
    read = editor.get(f"{path}/1").json()
    assert {key for key, value in read["config"].items() if value == "***"} == secrets

    changed = make(editor, path, {**read["config"], "note": "n"}, base_revision_id=read["id"])

    assert whole_config(changed) == {**config, "note": "n"}
    assert [change["pointer"] for change in editor.get(f"{path}/2/diff").json()["changes"]] == ["/note"]


@pytest.mark.parametrize(
    ("config", "pointers"),
    [
        (hook(bearer_token="***"), ["/bearer_token"]),
        (hook(headers={"A": "***", "B/C": "***"}), ["/headers/A", "/headers/B~1C"]),
        (hook(bearer_tokn="***"), ["/bearer_tokn"]),
    ],
)
def test_the_mask_is_refused_where_there_is_nothing_to_keep(
    editor: Api, path: str, config: dict[str, Any], pointers: list[str]
) -> None:
    base = make(editor, path, hook(password="p", username="u"))
    before = kept()
    for more in ({}, {"base_revision_id": base.pk}):
        answer = editor.post(path, {"config": config, **more})
        assert answer.status_code == 422
        details = answer.json()["error"]["details"]
        assert [(detail["code"], detail["pointer"]) for detail in details] == [
            ("nothing_to_keep", pointer) for pointer in pointers
        ]
        why = "revision 1 has none here" if more else "there is no base_revision_id to keep it from"
        assert details[0]["message"] == f"“***” stands for a secret that is kept, and {why}. Send the value."
    assert kept() == before


def test_the_mask_keeps_nothing_of_another_template(editor: Api, path: str, organisation: Organisation) -> None:
    other = revision_of(TemplateFactory(organisation=organisation, vendor="webhook", config=hook(password="p")))
    answer = editor.post(path, {"config": hook(password="***"), "base_revision_id": other.pk})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["code"] == "unknown_revision"


def test_the_mask_is_plain_text_where_no_secret_stands(editor: Api, path: str) -> None:
    revision = make(editor, path, hook(note="***"))
    assert whole_config(revision) == hook(note="***")
    assert not SealedValues.objects.exists()


def test_a_secret_that_the_vendor_calls_one_no_longer_stays_one_when_it_is_kept(
    editor: Api, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = TemplateFactory(organisation=organisation, config={"pixel_id": "1", "access_token": CANARY})
    monkeypatch.setattr("integrations.revisions.secret_pointers", lambda *_: frozenset())
    path = f"integration-templates/{template.pk}/revisions"
    kept_on = make(editor, path, {"pixel_id": "2", "access_token": "***"}, base_revision_id=revision_of(template).pk)
    assert kept_on.config["access_token"] == "***"
    assert whole_config(kept_on)["access_token"] == CANARY


def test_a_placeholder_may_stand_in_a_secret(editor: Api, path: str) -> None:
    revision = make(editor, path, hook(bearer_token="{{pipeline_param.token}}"))
    assert revision.parameters_used == ["token"]
    assert revision.config["bearer_token"] == "***"
    assert whole_config(revision)["bearer_token"] == "{{pipeline_param.token}}"


def test_a_sealed_value_opens_only_in_its_own_revision(editor: Api, path: str) -> None:
    one = make(editor, path, hook(bearer_token=CANARY))
    two = make(editor, path, hook(bearer_token="two"))
    SealedValues.objects.filter(pk=two.pk).update(box=SealedValues.objects.get(pk=one.pk).box)
    answer = editor.get(f"{path}/2/diff")
    assert answer.status_code == 500
    assert CANARY not in answer.content.decode()
