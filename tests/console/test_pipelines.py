"""Forms of a pipeline at the console: what they refuse, and what they never say again."""

from typing import Any

import pytest
from django.test import Client

from accounts.errors import Invalid
from accounts.models import Organisation, User
from pipelines.admin import pipelines
from pipelines.models import Label, Parameter, Pipeline
from pipelines.parameters import Wish, change_parameters
from pipelines.registry import create_pipeline, update_pipeline
from tests.console.pages import LIST, hidden, text_of
from tests.console.people import at_console, errors, everything
from tests.factories import PipelineFactory, TemplateFactory, system

PIPELINES = "/admin/pipelines/pipeline/"
NEW = f"{PIPELINES}new/"
CANARY = "canary-7f3a"
LONG = "b" * 64


@pytest.fixture
def editor(editor_user: User) -> Client:
    return at_console(editor_user)


@pytest.fixture
def pipeline(organisation: Organisation) -> Pipeline:
    made: Pipeline = PipelineFactory(organisation=organisation, parameters={"token": Wish("old", secret=True)})
    return made


def parameters(pipeline: Pipeline) -> str:
    return f"{PIPELINES}{pipeline.pk}/parameters/"


@pytest.mark.parametrize(
    "sent", [{"key": "new", "secret": "on"}, {"key": "token"}, {"key": " token "}, {"key": "not a key", "secret": "on"}]
)
def test_a_refused_secret_is_not_in_the_page_that_says_so(
    editor: Client, pipeline: Pipeline, sent: dict[str, str]
) -> None:
    before = everything()
    answer = editor.post(parameters(pipeline), {**sent, "value": f" {CANARY}", "tag": pipeline.tag})
    assert answer.status_code == 200
    assert errors(answer)
    assert CANARY not in answer.content.decode()
    assert everything() == before


def test_a_refused_value_that_is_no_secret_is_there_to_be_mended(editor: Client, pipeline: Pipeline) -> None:
    answer = editor.post(parameters(pipeline), {"key": "host", "value": f" {CANARY}", "tag": pipeline.tag})
    assert CANARY in answer.content.decode()


def test_white_space_around_a_value_is_kept_for_who_asks_for_it(editor: Client, pipeline: Pipeline) -> None:
    sent = {"key": "host", "value": " a ", "verbatim": "on", "tag": pipeline.tag}
    assert editor.post(parameters(pipeline), sent).status_code == 302
    assert Parameter.objects.get(pipeline=pipeline, key="host").value == " a "


def test_a_parameter_is_not_set_over_what_somebody_else_changed_meanwhile(
    editor: Client, organisation: Organisation, pipeline: Pipeline
) -> None:
    seen = hidden(editor.get(f"{parameters(pipeline)}?key=host"))
    change_parameters(actor=system(organisation), pipeline_id=pipeline.pk, wishes={"host": Wish("theirs")})
    for tag in (seen, {}):
        answer = editor.post(parameters(pipeline), {"key": "host", "value": "mine", **tag})
        assert "Someone changed this" in str(errors(answer))
    assert Parameter.objects.get(pipeline=pipeline, key="host").value == "theirs"
    again = hidden(editor.get(parameters(pipeline)))
    assert editor.post(parameters(pipeline), {"key": "host", "value": "mine", **again}).status_code == 302


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "Foo_BAR-"),
        ("slug", "a--b"),
        ("name", "a\u2028b"),
        ("labels", "a b!:c"),
        ("labels", f"a:{LONG}"),
        ("labels", f"{LONG}:a"),
    ],
)
def test_the_console_refuses_what_rest_refuses_next_to_the_field(
    editor: Client, pipeline: Pipeline, field: str, value: str
) -> None:
    before = everything()
    for address in (NEW, f"{PIPELINES}{pipeline.pk}/edit/"):
        sent = {"name": "Shop", "slug": "shop", "type": "web", "tag": pipeline.tag, field: value}
        assert list(errors(editor.post(address, sent))) == [field]
    assert everything() == before


def test_the_registry_names_everything_that_is_wrong_whoever_calls_it(
    organisation: Organisation, pipeline: Pipeline
) -> None:
    actor = system(organisation)
    labels = {"a b!": "c", "d": LONG, "fine": ""}
    fields = {"name": "a\u2028b", "slug": "Foo_BAR-"}
    with pytest.raises(Invalid) as made:
        create_pipeline(actor=actor, name=fields["name"], slug=fields["slug"], labels=labels)
    with pytest.raises(Invalid) as changed:
        update_pipeline(actor=actor, pipeline_id=pipeline.pk, fields=fields, labels=labels)
    expected = [
        ("name", "control_character"),
        ("slug", "invalid_slug"),
        ("labels/a b!", "invalid_label"),
        ("labels/d", "invalid_label"),
    ]
    for refused in (made, changed):
        assert [(detail.field, detail.code) for detail in refused.value.details] == expected


def test_a_label_from_before_the_rules_can_be_taken_away(
    editor: Client, organisation: Organisation, pipeline: Pipeline
) -> None:
    Label.objects.create(organisation_id=organisation.pk, pipeline=pipeline, key="a b!", value="c")
    sent = {"name": pipeline.name, "slug": pipeline.slug, "type": "web", "enabled": "on", "tag": pipeline.tag}
    assert editor.post(f"{PIPELINES}{pipeline.pk}/edit/", sent).status_code == 302
    assert not pipeline.labels.exists()


def test_forms_that_write_are_sent_once(admin_user: User, organisation: Organisation, pipeline: Pipeline) -> None:
    admin = at_console(admin_user)
    template = TemplateFactory(organisation=organisation)
    addresses = [
        NEW,
        f"{PIPELINES}{pipeline.pk}/delete/",
        f"{LIST}{template.pk}/revise/",
        "/admin/catalogue/meta_capi/install/",
    ]
    for address in addresses:
        page = admin.get(address).content.decode()
        assert " data-once>" in page, address
        assert "console/once.js" in page, address


def test_of_many_templates_the_one_to_assign_is_found_by_its_name(
    editor: Client, organisation: Organisation, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "TEMPLATES_OFFERED", 1)
    for name in ("Amplitude", "Meta"):
        TemplateFactory(organisation=organisation, name=name)
    address = f"{PIPELINES}{pipeline.pk}/assign/"
    assert offered(editor.get(address)) == ["Amplitude"]
    assert "There are more templates than this list holds." in editor.get(address).content.decode()
    found = editor.get(address, {"q": "met"})
    assert offered(found) == ["Meta"]
    revision = found.context["form"].fields["revision"].choices[0][1][0][0]
    assert editor.post(f"{address}?q=met", {"revision": revision}).status_code == 302
    assert pipeline.pins.get().template.name == "Meta"
    nothing = text_of(editor.get(address, {"q": "nothing"}))
    assert "No template that is not on this pipeline yet fits “nothing”." in nothing


def offered(page: Any) -> list[str]:
    return [name for name, _ in page.context["form"].fields["revision"].choices]
