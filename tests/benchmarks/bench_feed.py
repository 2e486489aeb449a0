"""The runtime feed beside a bare ASGI function under the same server, each on one core, in turns in the same run.

`make bench` runs it.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from statistics import median, quantiles
from typing import Any

import psycopg
import pytest

from accounts.models import Organisation
from pipelines.models import Pipeline
from pipelines.registry import update_pipeline
from tests.benchmarks.last_run import Record
from tests.benchmarks.loads import request_for, requests_per_second, served_on_one_core
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, system
from tests.pipelines.feed.clients import processor_token

ROUNDS = 5
SECONDS = 1.0
COMMITS = 100
APPLICATION = "config.asgi:application"
Print = Callable[[str], None]


pytestmark = pytest.mark.usefixtures("other_core")


@pytest.mark.parametrize("connections", [8, 32])
@pytest.mark.parametrize(("kind", "least"), [("304", 0.70), ("200", 0.75)])
def test_an_answer_costs_little_more_than_none(
    kind: str, least: float, connections: int, committed_db: str, organisation: Organisation, record: Record
) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    config = {"url": "https://hooks.example.com", "note": "x" * 7600}
    template = TemplateFactory(organisation=organisation, vendor="webhook", config=config)
    PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    bearer = {"Authorization": f"Bearer {processor_token(organisation)[1]}"}
    path = f"/v1/runtime/pipelines/{pipeline.pk}"
    with served_on_one_core(APPLICATION, DATABASE_URL=committed_db) as (ours, _):
        tag, length = first_answer(ours, path, bearer)
        request = request_for(path, **bearer, **({"If_None_Match": tag} if kind == "304" else {}))
        with served_on_one_core("tests.benchmarks.bare:constant", BARE_LENGTH=str(length if kind == "200" else 0)) as (
            bare,
            _,
        ):
            ratios, rates = [], []
            for _ in range(ROUNDS):
                theirs = requests_per_second(bare, request, kind.encode(), connections, SECONDS)
                rates.append(requests_per_second(ours, request, kind.encode(), connections, SECONDS))
                ratios.append(rates[-1] / theirs)
    figure = f"{median(rates):,.0f}/s, {median(ratios):.0%} of a bare function"
    record(f"feed: {kind}, {connections} connections", figure, f"≥ {least:.0%}")
    assert median(ratios) >= least


def first_answer(port: int, path: str, headers: dict[str, str]) -> tuple[str, int]:
    """The tag of what stands there, and how long it is."""
    with closing(HTTPConnection("127.0.0.1", port)) as client:
        client.request("GET", path, headers=headers)
        answer = client.getresponse()
        body = answer.read()
    return str(answer.headers["ETag"]), len(body)


def test_a_commit_is_seen_within_milliseconds_by_who_asks_by_tag(
    committed_db: str, organisation: Organisation, record: Record
) -> None:
    """Beside it what a bare listener hears, which shows how busy the machine is besides."""
    pipeline: Pipeline = PipelineFactory(organisation=organisation)
    bearer = {"Authorization": f"Bearer {processor_token(organisation)[1]}"}
    path = f"/v1/runtime/pipelines/{pipeline.pk}"
    listened, polled = [], []
    with (
        served_on_one_core(APPLICATION, DATABASE_URL=committed_db) as (port, _),
        psycopg.connect(committed_db, autocommit=True) as listener,
        ThreadPoolExecutor(2) as threads,
    ):
        listener.execute("LISTEN pinion_feed")
        tag, _ = first_answer(port, path, bearer)
        for number in range(COMMITS):
            heard = threads.submit(hear, listener)
            seen = threads.submit(poll, port, path, {**bearer, "If-None-Match": tag})
            time.sleep(0.02)
            update_pipeline(actor=system(organisation), pipeline_id=pipeline.pk, fields={"enabled": number % 2 == 1})
            committed = time.perf_counter()
            listened.append(max(0.0, heard.result() - committed))
            moment, tag = seen.result()
            polled.append(max(0.0, moment - committed))
    ours, theirs = quantiles(polled, n=100), quantiles(listened, n=100)
    beside = f"(a bare listener: {theirs[49] * 1000:.1f}, {theirs[98] * 1000:.1f} ms)"
    figure = f"p50 {ours[49] * 1000:.1f} ms, p99 {ours[98] * 1000:.1f} ms {beside}"
    record("feed: a commit is seen by tag", figure, "p50 ≤ 10 ms, p99 ≤ 50 ms")
    assert ours[49] <= 0.010
    assert ours[98] <= 0.050


def hear(listener: "psycopg.Connection[Any]") -> float:
    """When the notification came."""
    next(listener.notifies(timeout=10, stop_after=1))
    return time.perf_counter()


def poll(port: int, path: str, headers: dict[str, str]) -> tuple[float, str]:
    """When an answer was another, and its tag."""
    with closing(HTTPConnection("127.0.0.1", port)) as client:
        while True:
            client.request("GET", path, headers=headers)
            answer = client.getresponse()
            answer.read()
            if answer.status == 200:
                return time.perf_counter(), str(answer.headers["ETag"])
