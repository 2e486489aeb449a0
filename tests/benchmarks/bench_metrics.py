"""What `/metrics` asks the database, in an organisation with 100,000 pipelines and 200,000 pins.

`make bench` runs it. It fails where the census takes more than half a second at its best, or more than four statements.
"""

from pipelines.census import take_census
from pipelines.keys import lost_keys
from tests.benchmarks.bench_reports import measured
from tests.benchmarks.last_run import Record

MOST_MS = 500


def test_a_census_takes_half_a_second(crowd: dict[str, str], record: Record) -> None:
    best, statements = measured(take_census)
    looking, _ = measured(lost_keys)
    record(
        "metrics: a census of 200,000 pins", f"{best:.0f} ms, {statements} statements", f"≤ {MOST_MS} ms, 4 statements"
    )
    record("readiness: which keys are lost", f"{looking:.0f} ms")
    assert take_census().pins[crowd["organisation"]].total == 200_000
    assert statements == 4
    assert best < MOST_MS
