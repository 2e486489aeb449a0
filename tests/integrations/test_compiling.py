"""Compiled configs: the same for the same content, and never another revision's."""

from typing import Any

import pytest
from django.db import transaction

from accounts.ids import known_ids
from accounts.models import Organisation
from integrations import revisions
from integrations.models import Revision, Template
from integrations.revisions import compiled, create_revision
from integrations.vendors import VENDORS
from tests.factories import TemplateFactory, revision_of, system


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=0)
    return made


def append(template: Template, **config: Any) -> Revision:
    with known_ids(rev=["rev_fixed00000000000"]):
        actor = system(template.organisation)
        config = {"url": "https://example.com", **config}
        create_revision(actor=actor, template_id=template.pk, config=config)
    return Revision.objects.with_config().get(pk="rev_fixed00000000000")


def test_a_config_is_compiled_once_for_all_who_ask(organisation: Organisation) -> None:
    revision = revision_of(TemplateFactory(organisation=organisation))
    same = revision_of(TemplateFactory(organisation=organisation))
    assert compiled(revision) is compiled(revision)
    assert compiled(same) is compiled(revision)


def test_an_id_used_again_after_a_rollback_gets_its_own_config(template: Template) -> None:
    for token in ("one", "two"):
        with transaction.atomic():
            resolved: Any = compiled(append(template, bearer_token=token, n=token)).resolve({})
            transaction.set_rollback(True)
        assert (resolved["bearer_token"], resolved["n"]) == (token, token)


def test_what_is_filled_in_is_nobody_elses(template: Template) -> None:
    revision = append(template, list=[{"a": 1}])
    first: Any = compiled(revision).resolve({})
    first["list"][0]["a"] = 2
    first["list"].append(3)
    second: Any = compiled(revision).resolve({})
    assert second["list"] == [{"a": 1}]


def test_a_field_is_cast_as_long_as_the_catalogue_says_so(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = append(template, timeout_seconds="{{pipeline_param.t}}")
    resolved: Any = compiled(revision).resolve({"t": "5"})
    assert resolved["timeout_seconds"] == 5
    monkeypatch.setattr(revisions, "VENDORS", {key: VENDORS[key] for key in VENDORS if key != "webhook"})
    resolved = compiled(revision).resolve({"t": "5"})
    assert resolved["timeout_seconds"] == "5"


def test_a_very_long_config_is_not_kept_in_memory(template: Template) -> None:
    revision = append(template, note="n" * revisions.CACHED_LENGTH)
    assert compiled(revision) is not compiled(revision)
