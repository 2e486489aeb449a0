"""Templates and their revisions in the console: seen, made, compared, retired, and refused to whom they should be."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organisation, User
from accounts.roles import Role
from integrations.models import Template
from integrations.revisions import create_revision, set_status
from integrations.templates import update_template
from pipelines.models import Pipeline
from pipelines.parameters import Wish
from tests.conftest import user
from tests.console.pages import LIST, META, hidden, text_of
from tests.console.people import at_console, everything
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.queries import assert_same_queries, count_queries


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, name="Meta", revisions=3)
    return made


@pytest.fixture
def viewing(viewer_user: User) -> Client:
    return at_console(viewer_user)


@pytest.fixture
def editing(editor_user: User) -> Client:
    return at_console(editor_user)


@pytest.fixture
def governing(admin_user: User) -> Client:
    return at_console(admin_user)


@pytest.fixture
def strange(other_organisation: Organisation) -> Client:
    return at_console(user(other_organisation, "admin@elsewhere.example", Role.ADMIN))


def test_the_list_counts_what_is_pinned_and_what_is_behind(viewing: Client, template: Template) -> None:
    for number in (1, 3, 3):
        PinFactory(organisation=template.organisation, template=template, number=number)
    rows = viewing.get(LIST).context["cl"].result_list
    assert [(row.name, row.latest_number, row.pin_count, row.behind_count) for row in rows] == [("Meta", 3, 3, 1)]


def test_the_list_filters_by_vendor_and_by_archived(viewing: Client, template: Template) -> None:
    hook = TemplateFactory(organisation=template.organisation, name="Hook", vendor="webhook")
    update_template(actor=system(template.organisation), template_id=hook.pk, archived=True)
    names = {
        query: [row.name for row in viewing.get(f"{LIST}?{query}").context["cl"].result_list]
        for query in ("", "vendor=webhook", "archived__exact=0", "q=met")
    }
    assert names == {
        "": ["Hook", "Meta"],
        "vendor=webhook": ["Hook"],
        "archived__exact=0": ["Meta"],
        "q=met": ["Meta"],
    }


def test_the_page_lists_revisions_newest_first_with_a_link_to_the_pins_at_each(
    viewing: Client, template: Template
) -> None:
    pin = PinFactory(organisation=template.organisation, template=template, number=2)
    PinFactory(organisation=template.organisation, template=template, number=3)
    answer = viewing.get(f"{LIST}{template.pk}/")
    shown = [(revision.number, count) for revision, count in answer.context["revisions"]]
    assert shown == [(3, 1), (2, 1), (1, 0)]
    address = f"/admin/pipelines/pin/?template={template.pk}&amp;revision={pin.revision_id}"
    assert address in answer.content.decode()
    pins = viewing.get(address.replace("&amp;", "&")).context["cl"].result_list
    assert [row.pk for row in pins] == [pin.pk]


def test_a_viewer_sees_no_button_that_would_be_refused(viewing: Client, governing: Client, template: Template) -> None:
    words = ["New template", "New revision", "Edit", "Archive", "Delete", "Deprecate", "Retire"]

    def offered(client: Client) -> list[str]:
        pages = [LIST, f"{LIST}{template.pk}/", f"{LIST}{template.pk}/revisions/2/"]
        links = [re.findall(r'class="button[^>]*>([^<]+)<', client.get(page).content.decode()) for page in pages]
        buttons = [label for page in links for label in page]
        return [word for word in words if any(label.startswith(word) for label in buttons)]

    assert offered(viewing) == []
    assert offered(governing) == words


@pytest.mark.parametrize(
    ("address", "editor"),
    [
        ("new/", 200),
        ("{key}/edit/", 200),
        ("{key}/archive/", 200),
        ("{key}/revise/", 200),
        ("{key}/revisions/1/status/retired/", 200),
        ("{key}/delete/", 403),
    ],
)
def test_who_may_open_what_writes(
    address: str, editor: int, viewing: Client, editing: Client, governing: Client, strange: Client, template: Template
) -> None:
    full = LIST + address.format(key=template.pk)
    doors = (viewing, editing, governing, strange, Client())
    answers = [door.get(full).status_code for door in doors]
    assert answers == [403, editor, 200, 200 if address == "new/" else 404, 302]


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("new/", {"name": "More", "vendor": "webhook"}),
        ("{key}/edit/", {"name": "Other", "tag": "4"}),
        ("{key}/archive/", {"archived": "true", "tag": "4"}),
        ("{key}/delete/", {"tag": "4"}),
        ("{key}/revise/", {**META, "field_access_token": "new", "seen": "3", "do": "save"}),
        ("{key}/revisions/1/status/retired/", {"tag": "1"}),
    ],
)
def test_what_a_viewer_or_a_stranger_sends_changes_nothing(
    address: str, sent: dict[str, str], viewing: Client, strange: Client, template: Template
) -> None:
    full = LIST + address.format(key=template.pk)
    before = everything()
    answers = [viewing.post(full, sent).status_code]
    if "{key}" in address:
        answers.append(strange.post(full, sent).status_code)
    assert answers == ([403, 404] if "{key}" in address else [403])
    assert everything() == before


def test_reading_pages_of_another_organisation_are_not_there(strange: Client, template: Template) -> None:
    pages = ["", "compare/", "revisions/1/"]
    assert [strange.get(f"{LIST}{template.pk}/{page}").status_code for page in pages] == [404, 404, 404]
    own = TemplateFactory(organisation=Organisation.objects.get(name="Elsewhere"))
    theirs = revision_of(template).pk
    assert strange.get(f"{LIST}{own.pk}/revisions/{theirs}/").status_code == 404
    assert strange.get(f"{LIST}{own.pk}/revise/?base={theirs}").status_code == 404
    assert strange.get(f"{LIST}{own.pk}/compare/?before={theirs}").status_code == 404


def test_a_new_template_leads_to_its_first_revision(editing: Client, organisation: Organisation) -> None:
    answer = editing.post(f"{LIST}new/", {"name": "Hook", "vendor": "webhook", "description": "a\r\nb"})
    made = Template.objects.get(name="Hook")
    assert (answer.status_code, answer["Location"]) == (302, f"{LIST}{made.pk}/revise/")
    assert (made.organisation, made.vendor, made.description) == (organisation, "webhook", "a\nb")


def test_a_name_in_use_is_said_at_the_name(editing: Client, template: Template) -> None:
    answer = editing.post(f"{LIST}new/", {"name": "Meta", "vendor": "webhook"})
    assert answer.context["form"].errors["name"] == ["A template with this name exists already. Use another name."]


def test_editing_after_someone_else_keeps_what_was_typed(editing: Client, template: Template) -> None:
    seen = template.tag
    update_template(actor=system(template.organisation), template_id=template.pk, description="theirs")
    answer = editing.post(f"{LIST}{template.pk}/edit/", {"name": "Mine", "description": "mine", "tag": seen})
    assert "Someone changed this since you read it." in text_of(answer)
    assert answer.context["form"]["name"].value() == "Mine"
    template.refresh_from_db()
    assert (template.name, template.description) == ("Meta", "theirs")


def test_archiving_and_taking_back(editing: Client, template: Template) -> None:
    for archived in (True, False):
        asked = editing.get(f"{LIST}{template.pk}/archive/")
        editing.post(f"{LIST}{template.pk}/archive/", hidden(asked))
        template.refresh_from_db()
        assert template.archived is archived


def test_an_archived_template_takes_no_revision(editing: Client, template: Template) -> None:
    update_template(actor=system(template.organisation), template_id=template.pk, archived=True)
    answer = editing.get(f"{LIST}{template.pk}/revise/", follow=True)
    assert answer.redirect_chain == [(f"{LIST}{template.pk}/", 302)]
    assert "Unarchive it before you add a revision." in text_of(answer)
    assert "New revision" not in text_of(answer)


def test_deleting_names_who_uses_it_and_is_not_offered(governing: Client, template: Template) -> None:
    pipeline = PipelineFactory(organisation=template.organisation, name="Web Shop")
    PinFactory(organisation=template.organisation, template=template, pipeline=pipeline)
    answer = governing.get(f"{LIST}{template.pk}/delete/")
    assert "1 pipeline uses this template." in text_of(answer)
    assert "Used by “Web Shop”." in text_of(answer)
    assert not re.search(r'<button type="submit" class="button', answer.content.decode())
    governing.post(f"{LIST}{template.pk}/delete/", {"tag": template.tag})
    assert Template.objects.in_organisation(template.organisation_id).count() == 1


def test_an_admin_deletes_what_nobody_uses(governing: Client, template: Template) -> None:
    asked = governing.get(f"{LIST}{template.pk}/delete/")
    answer = governing.post(f"{LIST}{template.pk}/delete/", hidden(asked))
    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert Template.objects.in_organisation(template.organisation_id).count() == 0


def test_a_revision_page_masks_secrets_and_names_who_uses_it(viewing: Client, template: Template) -> None:
    pipeline = PipelineFactory(organisation=template.organisation, name="Web Shop")
    PinFactory(organisation=template.organisation, template=template, pipeline=pipeline, number=2)
    answer = viewing.get(f"{LIST}{template.pk}/revisions/2/")
    assert answer.context["config"] == '{\n  "pixel_id": "1234567890",\n  "access_token": "***"\n}'
    assert [pin.pipeline.name for pin in answer.context["pins"]] == ["Web Shop"]
    assert "EAAB-secret" not in answer.content.decode()


def test_retiring_asks_first_and_says_how_many_stand_there(editing: Client, template: Template) -> None:
    PinFactory(organisation=template.organisation, template=template, number=2)
    address = f"{LIST}{template.pk}/revisions/2/status/retired/"
    asked = editing.get(address)
    assert "1 integration stands at revision 2, which is active now." in text_of(asked)
    assert revision_of(template, 2).status == "active"
    answer = editing.post(address, {"tag": "1", "reason": "Wrong pixel"}, follow=True)
    found = revision_of(template, 2)
    assert (found.status, found.standing.reason) == ("retired", "Wrong pixel")
    assert "Meta v2 is retired." in text_of(answer)


def test_a_status_changed_meanwhile_is_not_overwritten(editing: Client, template: Template) -> None:
    set_status(actor=system(template.organisation), template_id=template.pk, revision="2", status="deprecated")
    address = f"{LIST}{template.pk}/revisions/2/status/retired/"
    answer = editing.post(address, {"tag": "1"}, follow=True)
    assert "Someone changed this since you read it." in text_of(answer)
    assert revision_of(template, 2).status == "deprecated"


def test_any_two_revisions_are_compared(viewing: Client, organisation: Organisation) -> None:
    hook = TemplateFactory(organisation=organisation, vendor="webhook", config={"url": "https://old.example"})
    config = {"url": "https://{{pipeline_param.host}}/", "bearer_token": "hush"}
    create_revision(actor=system(organisation), template_id=hook.pk, config=config)
    answer = viewing.get(f"{LIST}{hook.pk}/compare/", {"before": "2", "after": "1"})
    comparison = answer.context["comparison"]
    assert comparison.lines == [
        ("/url", "https://{{pipeline_param.host}}/", "https://old.example", ""),
        ("/bearer_token", "***", "", "a secret, hidden"),
    ]
    assert comparison.no_longer_used == ("host",)
    assert "hush" not in answer.content.decode()


def test_two_revisions_are_compared_as_a_pipeline_would_run_them(viewing: Client, organisation: Organisation) -> None:
    hook = TemplateFactory(organisation=organisation, vendor="webhook", config={"url": "https://old.example"})
    config = {"url": "https://{{pipeline_param.host}}/"}
    create_revision(actor=system(organisation), template_id=hook.pk, config=config)
    PipelineFactory(organisation=organisation, name="Web Shop", parameters={"host": Wish("shop.example")})
    bare: Pipeline = PipelineFactory(organisation=organisation, name="Bare")
    ask = {"before": "1", "after": "2"}
    shop = viewing.get(f"{LIST}{hook.pk}/compare/", ask | {"pipeline": "Web Shop"})
    assert shop.context["comparison"].lines == [("/url", "https://old.example", "https://shop.example/", "")]
    cannot = viewing.get(f"{LIST}{hook.pk}/compare/", ask | {"pipeline": bare.pk})
    assert cannot.context["comparison"] is None
    assert "Set the parameter host on this pipeline" in cannot.context["refusal"]
    unknown = viewing.get(f"{LIST}{hook.pk}/compare/", ask | {"pipeline": "Nowhere"})
    assert unknown.context["refusal"] == "There is no pipeline “Nowhere”. Write its name, slug or id."


def test_pages_take_as_many_statements_for_many_rows_as_for_few(editing: Client, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, vendor="ga4", name="GA4")
    parameters = {"ga4_measurement_id": Wish("G-1")}
    values = {"field_measurement_id": "{{pipeline_param.other}}", "delivery_mode": "server_side", "seen": "1"}
    pages: dict[str, Callable[[], Any]] = {
        "list": lambda: editing.get(LIST),
        "page": lambda: editing.get(f"{LIST}{template.pk}/"),
        "revision": lambda: editing.get(f"{LIST}{template.pk}/revisions/1/"),
        "compare": lambda: editing.get(f"{LIST}{template.pk}/compare/"),
        "form": lambda: editing.get(f"{LIST}{template.pk}/revise/?base=1"),
        "review": lambda: editing.post(f"{LIST}{template.pk}/revise/", values | {"base": "1", "do": "review"}),
    }

    def grow(count: int) -> None:
        for _ in range(count):
            pipeline = PipelineFactory(organisation=organisation, parameters=parameters)
            PinFactory(organisation=organisation, template=template, pipeline=pipeline, number=1)
            create_revision(
                actor=system(organisation),
                template_id=template.pk,
                config={"measurement_id": "{{pipeline_param.ga4_measurement_id}}", "api_secret": "s"},
            )
            TemplateFactory(organisation=organisation)

    def measured() -> dict[str, Any]:
        found = {}
        for name, opened in pages.items():
            with count_queries() as queries:
                assert opened().status_code == 200
            found[name] = queries
        return found

    grow(2)
    few = measured()
    grow(20)
    many = measured()
    for name, queries in few.items():
        assert_same_queries(queries, many[name])
        assert len(queries) <= 20, f"{name}: {queries}"
