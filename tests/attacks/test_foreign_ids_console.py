"""The ids of another organisation, in every address, query parameter and form field of the console: as if no row had them.

Addresses come from the address map. What each of them reads of a query or a form is not listed either: each is asked
once while the names are noted that it looks up.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from django.db import reset_queries, transaction
from django.http import QueryDict
from django.test import Client
from django.utils.datastructures import MultiValueDict

from accounts.models import Organisation, User
from pipelines.admin.site import PAGES
from pipelines.models import Pin
from tests.attacks.organisations import Ids, everything, ids_in, missing, nowhere, told
from tests.committed import Rows, rows_of
from tests.console.people import at_console
from tests.console.test_roles import (
    ADDRESSES,
    NEEDED,
    OF_A_ROW,
    OF_NOBODY,
    PUBLIC,
    address,
    everything_sent,
    model_of,
    rows_in,
    tag_for,
)
from tests.console.test_roles import Rows as OneOfEach
from tests.queries import count_queries

EXHAUSTIVE = "FUZZ_EXAMPLES" in os.environ
NAMES = sorted(ADDRESSES.keys() - PUBLIC)
OF_FORMS = {"csrfmiddlewaretoken", "form_key"}  # signed for who sends them
OF_PAGES = {"before", "after"}  # a place in a list, which is a number, whether a row has it or not
SEVERAL = {"_selected_action", "pins", "seen"}  # in which an id of one's own can stand beside


@dataclass(frozen=True)
class Page:
    """An address of the console, and what is sent to it."""

    method: str
    where: str
    sent: Mapping[str, Any]

    def holding(self, name: str, value: Any) -> "Page":
        return Page(self.method, self.where, {**self.sent, name: value})


@pytest.fixture
def ours(organisation: Organisation) -> OneOfEach:
    return rows_in(organisation)


def test_a_row_of_another_organisation_is_one_that_is_not_there(
    admin_user: User, ours: OneOfEach, other_organisation: Organisation
) -> None:
    client, before_them = at_console(admin_user), everything()
    theirs = rows_in(other_organisation)
    before, pin = everything(), ours[Pin]
    their_rows = missing(before, before_them)
    assert isinstance(pin, Pin)
    told_apart = []
    for name in OF_A_ROW:
        value = str(theirs[model_of(name)].pk)
        missed = nowhere({"row": value})["row"]
        for method in ("get", "post"):
            sent = NEEDED.get(name, {}) if method == "get" else everything_sent(pin) | tag_for(name, theirs)
            pages = [Page(method, address(name, theirs).replace(value, id), sent) for id in (value, missed)]
            answers = [asked(client, page, their_rows, id) for page, id in zip(pages, (value, missed), strict=True)]
            if answers[0] != answers[1] or answers[0][0][0] != 404:
                told_apart.append((name, method, *answers))
    assert told_apart == []
    assert everything() == before


@pytest.mark.parametrize("part", range(2))
def test_an_id_of_another_organisation_in_a_query_or_a_form_is_one_that_nobody_has(
    part: int, admin_user: User, ours: OneOfEach, other_organisation: Organisation
) -> None:
    client, before_them = at_console(admin_user), everything()
    theirs = ids_in(rows_in(other_organisation))
    before = everything()
    their_rows = missing(before, before_them)
    told_apart, tried = [], 0
    for page in list(pages_for(ours))[part::2]:
        for name in sorted(names_read(client, page)):
            for kind, value in kinds_for(name, theirs).items():
                missed = nowhere(theirs)[kind]
                answers = [asked(client, each, their_rows, value) for each in held(page, name, value, ours)]
                expected = [asked(client, each, their_rows, missed) for each in held(page, name, missed, ours)]
                tried += 1
                if answers != expected:
                    told_apart.append((page.method, page.where, name, kind, answers, expected))
    assert told_apart == []
    assert tried > 150
    assert everything() == before


def kinds_for(name: str, ids: Ids) -> Ids:
    """Those that the name of a field speaks of, or that of a pin, which any field may hold; all in the long form."""
    if EXHAUSTIVE:
        return ids
    spoken_of = {kind: value for kind, value in ids.items() if kind in name}
    return spoken_of or {"pin": ids["pin"]}


def pages_for(rows: OneOfEach) -> Iterator[Page]:
    """Each address with its own rows, as it is opened and as its form is sent; a list with each of its actions."""
    pin = rows[Pin]
    assert isinstance(pin, Pin)
    for name in NAMES:
        where = address(name, rows)
        yield Page("get", where, NEEDED.get(name, {}))
        if not name.endswith("changelist"):
            yield Page("post", where, everything_sent(pin) | tag_for(name, rows))
            continue
        for action in getattr(PAGES[model_of(name)], "actions", None) or ():
            chosen = {"action": action, "index": "0", "_selected_action": [str(rows[model_of(name)].pk)]}
            yield Page("post", where, everything_sent(pin) | chosen)


def held(page: Page, name: str, value: str, rows: OneOfEach) -> Iterator[Page]:
    yield page.holding(name, value)
    if name in SEVERAL:
        own = str(rows[Pin].pk)
        yield page.holding(name, f"{own} {value}" if name == "pins" else [own, value])


def names_read(client: Client, page: Page) -> set[str]:
    """What a page looks up in its query or its form; a list takes its filters' names from the class."""
    with noted() as found:
        asked(client, page, {}, "")
    name = next((each for each in NAMES if each.endswith("changelist") and page.where == address(each, {})), None)
    if name is not None and page.method == "get":
        shown = PAGES[model_of(name)]
        filters = [
            getattr(each, "names", None) or [getattr(each, "parameter_name", each)] for each in shown.list_filter
        ]
        found |= {each for names in filters for each in names} | {"q", *shown.linked_filters}
    return found - OF_FORMS - OF_PAGES


@contextmanager
def noted() -> Iterator[set[str]]:
    """The names that are looked up in any query or form meanwhile."""
    found: set[str] = set()
    getitem, getlist = MultiValueDict.__getitem__, MultiValueDict.getlist

    def item(self: Any, key: str) -> Any:
        found.update([key] if isinstance(self, QueryDict) else [])
        return getitem(self, key)

    def items(self: Any, key: str, default: Any = None) -> Any:
        found.update([key] if isinstance(self, QueryDict) else [])
        return getlist(self, key, default)

    with patch.object(MultiValueDict, "__getitem__", item), patch.object(MultiValueDict, "getlist", items):
        yield found


def asked(client: Client, page: Page, their_rows: Rows, value: str) -> tuple[Any, int]:
    """What the answer tells, and how many statements it took. What it has changed is looked at and taken back."""
    client.cookies.pop("messages", None)
    reset_queries()
    with transaction.atomic():
        with count_queries() as queries:
            answer = getattr(client, page.method)(page.where, dict(page.sent))
            said = told(answer, value)
        if page.method == "post":
            assert missing(their_rows, rows_of(their_rows)) == {}, page
        transaction.set_rollback(True)
    return said, len(queries)


def test_what_is_read_of_a_form_is_noted(admin_user: User, ours: OneOfEach) -> None:
    """So that the test above tries what there is to try."""
    client, pages = at_console(admin_user), list(pages_for(ours))
    read = {(page.method, page.where): names_read(client, page) for page in pages}
    pin, rollout = f"/admin/pipelines/pin/{ours[Pin].pk}/", "/admin/pipelines/rollout/new/"
    assert {"revision", "back"} <= read["get", f"{pin}move/"]
    assert {"template", "revision", "pipelines", "exclude"} & read["post", rollout]
    assert {"revision", "pipeline", "template", "q"} <= read["get", "/admin/pipelines/pin/"]
    assert "_selected_action" in read["post", "/admin/pipelines/pin/"]
    assert len(pages) > 80
    assert ADDRESSES.keys() >= OF_NOBODY
