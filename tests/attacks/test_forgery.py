"""Forms and links of other sites: none of them changes anything here, and no link of ours leads there."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import Organisation, User
from pipelines.models import Pin
from tests.console.people import everything, key_for
from tests.console.test_roles import ADDRESSES, address, everything_sent, rows_in, tag_for
from tests.factories import PASSWORD

OPEN = {"jsi18n"}  # words for scripts, the same for everybody; it takes no form
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "/\t/evil.example/",
    "https:evil.example",
    "http:///evil.example",
    "javascript:hit()",
    " javascript:hit()",
    "data:text/html,<script>hit()</script>",
    "/admin/\r\nLocation: https://evil.example/",
    "https://testserver@evil.example/",
    "//testserver.evil.example/admin/",
]


def strict(user: User, **headers: str) -> Client:
    """Somebody who is logged in, at a client that leaves the check of forms on, as servers do."""
    client = Client(enforce_csrf_checks=True, headers=headers)
    client.force_login(user)
    return client


@pytest.mark.parametrize("origin", ["", "https://evil.example", "null", "http://testserver"])
def test_no_form_without_its_token_changes_anything(organisation: Organisation, admin_user: User, origin: str) -> None:
    """At every address of the console, with a good key besides, whoever says to have sent it."""
    rows = rows_in(organisation)
    pin = rows[Pin]
    assert isinstance(pin, Pin)
    client = strict(admin_user, **({"Origin": origin} if origin else {}))
    before, answers = everything(), {}
    for name in sorted(ADDRESSES.keys() - OPEN):
        where = address(name, rows) if name not in ("login", "logout") else f"/admin/{name}/"
        body = everything_sent(pin) | {"form_key": key_for(admin_user)}
        body |= tag_for(name, rows) if name not in ("login", "logout") else {"username": admin_user.email}
        answers[name] = client.post(where, body).status_code
    assert {name: status for name, status in answers.items() if status != 403} == {}
    assert everything() == before
    assert client.get("/admin/").status_code == 200, "and nobody was logged out"


def test_a_cookie_of_the_console_opens_nothing_of_the_api(admin_user: User, organisation: Organisation) -> None:
    """So no form of another site reaches it either: a browser sends no bearer by itself."""
    client, before = strict(admin_user), everything()
    assert client.get("/v1/admin/me").status_code == 401
    assert client.post("/v1/admin/pipelines", {"name": "x"}, content_type="application/json").status_code == 401
    assert everything() == before


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_login_and_no_logout_leads_to_another_site(admin_user: User, target: str) -> None:
    client = Client()
    page = client.get("/admin/login/", {"next": target})
    assert [link for link in links(page) if not stays(link.partition("?")[0])] == []
    credentials = {"username": admin_user.email, "password": PASSWORD, "next": target}
    led = [
        client.post("/admin/login/", credentials),
        client.get("/admin/login/", {"next": target}),
        client.post("/admin/logout/", {"next": target}),
        client.get("/admin/logout/", {"next": target}),
    ]
    assert [answer["Location"] for answer in led if answer.has_header("Location") and not is_ours(answer)] == []


@pytest.mark.parametrize(
    "where", ["//evil.example/admin/", "/admin//evil.example/", "/\\evil.example", "/v1//evil.example"]
)
def test_no_address_leads_to_another_site(admin_user: User, where: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(admin_user)
    answer = client.get(where)
    assert not answer.has_header("Location") or is_ours(answer)


def links(answer: Any) -> list[str]:
    """Where a browser would go by a click on the page, or by sending a form of it."""
    return re.findall(r' (?:href|action|src)="([^"#]+)"', answer.content.decode())


def is_ours(answer: Any) -> bool:
    return stays(answer["Location"])


def stays(location: str) -> bool:
    """Whether a browser stays here: a path, and nothing that it would read as a host."""
    parts = urlsplit(location.replace("\\", "/"))
    is_path = location.startswith("/") and not location.startswith(("//", "/\\"))
    return is_path and not (parts.scheme or parts.netloc) and location.isprintable()


def test_the_cookies_of_the_console_are_for_this_site_alone() -> None:
    assert settings.SESSION_COOKIE_HTTPONLY
    assert (settings.SESSION_COOKIE_SAMESITE, settings.CSRF_COOKIE_SAMESITE) == ("Lax", "Lax")
