"""Every address of the console, taken from the address map itself, tried by everybody who should get nowhere there."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import ApiToken, AuditEntry, Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from integrations.models import Revision, Template
from pipelines.admin.site import PAGES
from pipelines.models import Pin, Pipeline, Rollout
from pipelines.rollouts.plans import plan_rollout
from tests.console.people import at_console, everything
from tests.factories import PASSWORD, PinFactory, UserFactory, revision_of, system

# What stands for a parameter that names no row; a row's id stands for every other.
PLAIN = {"name": "enable", "kind": "csv", "number": "1", "status": "retired", "content_type_id": "1"}
PUBLIC = {"login", "logout"}
FOR_ADMINS = {User, ApiToken, AuditEntry}
# No row of an organisation stands in these addresses: the home page, the catalogue that is part of the program, and
# what people do with their own account.
OF_NOBODY = {
    "index",
    "fleet",
    "catalogue",
    "catalogue_vendor",
    "catalogue_install",
    "choose_organisation",
    "password_change",
    "password_change_done",
    "autocomplete",
    "jsi18n",
    "view_on_site",
    "app_list",
}
LISTS = ("changelist", "new", "export", "plan")
NEEDED = {"pipelines_pin_move": {"revision": "1"}}  # what an address asks for besides
METHODS = ("get", "post")
Rows = dict[type[Model], Model]


def console_patterns() -> Iterator[tuple[str, URLPattern]]:
    """Every named address below /admin/, as (prefix, pattern)."""
    console = next(entry for entry in get_resolver().url_patterns if getattr(entry, "namespace", None) == "admin")
    assert isinstance(console, URLResolver)
    yield from _below(console, "/admin/")


def _below(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _below(entry, prefix + str(entry.pattern))
        elif entry.name:
            yield prefix, entry


ADDRESSES = {str(pattern.name): (prefix, pattern) for prefix, pattern in console_patterns()}
OF_A_ROW = sorted(
    name for name in ADDRESSES if name not in PUBLIC | OF_NOBODY and not name.endswith(LISTS)
)  # fmt: skip


def model_of(name: str) -> type[Model]:
    """The model whose pages this address belongs to."""
    return next(
        model
        for model in PAGES
        if name.startswith(f"{model._meta.app_label}_{model._meta.model_name}_")
    )  # fmt: skip


def address(name: str, rows: Rows) -> str:
    """This address with the rows' ids in it, and something plain for what is no id."""
    if name == "app_list":
        return "/admin/pipelines/"
    prefix, pattern = ADDRESSES[name]
    text = prefix + str(pattern.pattern)
    for parameter, converter in pattern.pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
        row = "webhook" if name in OF_NOBODY else str(rows[model_of(name)].pk)
        value = PLAIN.get(parameter, row)
        text = text.replace(f"<{kind}:{parameter}>", value).replace(f"<{parameter}>", value)
    assert "<" not in text, f"{text}: name a value for its parameter in PLAIN."
    return text


def rows_in(organisation: Organisation) -> Rows:
    """One of everything that has a page."""
    pin: Pin = PinFactory(organisation=organisation)
    token, _ = issue_token(actor=system(organisation), name="Feed", scope=Role.PROCESSOR)
    entry = AuditEntry.objects.filter(organisation=organisation).latest("pk")
    rows: Rows = {
        Pipeline: pin.pipeline,
        Pin: pin,
        Rollout: plan_rollout(actor=system(organisation), template_id=pin.template_id),
        Template: pin.template,
        Revision: revision_of(pin.template),
        User: UserFactory(organisation=organisation, role=Role.EDITOR),
        ApiToken: token,
        AuditEntry: entry,
    }
    assert set(PAGES) <= set(rows), "Make a row of every model that has a page."
    return rows


@pytest.fixture
def ours(organisation: Organisation) -> Rows:
    return rows_in(organisation)


@pytest.fixture
def theirs(other_organisation: Organisation) -> Rows:
    return rows_in(other_organisation)


@pytest.fixture
def people(
    viewer_user: User, editor_user: User, admin_user: User, other_organisation: Organisation
) -> dict[str, Client]:
    stranger = UserFactory(organisation=other_organisation, role=Role.ADMIN)
    return {
        "viewer": at_console(viewer_user),
        "editor": at_console(editor_user),
        "admin": at_console(admin_user),
        "stranger": at_console(stranger),
    }


def sent(client: Client, method: str, where: str) -> Any:
    return getattr(client, method)(where)


def test_another_organisations_rows_are_not_there_for_anybody(
    people: dict[str, Client], ours: Rows, theirs: Rows
) -> None:
    """404 for who could do it at home; 403 comes first where the role is too low for the page at all."""
    before = everything()
    answers = {}
    for name in OF_A_ROW:
        for who, client in people.items():
            where = address(name, ours if who == "stranger" else theirs)
            for method in METHODS:
                answers[who, method, where] = sent(client, method, where).status_code
    assert {key: status for key, status in answers.items() if status not in (403, 404)} == {}
    highest = {key: status for key, status in answers.items() if key[0] in ("admin", "stranger")}
    assert {key: status for key, status in highest.items() if status != 404} == {}
    assert everything() == before


def test_nobody_is_led_to_the_login_from_every_address(client: Client, ours: Rows) -> None:
    """A page leads there; a form, which would be lost on the way, is answered with the login itself."""
    before = everything()
    answers = {}
    for name in sorted(ADDRESSES.keys() - PUBLIC):
        where = address(name, ours)
        page, form = client.get(where), client.post(where, {"form_key": "x"})
        answers[where] = page.status_code, page["Location"].split("?")[0], form.status_code, form.templates[0].name
    expected = (302, "/admin/login/", 403, "admin/login.html")
    assert {where: answer for where, answer in answers.items() if answer != expected} == {}
    assert everything() == before


@pytest.mark.parametrize("who", ["viewer", "editor"])
def test_the_pages_for_admins_are_closed_to_everybody_else(people: dict[str, Client], ours: Rows, who: str) -> None:
    names = [name for name in ADDRESSES if name not in PUBLIC | OF_NOBODY and model_of(name) in FOR_ADMINS]
    assert len(names) > 10
    before = everything()
    answers = {
        (method, name): sent(people[who], method, address(name, ours)).status_code
        for name in names
        for method in METHODS
    }
    assert {key: status for key, status in answers.items() if status != 403} == {}
    assert everything() == before


def test_a_viewer_changes_nothing_whatever_they_send_and_wherever(people: dict[str, Client], ours: Rows) -> None:
    pin = ours[Pin]
    assert isinstance(pin, Pin)
    body = everything_sent(pin)
    before = everything()
    assert sent_everywhere(people["viewer"], body, ours) == {}
    assert everything() == before


def test_no_form_changes_anything_without_a_key_of_its_page(
    people: dict[str, Client], ours: Rows, admin_user: User
) -> None:
    """So that no page, whoever adds it, can be sent twice, or act on a form that nobody has looked at again."""
    pin = ours[Pin]
    assert isinstance(pin, Pin)
    before = everything()
    assert sent_everywhere(people["admin"], everything_sent(pin) | {"form_key": ""}, ours) == {}
    assert everything() == before
    acting = [name for name in sorted(ADDRESSES.keys() - PUBLIC) if acts_with_a_key(people["admin"], name, ours, pin)]
    assert len(acting) > 12, f"These act with a key, so that the refusals above are refusals: {acting}"


def acts_with_a_key(admin: Client, name: str, rows: Rows, pin: Pin) -> bool:
    before = everything()
    with transaction.atomic():
        admin.post(address(name, rows), everything_sent(pin) | tag_for(name, rows))
        has_acted = everything() != before
        transaction.set_rollback(True)
    return has_acted


def everything_sent(pin: Pin) -> dict[str, str]:
    """What the forms of the console ask for, as far as one set of fields can say it."""
    return {
        "tag": pin.tag,
        "seen": f"{pin.pk}:{pin.tag}",
        "confirmed": "yes",
        "name": "Changed",
        "type": "web",
        "key": "changed",
        "value": "changed",
        "revision": pin.revision_id,
        "status": "retired",
        "reason": "changed",
        "vendor": "webhook",
        "field_url": "https://changed.example",
        "email": "changed@acme.example",
        "role": "viewer",
        "scope": "viewer",
        "password": PASSWORD,
        "again": PASSWORD,
    }


def sent_everywhere(client: Client, body: dict[str, str], rows: Rows) -> dict[str, int]:
    """The names of the addresses at which sending this goes wrong, rather than being refused."""
    names = sorted(ADDRESSES.keys() - PUBLIC)
    answers = {name: client.post(address(name, rows), body | tag_for(name, rows)).status_code for name in names}
    return {name: status for name, status in answers.items() if status >= 500}


def tag_for(name: str, rows: Rows) -> dict[str, str]:
    """What the row of this address is at, as its page would say."""
    row = None if name in OF_NOBODY else rows[Revision if name.endswith("_status") else model_of(name)]
    return {"tag": row.tag} if row and hasattr(row, "tag") else {}


def test_the_pages_of_ones_own_organisation_open_for_the_admin(people: dict[str, Client], ours: Rows) -> None:
    """So that the refusals above are refusals, and not addresses that nobody can open."""
    opened = [
        name
        for name in ADDRESSES.keys() - PUBLIC - OF_NOBODY
        if people["admin"].get(address(name, ours), NEEDED.get(name)).status_code in (200, 302)
    ]
    closed = sorted(ADDRESSES.keys() - PUBLIC - OF_NOBODY - set(opened))
    assert closed == []
