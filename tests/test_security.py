"""SECURITY.md: the tests that it stands on are there, and whoever has no credentials gets nowhere."""

import re

import pytest
from django.test import Client
from django.urls import get_resolver

from tests.readme import ROOT, sections

SECURITY = ROOT / "SECURITY.md"
OPEN = {"v1/admin/auth/login", "v1/admin/auth/refresh", "v1/openapi.json", "v1/docs", "livez", "readyz"}


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", SECURITY.read_text()))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 20
    assert named - there == set()


def test_every_link_of_the_page_leads_to_a_heading_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    headings = {title.lower().replace(" ", "-") for level in (2, 3) for title in sections(text, level)}
    links = re.findall(r"\]\(README\.md(?:#([\w-]+))?\)", SECURITY.read_text())
    assert {"roles", "keys", "back-up-and-restore"} <= set(links) <= headings


@pytest.mark.django_db
def test_nobody_gets_further_than_the_door() -> None:
    """Every address of the API, from the address map: without credentials it is 401, whatever the method."""
    routes = {str(pattern.pattern) for pattern in get_resolver().url_patterns} - {"admin/"}
    assert routes >= OPEN
    client = Client(raise_request_exception=False)
    answers = {}
    for route in sorted(routes - OPEN - {"metrics"}):
        address = "/" + re.sub(r"<\w+:\w+>", "x", route)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answers[method, route] = client.generic(method, address, b"{}", content_type="application/json").status_code
    assert {key: status for key, status in answers.items() if status not in (401, 405, 501)} == {}
