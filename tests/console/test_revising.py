"""The form of a new revision: what it changes is seen before it is saved, and nothing that was typed is lost or shown."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organisation, User
from integrations.models import Revision, Template
from integrations.revisions import create_revision, whole_config
from pipelines.parameters import Wish
from tests.console.pages import LIST, META, hidden, text_of
from tests.console.people import at_console, told
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.queries import count_queries


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, name="Meta", revisions=3)
    return made


@pytest.fixture
def editing(editor_user: User) -> Client:
    return at_console(editor_user)


@pytest.fixture
def governing(admin_user: User) -> Client:
    return at_console(admin_user)


def revise(client: Client, template: Template, values: dict[str, str], *, base: str = "") -> Any:
    """Open the form, fill it in, and ask for the difference."""
    opened = client.get(f"{LIST}{template.pk}/revise/", {"base": base} if base else {})
    return client.post(f"{LIST}{template.pk}/revise/", hidden(opened) | values | {"do": "review"})


def save(client: Client, template: Template, reviewed: Any, values: dict[str, str]) -> Any:
    return client.post(f"{LIST}{template.pk}/revise/", hidden(reviewed) | values | {"do": "save"}, follow=True)


def test_a_new_revision_shows_its_difference_and_is_saved_by_the_second_button(
    editing: Client, template: Template
) -> None:
    values = META | {"field_pixel_id": "99", "change_summary": "Another pixel"}
    reviewed = revise(editing, template, values)
    assert reviewed.context["review"].comparisons[0].lines == [("/pixel_id", "1234567890", "99", "")]
    assert template.revisions.count() == 3
    answer = save(editing, template, reviewed, values)
    made = revision_of(Template.objects.get(pk=template.pk))
    assert answer.redirect_chain == [(f"{LIST}{template.pk}/revisions/4/", 302)]
    assert (made.number, made.change_summary, made.actor_label) == (4, "Another pixel", "editor@acme.example")
    assert whole_config(made) == {"pixel_id": "99", "access_token": "EAAB-secret"}


def test_a_typed_secret_survives_to_the_save_and_is_never_on_a_page(editing: Client, template: Template) -> None:
    reviewed = revise(editing, template, META | {"field_access_token": "typed-in-the-form"})
    assert reviewed.context["review"].comparisons[0].lines == [("/access_token", "***", "***", "a secret, hidden")]
    answer = save(editing, template, reviewed, META)
    assert whole_config(revision_of(Template.objects.get(pk=template.pk)))["access_token"] == "typed-in-the-form"
    assert b"typed-in-the-form" not in reviewed.content + answer.content


def test_a_typed_secret_survives_an_error_as_well(editing: Client, template: Template) -> None:
    refused = revise(editing, template, META | {"field_pixel_id": "", "field_access_token": "typed-before"})
    assert b"typed-before" not in refused.content
    again = META | {"do": "review"}
    reviewed = editing.post(f"{LIST}{template.pk}/revise/", hidden(refused) | again)
    save(editing, template, reviewed, META)
    assert whole_config(revision_of(Template.objects.get(pk=template.pk)))["access_token"] == "typed-before"


def test_sealed_secrets_open_for_nobody_else(editing: Client, governing: Client, template: Template) -> None:
    reviewed = revise(editing, template, META | {"field_access_token": "mine"})
    answer = save(governing, template, reviewed, META)
    assert "The secrets you typed before could not be read back. Type them again." in text_of(answer)
    assert template.revisions.count() == 3


def test_errors_of_the_service_stand_at_their_fields(editing: Client, template: Template) -> None:
    answer = revise(editing, template, {"field_pixel_id": "", "delivery_mode": "server_side"})
    assert answer.context["form"].errors == {
        "field_pixel_id": ['Meta Conversions API needs "pixel_id" (Pixel (dataset) ID): add it to the config.']
    }
    page = answer.content.decode()
    assert 'aria-describedby="id_field_pixel_id_helptext id_field_pixel_id_error"' in page
    assert 'id="id_field_pixel_id_error"' in page


def test_a_malformed_placeholder_is_said_at_its_field(editing: Client, template: Template) -> None:
    answer = revise(editing, template, META | {"field_pixel_id": "{{pipeline_params.x}}"})
    assert list(answer.context["form"].errors) == ["field_pixel_id"]
    assert answer.context["form"]["field_pixel_id"].value() == "{{pipeline_params.x}}"


def test_any_field_takes_a_placeholder(editing: Client, organisation: Organisation) -> None:
    hook = TemplateFactory(organisation=organisation, vendor="webhook")
    values = {
        "field_url": "https://{{pipeline_param.host}}/",
        "field_method": "POST",
        "field_method_instead": "{{pipeline_param.method}}",
        "field_timeout_seconds": "{{pipeline_param.timeout}}",
        "delivery_mode": "hybrid",
    }
    save(editing, hook, revise(editing, hook, values), values)
    made = revision_of(Template.objects.get(pk=hook.pk))
    assert made.config == {
        "url": "https://{{pipeline_param.host}}/",
        "method": "{{pipeline_param.method}}",
        "timeout_seconds": "{{pipeline_param.timeout}}",
    }
    assert (made.parameters_used, made.delivery_mode) == (["host", "method", "timeout"], "hybrid")


def test_headers_keep_add_replace_and_lose_their_secrets(editing: Client, organisation: Organisation) -> None:
    config = {"url": "https://x.example", "headers": {"A": "a-secret", "B": "b-secret", "C": "c-secret"}}
    hook = TemplateFactory(organisation=organisation, vendor="webhook", config=config)
    opened = editing.get(f"{LIST}{hook.pk}/revise/").content.decode()
    assert re.findall(r'name="field_headers_key_\d"(?: value="(\w+)")?', opened) == ["A", "B", "C", "", "", ""]
    first = {
        "field_url": "https://x.example",
        "field_headers_key_0": "A",
        "field_headers_key_1": "B",
        "field_headers_value_1": "b-typed",
        "field_headers_key_2": "",
        "field_headers_key_3": "D",
        "field_headers_value_3": "d-typed",
        "delivery_mode": "server_side",
    }
    reviewed = revise(editing, hook, first)
    assert b"typed" not in re.sub(rb'name="typed"', b"", reviewed.content).replace(b"You typed a new one", b"")
    second = {name: value for name, value in first.items() if "_value_" not in name}
    save(editing, hook, reviewed, second)
    made = revision_of(Template.objects.get(pk=hook.pk))
    assert whole_config(made)["headers"] == {"A": "a-secret", "B": "b-typed", "D": "d-typed"}


def test_a_header_without_value_is_refused_at_its_row(editing: Client, organisation: Organisation) -> None:
    hook = TemplateFactory(organisation=organisation, vendor="webhook")
    values = {"field_url": "https://x.example", "field_headers_key_1": "New", "delivery_mode": "server_side"}
    answer = revise(editing, hook, values)
    assert list(answer.context["form"].errors) == ["field_headers_value_1"]


def test_an_optional_secret_can_be_removed(editing: Client, organisation: Organisation) -> None:
    config = {"pixel_id": "1", "access_token": "a", "app_secret": "b"}
    meta = TemplateFactory(organisation=organisation, config=config)
    values = META | {"field_pixel_id": "1", "field_app_secret_remove": "on"}
    save(editing, meta, revise(editing, meta, values), values)
    made = revision_of(Template.objects.get(pk=meta.pk))
    assert whole_config(made) == {"pixel_id": "1", "access_token": "a"}


def test_fields_the_vendor_does_not_know_stay_as_they_are_with_their_secrets_masked(
    editing: Client, organisation: Organisation
) -> None:
    config = {"pixel_id": "1", "access_token": "a", "acces_token": "misspelt-secret", "more": {"deep": [1, None, 1.5]}}
    meta = TemplateFactory(organisation=organisation, config=config)
    opened = editing.get(f"{LIST}{meta.pk}/revise/")
    rest = opened.context["form"]["other"].value()
    assert "misspelt-secret" not in opened.content.decode()
    values = META | {"field_pixel_id": "2", "other": rest}
    reviewed = revise(editing, meta, values)
    assert [line[0] for line in reviewed.context["review"].comparisons[0].lines] == ["/pixel_id"]
    assert "Did you mean &quot;access_token&quot;?" in reviewed.content.decode()
    save(editing, meta, reviewed, values)
    assert whole_config(revision_of(Template.objects.get(pk=meta.pk))) == config | {"pixel_id": "2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This is not JSON: Expecting property name enclosed in double quotes at line 1, column 2."),
        ("[1]", "Write a JSON object, such as {&quot;name&quot;: &quot;value&quot;}."),
        ('{"a": NaN}', "NaN is not JSON. Write a number, a string or null."),
        ('{"a": 1, "a": 2}', "A key stands twice in one object. Write it once."),
        ('{"a": 1e999}', "There is a number in it that is too large to be read."),
        ('{"pixel_id": "2"}', "“pixel_id” has its own field above. Use that, or leave it empty."),
        ("[" * 100_000, "This is nested too deep. At most 64 levels are read."),
    ],
)
def test_other_fields_must_be_strict_json(text: str, message: str, editing: Client, template: Template) -> None:
    answer = revise(editing, template, META | {"other": text})
    assert list(answer.context["form"].errors) == ["other"]
    assert message in answer.content.decode()


def test_a_revision_made_meanwhile_shows_the_conflict_and_loses_nothing(editing: Client, template: Template) -> None:
    values = META | {"field_pixel_id": "99", "field_access_token": "typed-token"}
    reviewed = revise(editing, template, values)
    theirs = {"pixel_id": "55", "access_token": "theirs"}
    create_revision(actor=system(template.organisation), template_id=template.pk, config=theirs, change_summary="Quick")
    without_secret = values | {"field_access_token": ""}
    with count_queries() as queries:
        conflict = save(editing, template, reviewed, without_secret)
    assert len(queries) <= 20, str(queries)
    assert "Somebody saved a revision since you opened this form." in text_of(conflict)
    assert "tests made v4 (“Quick”)" in text_of(conflict)
    assert conflict.context["form"]["field_pixel_id"].value() == "99"
    assert [comparison.title for comparison in conflict.context["review"].comparisons] == [
        "What changes from v3",
        "What changes from the latest, v4",
    ]
    assert Revision.objects.filter(template=template).count() == 4
    save(editing, template, conflict, without_secret)
    made = revision_of(Template.objects.get(pk=template.pk))
    assert (made.number, whole_config(made)) == (5, {"pixel_id": "99", "access_token": "typed-token"})


def test_a_double_click_saves_once(editing: Client, template: Template) -> None:
    reviewed = revise(editing, template, META)
    save(editing, template, reviewed, META)
    again = save(editing, template, reviewed, META)
    assert again.redirect_chain == [(f"{LIST}{template.pk}/revisions/4/", 302)]
    assert told(again) == ["This form has been sent already, and what it asked for has been done once."]
    assert template.revisions.count() == 4


def test_what_was_changed_after_the_difference_is_shown_again_before_it_is_saved(
    editing: Client, template: Template
) -> None:
    reviewed = revise(editing, template, META)
    answer = save(editing, template, reviewed, META | {"field_pixel_id": "other"})
    assert "You changed something since the difference was shown." in text_of(answer)
    assert template.revisions.count() == 3


def test_started_from_an_older_revision_its_secrets_are_kept(editing: Client, organisation: Organisation) -> None:
    meta = TemplateFactory(organisation=organisation, config={"pixel_id": "1", "access_token": "old"})
    newer = {"pixel_id": "1", "access_token": "new"}
    create_revision(actor=system(organisation), template_id=meta.pk, config=newer)
    values = META | {"field_pixel_id": "1"}
    reviewed = revise(editing, meta, values, base="1")
    assert [comparison.lines for comparison in reviewed.context["review"].comparisons] == [
        [],
        [("/access_token", "***", "***", "a secret, hidden")],
    ]
    save(editing, meta, reviewed, values)
    assert whole_config(revision_of(Template.objects.get(pk=meta.pk))) == {"pixel_id": "1", "access_token": "old"}


def test_the_first_revision_starts_from_nothing(editing: Client, organisation: Organisation) -> None:
    bare = TemplateFactory(organisation=organisation, revisions=0)
    values = META | {"field_access_token": "first"}
    reviewed = revise(editing, bare, values)
    assert [line[0] for line in reviewed.context["review"].comparisons[0].lines] == ["/pixel_id", "/access_token"]
    save(editing, bare, reviewed, values)
    assert whole_config(revision_of(Template.objects.get(pk=bare.pk)))["access_token"] == "first"


def test_the_difference_says_which_pipelines_could_not_run_it(editing: Client, organisation: Organisation) -> None:
    hook = TemplateFactory(organisation=organisation, vendor="webhook")
    for name, parameters in (
        ("Whole", {"host": Wish("x"), "timeout": Wish("5")}),
        ("Text", {"host": Wish("x"), "timeout": Wish("soon")}),
        ("Bare", {}),
    ):
        pipeline = PipelineFactory(organisation=organisation, name=name, parameters=parameters)
        PinFactory(organisation=organisation, template=hook, pipeline=pipeline)
    values = {
        "field_url": "https://{{pipeline_param.host}}/",
        "field_timeout_seconds": "{{pipeline_param.timeout}}",
        "delivery_mode": "server_side",
    }
    reviewed = revise(editing, hook, values)
    found = reviewed.context["review"].readiness
    assert found.failing == 2
    assert [pipeline.name for pipeline, _ in found.named] == ["Bare", "Text"]
    assert "2 enabled integrations could not move to it yet:" in text_of(reviewed)
