"""`/metrics`: what it says, to whom, at what cost, and behind each of the two servers."""

import re
import socket
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import ApiToken, Organisation
from accounts.roles import Role
from config import exposition
from config.lately import Lately
from pipelines.census import Census, take_census
from pipelines.models import Pin, Processor
from tests.clients import Api
from tests.config.servers import serving
from tests.conftest import Cast, token
from tests.factories import OrganisationFactory, PinFactory, TemplateFactory
from tests.queries import assert_same_queries, count_queries

TOKEN = "a-token-for-prometheus-alone"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> Generator[None]:
    exposition.census.forget()
    yield
    exposition.census.forget()


def samples(text: str) -> Samples:
    """`("pinion_pins", "org_…")` → 3: the name, then the values of the labels in the order of their names."""
    found = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in found}


def scraped(settings: Any) -> Samples:
    settings.METRICS_TOKEN = TOKEN
    answer = Client().get("/metrics", headers=BEARER)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert answer["Cache-Control"] == "no-store"
    return samples(answer.content.decode())


def processor(organisation: Organisation, api_token: ApiToken, name: str, age: timedelta) -> None:
    seen = timezone.now() - age
    Processor.objects.create(
        organisation=organisation, token=api_token, instance=name, run="r", sequence=1, last_seen_at=seen
    )


def test_every_organisation_has_its_figures(
    organisation: Organisation, other_organisation: Organisation, settings: Any
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    PinFactory(organisation=organisation, template=template, number=1)
    lacking = PinFactory(organisation=organisation, template=template)
    Pin.objects.filter(pk=lacking.pk).update(resolvable=False)
    PinFactory(organisation=other_organisation)
    good, revoked = token(organisation, Role.PROCESSOR)[0], token(organisation, Role.PROCESSOR)[0]
    ApiToken.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
    for name, age in (("new", 0), ("newer", 1), ("late", 3600)):
        processor(organisation, good, name, timedelta(seconds=age))
    processor(organisation, revoked, "gone", timedelta())

    said = scraped(settings)
    here, there = organisation.pk, other_organisation.pk
    assert {key[0].removeprefix("pinion_"): value for key, value in said.items() if key[1:] == (here,)} == {
        "configuration_version": 4,
        "pins": 2,
        "pins_behind": 1,
        "pins_unresolvable": 1,
        "processors_live": 2,
        "processors_silent": 1,
    }
    assert (said["pinion_pins", there], said["pinion_pins_behind", there]) == (1, 0)
    states = {key[2]: value for key, value in said.items() if key[:2] == ("pinion_rollouts", here)}
    assert states == dict.fromkeys(("planned", "running", "paused", "done", "aborted"), 0)
    assert said["pinion_database_up",] == 1


def test_no_token_of_an_organisation_opens_it(cast: Cast, settings: Any) -> None:
    for configured in (TOKEN, ""):
        settings.METRICS_TOKEN, settings.DEBUG = configured, False
        for name, api in cast.items():
            answer = api.get("/metrics")
            assert (name, answer.status_code, answer["WWW-Authenticate"]) == (name, 401, "Bearer")
            assert "pinion_" not in answer.content.decode()
    settings.DEBUG = True
    assert Client().get("/metrics").status_code == 200
    settings.METRICS_TOKEN = TOKEN
    assert Client().get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 401


def test_it_names_no_person_and_no_object(editor: Api, organisation: Organisation, settings: Any) -> None:
    pin = PinFactory(organisation=organisation)
    editor.get(f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}")
    editor.get("/nothing/hunter2")
    settings.METRICS_TOKEN = TOKEN
    text = Client().get("/metrics", headers=BEARER).content.decode()
    assert re.findall(r"\b(?:usr|tok|pip|pi|tmpl|rev)_[a-z0-9]{16}|@|hunter2", text) == []
    assert 'route="/v1/admin/pipelines/{pipeline_id}/integrations/{id}"' in text


def test_requests_are_counted_by_route_method_and_kind_of_answer(viewer: Api, settings: Any) -> None:
    name = "pinion_http_request_duration_seconds_count"
    keys = [
        (name, "GET", "/v1/admin/pipelines/{id}", "4xx"),
        (name, "GET", "/v1/admin/pipelines", "2xx"),
        (name, "GET", "other", "4xx"),
        (name, "other", "/v1/admin/pipelines", "4xx"),
    ]
    before = scraped(settings)
    for address in ("pipelines/pip_1", "pipelines/pip_2", "pipelines", "/nowhere/1"):
        viewer.get(address)
    viewer.send("BREW", "pipelines", b"")
    after = scraped(settings)
    assert [after[key] - before.get(key, 0) for key in keys] == [2, 1, 1, 1]


def test_a_census_costs_as_much_for_ten_organisations_as_for_one(organisation: Organisation) -> None:
    PinFactory(organisation=organisation)
    with count_queries() as few:
        take_census()
    for _ in range(9):
        PinFactory(organisation=OrganisationFactory())
    with count_queries() as many:
        take_census()
    assert len(few) == 4
    assert_same_queries(few, many)


def test_a_second_look_within_seconds_asks_nothing(organisation: Organisation, settings: Any) -> None:
    scraped(settings)
    with count_queries() as queries:
        scraped(settings)
    assert len(queries) == 0


def test_without_a_database_it_says_so_and_still_counts(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Census:
        raise OperationalError

    monkeypatch.setattr(exposition, "census", Lately(refuse, 0))
    said = scraped(settings)
    assert said["pinion_database_up",] == 0
    assert any(key[0] == "pinion_http_request_duration_seconds_count" for key in scraped(settings))


def test_the_feed_counts_its_streams_and_its_reads(
    committed_db: str, organisation: Organisation, tmp_path: Path
) -> None:
    bearer = {"Authorization": f"Bearer {token(organisation, Role.PROCESSOR)[1]}"}
    with serving(committed_db, tmp_path, "uvicorn", METRICS_TOKEN=TOKEN) as served:
        assert ("pinion_feed_age_seconds",) not in scrape(served)
        with closing(served.connection()) as stream, closing(served.connection()) as reader:
            stream.request("GET", "/v1/runtime/stream", headers=bearer)
            assert stream.getresponse().status == 200
            reader.request("GET", "/v1/runtime/pipelines/pip_nothing", headers=bearer)
            assert reader.getresponse().status == 404
            said = scrape(served)
    assert said["pinion_feed_streams_open",] == 1
    assert 0 <= said["pinion_feed_age_seconds",] < 3
    name = "pinion_http_request_duration_seconds_count"
    assert said[name, "GET", "/v1/runtime/stream", "2xx"] == 1
    assert said[name, "GET", "/v1/runtime/pipelines/{name}", "4xx"] == 1


def test_several_processes_of_gunicorn_add_up(committed_db: str, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    more = {"WEB_CONCURRENCY": "2", "PROMETHEUS_MULTIPROC_DIR": str(folder), "METRICS_TOKEN": TOKEN}
    with serving(committed_db, tmp_path, "gunicorn", **more) as served:
        for _ in range(20):
            with socket.create_connection(("localhost", served.port), timeout=30) as one:
                one.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert one.recv(1000).startswith(b"HTTP/1.1 200")
        counts = {
            scrape(served)["pinion_http_request_duration_seconds_count", "GET", "/readyz", "2xx"] for _ in range(6)
        }
    assert counts == {20}
    assert len(list(folder.glob("histogram_*.db"))) == 2


def scrape(served: Any) -> Samples:
    with closing(served.connection()) as connection:
        connection.request("GET", "/metrics", headers=BEARER)
        answer = connection.getresponse()
        assert answer.status == 200
        return samples(answer.read().decode())
