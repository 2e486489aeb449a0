"""The links of the console, followed as each role from the home page on: nobody is led to where they are refused."""

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import resolve

from accounts.models import Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from pipelines.demo import load_demo, login
from tests.console.people import at_console
from tests.factories import system

OF_EACH_KIND = 2
HARMLESS = {"/admin/logout/", "/admin/password_change/"}  # what everybody may send


class Page(HTMLParser):
    """The links of a page, and where its forms are sent."""

    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address = address
        self.links: list[str] = []
        self.forms: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "a" and (target := urljoin(self.address, said.get("href") or "")).startswith("/admin/"):
            self.links.append(target.partition("#")[0])
        if tag == "form" and said.get("method") == "post":
            self.forms.append((urljoin(self.address, said.get("action") or ""), said.get("id") or ""))


def walked(client: Client, start: str = "/admin/") -> Iterator[tuple[str, int, Page]]:
    """Some pages of each kind, with at most one question each: filters combined would never end."""
    waiting, seen = [start], Counter([kind_of(start)])
    known = {start}
    while waiting:
        address = waiting.pop(0)
        response = client.get(address, follow=True)
        is_page = response["Content-Type"].startswith("text/html")
        page = Page(address, response.content.decode() if is_page else "")
        yield address, response.status_code, page
        for link in page.links:
            if link not in known and seen[kind_of(link)] < OF_EACH_KIND and len(kind_of(link)[1]) < 2:
                known.add(link)
                seen[kind_of(link)] += 1
                waiting.append(link)


def kind_of(address: str) -> tuple[str, frozenset[str]]:
    """The page of the console that this is, and which questions are asked of it."""
    parts = urlsplit(address)
    return resolve(parts.path).view_name, frozenset(name for name, _ in parse_qsl(parts.query))


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.ADMIN])
def test_every_link_that_a_role_is_shown_opens_for_it(db: None, role: Role) -> None:
    load_demo()
    issue_token(actor=system(Organisation.objects.get()), name="Feed", scope=Role.PROCESSOR)
    client = at_console(User.objects.by_email(login(role)["email"]).get())
    visited, closed, forms = 0, {}, set()
    for address, status, page in walked(client):
        visited += 1
        forms |= {where for where, name in page.forms if name != "changelist-form"}
        if status != 200:
            closed[address] = status
    assert closed == {}
    assert visited > 60
    if role == Role.VIEWER:
        assert forms <= HARMLESS
