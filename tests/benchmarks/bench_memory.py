"""The memory of a process that serves console and REST, over many requests that find the same data again and again.

`make bench` runs it. Under `make load` the data grows and what is shown of it with it, so that cannot tell a leak from
pages that are larger than before. Here the second half of the run must take no more than the first half took at its end.
"""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import cycle

import pytest

from accounts.credentials import access_token
from accounts.models import Organisation, User
from pipelines.models import Pin, Pipeline
from tests.benchmarks.bench_rest import both_revisions, pins_on, pipeline_of
from tests.benchmarks.last_run import Record
from tests.benchmarks.loads import GUNICORN, served_on_one_core
from tests.console.people import at_console
from tests.load.memory import allocated, descendants

ROUNDS = 16
MOVES = 300
READS = 40
MOST_GROWTH = 0.01

pytestmark = pytest.mark.usefixtures("other_core")


def requests(pipeline: Pipeline, pins: list[Pin]) -> Iterator[tuple[str, str, str]]:
    """One round of them: moves there and back, and every page of a pipeline."""
    base = f"/v1/admin/pipelines/{pipeline.pk}"
    for pin, _ in zip(cycle(pins), range(MOVES), strict=False):
        for revision in both_revisions(pin):
            yield "PATCH", f"{base}/integrations/{pin.pk}", f'{{"revision_id": "{revision}"}}'
    reads = [base, *(f"{base}/{part}" for part in ("integrations", "config", "status", "history"))]
    reads += [
        f"/v1/admin/{part}" for part in ("pipelines", "pipeline-integrations", "integration-templates", "audit-log")
    ]
    pages = ["", "fleet/", "pipelines/pin/", f"pipelines/pipeline/{pipeline.pk}/", "accounts/auditentry/"]
    for _ in range(READS):
        yield from (("GET", path, "") for path in (*reads, *(f"/admin/{page}" for page in pages)))


def test_memory_stays_where_it_is_while_the_data_does(
    committed_db: str, organisation: Organisation, admin_user: User, record: Record
) -> None:
    pipeline = pipeline_of(organisation)
    everything = list(requests(pipeline, pins_on([pipeline] * 10)))
    session = at_console(admin_user).cookies["sessionid"].value
    headers = {"Authorization": f"Bearer {access_token(admin_user)}", "Cookie": f"sessionid={session}"}
    sizes = []
    with (
        served_on_one_core("config.wsgi", GUNICORN, DATABASE_URL=committed_db) as (port, pid),
        closing(HTTPConnection("127.0.0.1", port)) as client,
    ):
        for _ in range(ROUNDS):
            for method, path, body in everything:
                client.request(method, path, body, {**headers, "Content-Type": "application/json", "Host": "localhost"})
                answer = client.getresponse()
                text = answer.read()
                assert answer.status == 200, (method, path, answer.status, text[:300])
            sizes.append(sum(allocated(each) for each in (pid, *descendants(pid))))
    middle, end = max(sizes[: ROUNDS // 2]), max(sizes)
    figure = f"{middle / 1024:.1f} MB after {len(everything) * ROUNDS // 2:,} requests, {end / 1024:.1f} MB after twice as many"
    record("memory: console and REST, the same data", figure, f"≤ {MOST_GROWTH:.0%} more")
    assert end <= middle * (1 + MOST_GROWTH), sizes
