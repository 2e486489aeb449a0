"""What every answer says to browsers and caches, on every address of the address map, whoever asks."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from accounts.models import Organisation, User
from tests.clients import Api
from tests.conftest import Cast
from tests.console.people import at_console
from tests.console.test_roles import ADDRESSES, NEEDED, address, rows_in
from tests.factories import PASSWORD
from tests.readme import ROOT

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
OF_DOCS = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
GUARDS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"}
# The same for everybody, and no secret: the description of the API, which is asked about anew by its ETag.
SHAREABLE = {"/v1/openapi.json": "no-cache"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def api_addresses(row: str = "x") -> list[str]:
    routes = {str(pattern.pattern) for pattern in get_resolver().url_patterns} - {"admin/"}
    return ["/" + re.sub(r"<\w+:\w+>", row, route) for route in sorted(routes)]


def faults(answers: Mapping[Any, Any]) -> dict[Any, str]:
    """What is wrong with an answer's headers, by what was asked."""
    return {asked: said for asked, answer in answers.items() if (said := "; ".join(_faults(asked[1], answer)))}


def _faults(where: str, answer: Any) -> Iterator[str]:
    path = where.partition("?")[0]
    yield from (f"{name}: {answer.get(name)}" for name, value in GUARDS.items() if answer.get(name) != value)
    if answer.get("Content-Security-Policy") != (OF_DOCS if path == "/v1/docs" else STRICT):
        yield f"policy: {answer.get('Content-Security-Policy')}"
    kept = answer.get("Cache-Control", "")
    if "no-store" not in kept and not (answer.status_code in (200, 304) and kept == SHAREABLE.get(path)):
        yield f"may be stored: {kept!r}"


def test_no_answer_of_the_api_may_be_kept_framed_or_run(cast: Cast) -> None:
    """Of every address by every method, and as everybody who may read: found or not, allowed or not."""
    everywhere = [*api_addresses(), "/v1", "/v1/nothing", "/nothing", "/"]
    asked = {(method, where, "admin") for where in everywhere for method in METHODS}
    asked |= {("GET", where, who) for where in everywhere for who in cast}
    answers = {(method, where, who): cast[who].send(method, where, b"{}") for method, where, who in asked}
    assert {answer.status_code for answer in answers.values()} >= {200, 401, 403, 404, 405}
    assert faults(answers) == {}


def test_no_page_of_the_console_may_be_kept_framed_or_run(
    organisation: Organisation, viewer_user: User, admin_user: User
) -> None:
    rows = rows_in(organisation)
    people = {"viewer": at_console(viewer_user), "admin": at_console(admin_user), "nobody": Client()}
    answers = {}
    for name in sorted(ADDRESSES.keys() - {"logout"}):
        where = address(name, rows) if name != "login" else "/admin/login/"
        answers["POST", where, "admin"] = people["admin"].post(where, {"form_key": "none"})
        for who, client in people.items():
            answers["GET", where, who] = client.get(where, NEEDED.get(name))
    answers["GET", "/admin/nothing", "admin"] = people["admin"].get("/admin/nothing")
    answers["GET", "/admin/logout/", "admin"] = people["admin"].post("/admin/logout/")
    assert {answer.status_code for answer in answers.values()} >= {200, 302, 403, 404}
    assert faults(answers) == {}


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_no_file_of_a_list_may_be_kept(organisation: Organisation, admin_user: User, kind: str) -> None:
    admin, rows = at_console(admin_user), rows_in(organisation)
    lists = [address(name, rows).replace("/csv/", f"/{kind}/") for name in ADDRESSES if name.endswith("_export")]
    assert len(lists) == 4
    answers = {("GET", where): admin.get(where) for where in lists}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert faults(answers) == {}


@pytest.mark.parametrize(
    ("method", "where", "more"),
    [
        ("GET", "/admin/?q=%00", {}),
        ("GET", "/v1/admin/me?q=%00", {}),
        ("GET", "/admin/", {"HTTP_HOST": "evil.example"}),
        ("GET", "/v1/admin/me", {"HTTP_HOST": "evil.example"}),
        ("GET", "/admin/", {"CONTENT_TYPE": "text/html; charset=utf-7"}),
        ("POST", "/admin/login/", {"CONTENT_TYPE": "application/x-www-form-urlencoded", "data": "a=%00"}),
        ("POST", "/v1/admin/auth/login", {"CONTENT_TYPE": "application/json", "HTTP_CONTENT_ENCODING": "gzip"}),
    ],
)
def test_what_is_refused_before_any_page_is_reached_is_guarded_as_well(
    db: None, settings: Any, method: str, where: str, more: Any
) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    answer = Client(raise_request_exception=False).generic(method, where, **more)
    assert answer.status_code in (400, 415)
    assert faults({(method, where): answer}) == {}


def test_logins_and_tokens_may_not_be_kept(admin: Api, admin_user: User) -> None:
    login = admin.post("/v1/admin/auth/login", {"email": admin_user.email, "password": PASSWORD})
    refreshed = admin.post("/v1/admin/auth/refresh", {"refresh_token": login.json()["refresh_token"]})
    issued = [admin.post("tokens", {"name": "x", "scope": "viewer"}, Idempotency_Key="one") for _ in range(2)]
    answers = {("POST", where): answer for where, answer in zip("abcd", (login, refreshed, *issued), strict=True)}
    assert {answer.status_code for answer in answers.values()} == {200, 201}
    assert issued[1]["Idempotent-Replayed"] == "true"
    assert faults(answers) == {}


def test_the_description_of_the_api_is_the_same_for_everybody_and_files_of_the_console_may_be_kept(
    organisation: Organisation, client: Client
) -> None:
    description = client.get("/v1/openapi.json")
    again = client.get("/v1/openapi.json", headers={"If-None-Match": description["ETag"]})
    assert (again.status_code, again["Cache-Control"], "Vary" in description) == (304, "no-cache", False)
    script = client.get("/static/console/once.js")
    assert (script.status_code, script["Cache-Control"].partition("public")[1]) == (200, "public")
    script.close()
    assert "no-store" not in script["Cache-Control"]
    assert script["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in script


def test_a_page_differs_by_its_cookie_and_an_answer_of_the_api_sets_none(viewer_user: User, viewer: Api) -> None:
    assert "Cookie" in at_console(viewer_user).get("/admin/")["Vary"]
    answer = viewer.get("pipelines")
    assert answer.status_code == 200
    assert not answer.cookies


def test_a_page_read_before_the_logout_is_asked_for_again_afterwards(viewer_user: User) -> None:
    """The button that leads back in a browser shows what may be kept, and nothing else."""
    client = at_console(viewer_user)
    assert "no-store" in client.get("/admin/pipelines/pipeline/")["Cache-Control"]
    client.post("/admin/logout/")
    answer = client.get("/admin/pipelines/pipeline/")
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")


def test_the_example_of_a_proxy_keeps_nothing() -> None:
    text = (ROOT / ".docker" / "nginx.conf").read_text()
    assert "proxy_pass" in text
    assert (
        re.findall(r"^\s*(proxy_cache\w*|proxy_store|fastcgi_cache\w*|proxy_ignore_headers|expires)\b", text, re.M)
        == []
    )
