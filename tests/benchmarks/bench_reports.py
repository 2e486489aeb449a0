"""Reports of processors, and what is read of them, in an organisation with 100,000 pipelines and 200,000 pins.

`make bench` runs it. It fails where a report of 1,000 integrations and as many figures takes more than half a second at
its best, where the sums that decide over a rollout of 100,000 pins take more than half a second, or more than one
statement.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Organisation
from accounts.roles import Role
from pipelines.feed.figures import delivery_totals
from pipelines.feed.reports import LIMIT
from pipelines.models import Pin
from tests.benchmarks.last_run import Record
from tests.clients import Api
from tests.conftest import token
from tests.pipelines.feed.reporting import delivered, said, send
from tests.queries import count_queries

MOST_MS = 500
MEASURED = 5


def test_reports_and_sums_come_in_half_a_second(
    crowd: dict[str, str], organisation: Organisation, record: Record, say: Callable[[str], None]
) -> None:
    api = Api(token(organisation, Role.PROCESSOR)[1])
    pins = list(Pin.objects.filter(template=crowd["halved"]).order_by("pk")[:LIMIT])
    sequence = iter(range(1, 1000))

    def report(size: int) -> Callable[[], Any]:
        sent = {
            "integrations": [said(pin) for pin in pins[:size]],
            "deliveries": [delivered(pin, 1) for pin in pins[:size]],
        }
        return lambda: send(api, sequence=next(sequence), **sent)

    wave = Pin.objects.filter(template=crowd["halved"]).values("pk")
    since = timezone.now() - timedelta(hours=1)
    deeds: dict[str, Callable[[], Any]] = {
        "an empty report": report(0),
        "a report of 1,000": report(LIMIT),
        "the sums of 100,000 pins": lambda: delivery_totals(pins=wave, revisions=[crowd["second"]], since=since),
    }
    table = {name: measured(deed) for name, deed in deeds.items()}
    say(f"\n\n{'what':<30} {'best ms':>8} {'statements':>10}")
    for name, (best, statements) in table.items():
        say(f"{name:<30} {best:>8.0f} {statements:>10}")
    for name, (best, statements) in table.items():
        record(f"reports: {name}", f"{best:.0f} ms, {statements} statements", f"≤ {MOST_MS} ms")
    assert {name: best for name, (best, _) in table.items() if best > MOST_MS} == {}
    assert table["the sums of 100,000 pins"][1] == 1
    assert delivery_totals(pins=wave, revisions=[crowd["second"]], since=since).delivered >= 50 * 50_000


def measured(deed: Callable[[], Any]) -> tuple[float, int]:
    """The best of some runs in milliseconds, and how many statements one takes."""
    with count_queries() as queries:
        deed()
    taken = []
    for _ in range(MEASURED):
        start = time.perf_counter()
        deed()
        taken.append((time.perf_counter() - start) * 1000)
    return min(taken), len(queries)
