"""Who may read and write templates, revisions and the catalogue: each address tried by the whole cast."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from accounts.models import Organisation
from integrations.models import Template
from tests.conftest import Cast
from tests.factories import CONFIGS, TemplateFactory
from tests.integrations.kept import kept

OUTSIDE = {"stranger": 404, "processor": 403, "nobody": 401}
EDITORS = {"viewer": 403, **OUTSIDE}
ADMINS = {"viewer": 403, "editor": 403, **OUTSIDE}

Write = tuple[str, str, Any, Mapping[str, int], int]
WRITES: Mapping[str, Write] = {
    "rename": ("patch", "integration-templates/{id}", {"name": "Other"}, EDITORS, 200),
    "replace": ("put", "integration-templates/{id}", {"archived": True}, EDITORS, 200),
    "delete": ("delete", "integration-templates/{id}", None, ADMINS, 200),
    "revise": ("post", "integration-templates/{id}/revisions", {"config": CONFIGS["meta_capi"]}, EDITORS, 201),
    "retire": (
        "put",
        "integration-templates/{id}/revisions/1/status",
        {"status": "retired", "reason": "Leaked"},
        EDITORS,
        200,
    ),
}
CREATIONS: Mapping[str, tuple[str, Any]] = {
    "create": ("integration-templates", {"name": "New", "vendor": "ga4"}),
    "install": ("integration-catalog/webhook/install", {"name": "New", "config": CONFIGS["webhook"]}),
}
READS = (
    "integration-templates/{id}",
    "integration-templates/{id}/revisions",
    "integration-templates/{id}/revisions/1",
    "integration-templates/{id}/revisions/1/diff",
    "integration-templates/{id}/revisions/1/usages",
)


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation)
    return made


def sender(cast: Cast, name: str, method: str) -> Callable[..., Any]:
    send: Callable[..., Any] = getattr(cast[name], method)
    return send


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_may_not_write_changes_nothing(cast: Cast, template: Template, write: Write) -> None:
    method, path, body, refused, _ = write
    before = kept()
    arguments = [path.format(id=template.pk), *([] if body is None else [body])]
    answers = {name: sender(cast, name, method)(*arguments).status_code for name in refused}
    assert answers == refused
    assert kept() == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("name", ["editor", "admin"])
def test_who_may_write_does(cast: Cast, template: Template, write: Write, name: str) -> None:
    method, path, body, refused, status = write
    if name in refused:
        return
    before = kept()
    arguments = [path.format(id=template.pk), *([] if body is None else [body])]
    assert sender(cast, name, method)(*arguments).status_code == status
    assert len(kept()["accounts_auditentry"]) == len(before["accounts_auditentry"]) + 1


@pytest.mark.parametrize(("path", "body"), CREATIONS.values(), ids=CREATIONS)
def test_who_may_not_create_changes_nothing(cast: Cast, organisation: Organisation, path: str, body: Any) -> None:
    before = kept()
    refused = {"viewer": 403, "processor": 403, "nobody": 401}
    assert {name: cast[name].post(path, body).status_code for name in refused} == refused
    assert kept() == before


@pytest.mark.parametrize(("path", "body"), CREATIONS.values(), ids=CREATIONS)
def test_what_somebody_creates_is_in_their_own_organisation(
    cast: Cast, organisation: Organisation, other_organisation: Organisation, path: str, body: Any
) -> None:
    assert cast["editor"].post(path, body).status_code == 201
    assert cast["stranger"].post(path, body).status_code == 201
    assert cast["admin"].post(path, {**body, "name": "Another"}).status_code == 201
    assert Template.objects.in_organisation(organisation.pk).count() == 2
    assert Template.objects.in_organisation(other_organisation.pk).count() == 1


@pytest.mark.parametrize("path", READS)
def test_whoever_belongs_to_the_organisation_reads(cast: Cast, template: Template, path: str) -> None:
    answers = {name: api.get(path.format(id=template.pk)).status_code for name, api in cast.items()}
    assert answers == {"viewer": 200, "editor": 200, "admin": 200, **OUTSIDE}


@pytest.mark.parametrize("path", ["integration-catalog", "integration-catalog/ga4"])
def test_the_catalogue_is_for_everybody_but_processors(cast: Cast, path: str) -> None:
    answers = {name: api.get(path).status_code for name, api in cast.items()}
    assert answers == {"viewer": 200, "editor": 200, "admin": 200, "stranger": 200, "processor": 403, "nobody": 401}


def test_a_list_holds_only_what_belongs_to_the_organisation(cast: Cast, template: Template) -> None:
    assert [shown["id"] for shown in cast["viewer"].get("integration-templates").json()["templates"]] == [template.pk]
    assert cast["stranger"].get("integration-templates").json()["templates"] == []
