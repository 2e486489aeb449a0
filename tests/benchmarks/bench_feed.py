"""The runtime feed beside a bare ASGI function under the same server, each on one core, in turns in the same run.

`make bench` runs it.
"""

import os
from collections.abc import Callable, Generator
from http.client import HTTPConnection
from statistics import median

import pytest

from accounts.models import Organisation
from tests.benchmarks.loads import request_for, requests_per_second, served_on_one_core
from tests.factories import PinFactory, PipelineFactory, TemplateFactory
from tests.pipelines.feed.clients import processor_token

ROUNDS = 5
SECONDS = 1.0
APPLICATION = "config.asgi:application"
Print = Callable[[str], None]


@pytest.fixture(autouse=True)
def other_core() -> Generator[None]:
    """The load comes from where the server is not."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {0} or before)
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Print:
    def write(text: str) -> None:
        with capsys.disabled():
            print(text)  # noqa: T201  # the benchmark's own output

    return write


@pytest.mark.parametrize("connections", [8, 32])
@pytest.mark.parametrize(("kind", "least"), [("304", 0.70), ("200", 0.75)])
def test_an_answer_costs_little_more_than_none(
    kind: str, least: float, connections: int, committed_db: str, organisation: Organisation, say: Print
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
    say(f"\n{kind}, {connections} connections: {median(rates):,.0f}/s, {median(ratios):.0%} of bare {ratios}")
    assert median(ratios) >= least


def first_answer(port: int, path: str, headers: dict[str, str]) -> tuple[str, int]:
    """The tag of what stands there, and how long it is."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return str(answer.headers["ETag"]), len(body)
