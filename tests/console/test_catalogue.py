"""The catalogue in the console: browsed by category, searched, and installed from with the vendor's own form."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Organisation, User
from accounts.roles import Role
from integrations.models import Template
from integrations.revisions import whole_config
from integrations.vendors import VENDORS
from tests.conftest import user
from tests.console.pages import hidden
from tests.console.people import at_console, everything
from tests.factories import TemplateFactory, revision_of
from tests.queries import assert_same_queries, count_queries

CATALOGUE = "/admin/catalogue/"


@pytest.fixture
def viewing(viewer_user: User) -> Client:
    return at_console(viewer_user)


@pytest.fixture
def editing(editor_user: User) -> Client:
    return at_console(editor_user)


def names(answer: Any) -> dict[str, list[str]]:
    return {category: [vendor.name for vendor, _ in vendors] for category, vendors in answer.context["groups"]}


def test_every_vendor_stands_in_its_category(viewing: Client) -> None:
    groups = names(viewing.get(CATALOGUE))
    assert list(groups) == [
        "Advertising",
        "Analytics",
        "Customer engagement",
        "Social networks",
        "Streams and webhooks",
        "Warehouses and storage",
    ]
    assert sum(map(len, groups.values())) == len(VENDORS)


def test_the_search_reads_names_and_descriptions(viewing: Client) -> None:
    assert names(viewing.get(f"{CATALOGUE}?q=JSON+to+any+http")) == {"Streams and webhooks": ["Webhook"]}
    nothing = viewing.get(f"{CATALOGUE}?q=%3Cscript%3E")
    assert names(nothing) == {}
    assert "No vendor fits “&lt;script&gt;”." in nothing.content.decode()


def test_templates_are_counted_in_ones_own_organisation_only(
    viewing: Client, organisation: Organisation, other_organisation: Organisation
) -> None:
    TemplateFactory(organisation=organisation, name="Ours", vendor="webhook")
    TemplateFactory(organisation=other_organisation, name="Theirs", vendor="webhook")
    counts = {vendor.key: count for _, vendors in viewing.get(CATALOGUE).context["groups"] for vendor, count in vendors}
    assert (counts["webhook"], counts["ga4"]) == (1, 0)
    page = viewing.get(f"{CATALOGUE}webhook/")
    assert [template.name for template in page.context["templates"]] == ["Ours"]


@pytest.mark.parametrize("key", sorted(VENDORS))
def test_every_vendor_has_a_page_and_a_form_with_all_its_fields(key: str, editing: Client) -> None:
    assert editing.get(f"{CATALOGUE}{key}/").status_code == 200
    form = editing.get(f"{CATALOGUE}{key}/install/").context["form"]
    assert [row.entry.field.key for row in form.rows] == [field.key for field in VENDORS[key].fields]
    assert all(field.label for field in form)


def test_a_vendor_that_is_not_in_the_catalogue_is_not_there(editing: Client) -> None:
    assert editing.get(f"{CATALOGUE}nowhere/").status_code == 404
    assert editing.get(f"{CATALOGUE}nowhere/install/").status_code == 404


def test_only_editors_and_admins_install(
    viewing: Client, editing: Client, admin_user: User, other_organisation: Organisation
) -> None:
    sent = {"name": "Hook", "field_url": "https://x.example"}
    strange = at_console(user(other_organisation, "admin@elsewhere.example", Role.ADMIN))
    before = everything()
    assert viewing.get(f"{CATALOGUE}webhook/install/").status_code == 403
    assert viewing.post(f"{CATALOGUE}webhook/install/", sent).status_code == 403
    assert Client().post(f"{CATALOGUE}webhook/install/", sent).status_code == 403
    assert everything() == before
    for client in (editing, strange):
        assert client.post(f"{CATALOGUE}webhook/install/", sent).status_code == 302
    made = Template.objects.filter(name="Hook").order_by("organisation__name")
    assert [template.organisation.name for template in made] == ["Acme", "Elsewhere"]
    again = at_console(admin_user).post(f"{CATALOGUE}webhook/install/", sent)
    message = "A template with this name exists already. Use another name."
    assert again.context["form"].errors == {"name": [message]}


def test_a_viewer_sees_no_install_button(viewing: Client, editing: Client) -> None:
    link = 'href="/admin/catalogue/webhook/install/"'
    assert link not in viewing.get(f"{CATALOGUE}webhook/").content.decode()
    assert link in editing.get(f"{CATALOGUE}webhook/").content.decode()


def test_installing_a_variant_fills_in_what_is_usual(editing: Client) -> None:
    sent = {"name": "EU", "variant": "eu", "field_api_key": "amp-key", "field_min_id_length": "5"}
    answer = editing.post(f"{CATALOGUE}amplitude/install/", sent)
    made = Template.objects.get(name="EU")
    assert answer["Location"] == f"/admin/integrations/template/{made.pk}/"
    config = whole_config(revision_of(made))
    assert (config["region"], config["api_key"]) == ("EU", "amp-key")


def test_what_a_variant_also_needs_is_said_at_the_field_and_secrets_are_kept(editing: Client) -> None:
    sent = {"name": "Hook", "variant": "basic", "field_url": "https://x.example", "field_password": "typed-password"}
    refused = editing.post(f"{CATALOGUE}webhook/install/", sent)
    assert refused.context["form"].errors == {
        "field_username": ['Webhook needs "username" (User name): add it to the config.'],
    }
    assert "typed-password" not in refused.content.decode()
    mended = hidden(refused) | sent | {"field_username": "me", "field_password": ""}
    editing.post(f"{CATALOGUE}webhook/install/", mended)
    assert whole_config(revision_of(Template.objects.get(name="Hook"))) == {
        "auth_type": "basic",
        "url": "https://x.example",
        "username": "me",
        "password": "typed-password",
    }


def test_numbers_choices_and_flags_get_their_json_types(editing: Client) -> None:
    sent = {
        "name": "Hook",
        "field_url": "https://x.example",
        "field_method": "PUT",
        "field_timeout_seconds": "2.5",
        "other": '{"retries": 3}',
    }
    answer = editing.post(f"{CATALOGUE}webhook/install/", sent, follow=True)
    made = revision_of(Template.objects.get(name="Hook"))
    assert made.config == {"retries": 3, "url": "https://x.example", "method": "PUT", "timeout_seconds": 2.5}
    assert "Webhook has no field &quot;retries&quot;. It is kept as it is." in answer.content.decode()


def test_what_is_no_number_is_refused_at_its_field_and_stays_typed(editing: Client) -> None:
    sent = {"name": "Hook", "field_url": "https://x.example", "field_timeout_seconds": "soon"}
    answer = editing.post(f"{CATALOGUE}webhook/install/", sent)
    form = answer.context["form"]
    assert list(form.errors) == ["field_timeout_seconds"]
    assert form["field_timeout_seconds"].value() == "soon"
    assert Template.objects.count() == 0


def test_a_private_key_keeps_its_lines(editing: Client) -> None:
    fields = {field.key: "x" for field in VENDORS["snowflake"].fields if field.required}
    sent = {f"field_{key}": value for key, value in fields.items()} | {
        "name": "Snow",
        "field_private_key": "-----BEGIN\r\nkey\r\n-----END",
    }
    answer = editing.post(f"{CATALOGUE}snowflake/install/", sent)
    assert answer.status_code == 302
    assert whole_config(revision_of(Template.objects.get(name="Snow")))["private_key"] == "-----BEGIN\nkey\n-----END"


def test_pages_take_as_many_statements_for_many_templates_as_for_few(
    editing: Client, organisation: Organisation
) -> None:
    def measured(address: str) -> Any:
        with count_queries() as queries:
            assert editing.get(address).status_code == 200
        return queries

    addresses = (CATALOGUE, f"{CATALOGUE}webhook/", f"{CATALOGUE}webhook/install/")
    TemplateFactory(organisation=organisation, vendor="webhook")
    few = [measured(address) for address in addresses]
    for _ in range(30):
        TemplateFactory(organisation=organisation, vendor="webhook")
    for address, before in zip(addresses, few, strict=True):
        after = measured(address)
        assert_same_queries(before, after)
        assert len(after) <= 20
