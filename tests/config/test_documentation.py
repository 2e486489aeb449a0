"""What anybody may read without a login: the description, its pages, and whether the process is well."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from config.documentation import OPENAPI
from tests.clients import Api


def test_the_description_is_readable_without_a_login(client: Client) -> None:
    answer = client.get("/v1/openapi.json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.content == OPENAPI.read_bytes()
    assert answer.json()["openapi"] == "3.1.0"
    assert client.get("/v1/openapi.json", headers={"If-None-Match": answer["ETag"]}).status_code == 304


def test_a_wrong_bearer_does_not_close_what_is_open(db: None) -> None:
    wrong = Api("not-a-token")
    for path in ("/v1/openapi.json", "/v1/docs", "/livez", "/readyz"):
        assert wrong.get(path).status_code == 200


class Addresses(HTMLParser):
    """All that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_pages_of_the_description_load_nothing_from_another_host(client: Client) -> None:
    page = client.get("/v1/docs")
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    seen = Addresses()
    seen.feed(page.content.decode())
    assert len(seen.found) == 5
    assert [address for address in seen.found if not re.match(r"/(?!/)", address)] == []
    script = client.get(seen.found[-1])
    assert script.status_code == 200
    assert re.findall(r"https?://[^\"']+", script.content.decode()) == []
    assert '"validatorUrl": null' in script.content.decode()


def test_a_living_process_says_so(client: Client) -> None:
    assert (client.get("/livez").status_code, client.get("/livez").json()) == (200, {"status": "ok"})


def test_a_ready_process_says_what_it_has_looked_at(client: Client, db: None) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ok", "database": "ok", "key_ring": "ok", "secrets": "ok"},
    )


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("config.health.MigrationExecutor", refuse)


def test_a_process_whose_database_is_gone_lives_and_is_not_ready(client: Client, gone: None) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "unreachable", "key_ring": "ok", "secrets": "unknown"}
    assert client.get("/livez").status_code == 200


def test_a_process_without_a_key_is_not_ready(client: Client, db: None, settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["key_ring"]) == (503, "missing")
