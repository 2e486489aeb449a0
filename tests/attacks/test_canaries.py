"""Secrets put everywhere, and then looked for in every answer, page and log of real servers at their most talkative.

What the processes log besides is held by `tests/config/test_canaries.py`.
"""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.urls import get_resolver

from accounts.models import ApiToken, AuditEntry, Organisation, User
from accounts.roles import Role
from integrations.models import Revision, Template
from pipelines.admin import site
from pipelines.models import Pin, Pipeline, Rollout
from pipelines.rollouts.plans import plan_rollout
from tests.attacks.canaries import World, betrayed, world
from tests.config.servers import COMMANDS, Served, serving
from tests.conftest import Cast
from tests.console.people import at_console
from tests.console.test_roles import ADDRESSES, NEEDED, Rows, address
from tests.factories import revision_of, system
from tests.readme import ROOT

SETTINGS = {
    "SECRET_KEY": "canary-of-the-key-that-signs-and-is-long-enough-to-be-one",
    "METRICS_TOKEN": "canary-of-the-token-for-metrics",
}
RING = "canary-of-the-ring-is-32-letters"
TALKATIVE = {
    "uvicorn": ["-m", "uvicorn", "config.asgi:application", "--fd", "{fd}", "--log-level", "debug", "--access-log"],
    "gunicorn": [*COMMANDS["gunicorn"], "--log-level", "debug", "--access-logfile", "-", "--capture-output"],
}
SHOWS_SECRETS = ("/v1/runtime/pipelines/", "/v1/runtime/snapshot", "/v1/runtime/changes")
STREAM = "/v1/runtime/stream"  # it has no end; tests/pipelines/feed/test_secrecy.py reads it

# Fields of bodies that may hold a secret, and all others: a new field must be put among the one or the other.
SECRET_FIELDS = {"password", "refresh_token", "config", "parameters", "value"}
PLAIN_FIELDS = {
    "archived", "base_revision_id", "change_summary", "config_hash", "delivered", "deliveries", "delivery_mode",
    "description", "disabled", "email", "enabled", "exclude", "expires_at", "failed", "from_revision", "gate", "id",
    "include_disabled", "instance", "integration_id", "integrations", "labels", "max_failure_ratio", "max_increase",
    "min_events", "name", "on_failure", "on_inconclusive", "patience", "percent", "pipelines", "plan_hash", "reason",
    "refused_hash", "revision_id", "role", "run", "scope", "secret", "sequence", "skip_blocked", "skip_gate", "slug",
    "soak", "started_at", "state", "status", "stopped", "type", "variant", "vendor", "verbatim", "waves",
}  # fmt: skip


def rows_of(made: World) -> Rows:
    mine = {"organisation": made.organisation}
    return {
        Pipeline: made.pipeline,
        Pin: made.pin,
        Template: made.template,
        Revision: revision_of(made.template),
        Rollout: Rollout.objects.get(**mine),
        User: made.people[Role.VIEWER],
        ApiToken: ApiToken.objects.filter(**mine).earliest("created_at"),
        AuditEntry: AuditEntry.objects.filter(**mine, action="revision.created").latest("pk"),
    }


@pytest.fixture
def made(committed_db: str, organisation: Organisation, settings: Any) -> World:
    settings.SECRET_KEY = SETTINGS["SECRET_KEY"]
    full = world(organisation)
    plan_rollout(actor=system(organisation), template_id=full.template.pk)
    return full


def api_addresses(made: World) -> Iterator[str]:
    """Every address of the address map, with ids that are there."""
    rows = rows_of(made)
    ids = {"pipelines": Pipeline, "integration-templates": Template, "revisions": Revision, "integrations": Pin}
    ids |= {"rollouts": Rollout, "users": User, "tokens": ApiToken}
    for pattern in get_resolver().url_patterns:
        route = str(pattern.pattern)
        for before, kind in re.findall(r"([\w-]+)/(<str:\w+>)", route):
            row = (
                "ga4"
                if before == "integration-catalog"
                else "token"
                if before == "parameters"
                else rows[ids[before]].pk
            )
            route = route.replace(f"{before}/{kind}", f"{before}/{row}", 1)
        if route not in ("admin/", STREAM[1:]):
            assert "<" not in route, route
            yield f"/{route}"


def asked(served: Served, method: str, path: str, bearer: str, body: Any = None) -> tuple[int, bytes]:
    """Status, and everything of the answer, head and body."""
    named = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    with closing(served.connection()) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), named)
        answer = connection.getresponse()
        assert "no-store" in answer.headers["Cache-Control"] or path == "/v1/openapi.json", path
        return answer.status, str(answer.headers).encode() + answer.read()


@pytest.mark.parametrize("program", sorted(TALKATIVE))
def test_no_answer_to_anybody_and_no_log_of_a_server_holds_a_secret(
    made: World, committed_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """Every address as everybody; the feed alone shows the secrets of vendors, and to processors alone."""
    monkeypatch.setitem(COMMANDS, "talkative", TALKATIVE[program])
    found, statuses, shown = [], set(), set()
    secrets = made.secrets | SETTINGS
    with serving(committed_db, tmp_path, "talkative", LOG_LEVEL="DEBUG", **SETTINGS) as served:
        everybody = made.bearers | {"Prometheus": SETTINGS["METRICS_TOKEN"]}
        for path in api_addresses(made):
            for who, bearer in everybody.items():
                status, said = asked(served, "GET", path, bearer)
                statuses.add(status)
                feed = who == "processor" and path.startswith(SHOWS_SECRETS)
                shown |= set(betrayed(said, made.vendors)) if feed else set()
                hidden = {name: text for name, text in secrets.items() if not (feed and name in made.vendors)}
                found += [(who, path, how) for how in betrayed(said, hidden)]
    assert found == []
    assert {200, 401, 403} <= statuses
    seen = {"parameter, plain", "shown, JSON"} <= shown
    assert seen == (program == "uvicorn"), "Where the feed is served processors see them: there is something to find."
    log = served.log.read_bytes()
    assert b"GET /v1/admin/me" in log, "The access log is on."
    assert betrayed(log, secrets) == []


def test_no_page_and_no_file_of_the_console_holds_a_secret(made: World) -> None:
    """Of every address of the console and every entry of the audit log, whoever looks."""
    rows, found, secrets = rows_of(made), [], made.secrets | SETTINGS
    compare = f"/admin/integrations/template/{made.template.pk}/compare/"
    asked = [(address(name, rows), NEEDED.get(name)) for name in sorted(ADDRESSES.keys() - {"login", "logout"})]
    asked += [
        (compare, {"before": "1", "after": "2"}),
        (compare, {"before": "1", "after": "2", "pipeline": made.pipeline.pk}),
    ]
    asked += [(f"/admin/accounts/auditentry/{key}/", None) for key in AuditEntry.objects.values_list("pk", flat=True)]
    for role, user in made.people.items():
        client = at_console(user)
        for where, query in asked:
            answer: Any = client.get(where, query)
            said = b"".join(answer.streaming_content) if answer.streaming else answer.content
            found += [(role.value, where, how) for how in betrayed(said, secrets)]
    assert found == []


def bodies() -> dict[tuple[str, str], set[str]]:
    """The fields of each body of the API, at any depth, from its description."""
    described = json.loads((ROOT / "config" / "openapi.json").read_text())
    return {
        (method.upper(), path): set(
            _fields(operation["requestBody"]["content"]["application/json"]["schema"], described)
        )
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "requestBody" in operation
    }


def _fields(schema: Any, described: Any) -> Iterator[str]:
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from schema.get("properties", {})
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for each in [*inner, *schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("anyOf", [])]:
        if isinstance(each, dict):
            yield from _fields(each, described)


def test_no_refusal_repeats_what_was_sent_in_a_field_that_may_hold_a_secret(db: None, cast: Cast) -> None:
    """In each body of the description: of the wrong kind, in the wrong place, beside a field that does not exist."""
    assert set().union(*bodies().values()) == SECRET_FIELDS | PLAIN_FIELDS, "Say of each field which it is."
    secret, refused = {"canary": "canary-in-a-body-0815"}, 0
    canary = secret["canary"]
    for (method, path), fields in bodies().items():
        where = re.sub(r"{\w+}", "x", path)
        for name in sorted(fields & SECRET_FIELDS):
            for value in (
                canary,
                [canary],
                secret,
                {"url": canary, "access_token": [canary]},
                {canary: 1},
                f"{canary}\n",
            ):
                for body in (
                    {name: value},
                    {name: value, "nothing": 1},
                    [value],
                    {"name": "x", "vendor": "x", name: value},
                ):
                    answer = cast["admin"].send(method, where, json.dumps(body).encode())
                    refused += answer.status_code >= 400
                    # A key is no secret: an error names it, so that it can be found.
                    keys = isinstance(value, dict) and canary in value
                    assert keys or betrayed(answer.content, secret) == [], (method, path, body)
        broken = f'{{"password": "{canary}", "password": "{canary}"'.encode()
        assert betrayed(cast["admin"].send(method, where, broken).content, secret) == []
    assert refused > 100


def test_the_page_of_an_error_while_debugging_shows_no_key_of_the_server(
    admin_user: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows the settings and the environment, which holds the address of the database."""
    settings.DEBUG = True
    secrets = {name: f"canary-of-{name.lower()}-{'x' * 20}" for name in ("SECRET_KEY", "METRICS_TOKEN", "DATABASE_URL")}
    client = at_console(admin_user)
    client.raise_request_exception = False
    monkeypatch.setattr(settings, "METRICS_TOKEN", secrets["METRICS_TOKEN"])
    monkeypatch.setattr(settings, "SECRET_KEY_FALLBACKS", [secrets["SECRET_KEY"]])
    monkeypatch.setattr(settings, "PINION_SECRET_KEYS", {"canary": RING.encode()})
    monkeypatch.setattr(site, "home", lambda *_: 1 / 0)
    environment: Any = {"DATABASE_URL": f"postgresql://ann:{secrets['DATABASE_URL']}@db/pinion"}
    page = client.get("/admin/", **environment)
    assert page.status_code == 500
    assert b"ZeroDivisionError" in page.content
    assert b"DATABASE_URL" in page.content
    assert betrayed(page.content, secrets | {"ring": RING}) == []
