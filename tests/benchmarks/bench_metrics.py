"""What `/metrics` asks the database, in an organisation with 100,000 pipelines and 200,000 pins.

`make bench` runs it. It fails where the census takes more than half a second at its best, or more than four statements.
"""

from collections.abc import Callable

from pipelines.census import take_census
from pipelines.keys import lost_keys
from tests.benchmarks.bench_reports import measured

MOST_MS = 500


def test_a_census_takes_half_a_second(crowd: dict[str, str], say: Callable[[str], None]) -> None:
    best, statements = measured(take_census)
    looking, _ = measured(lost_keys)
    say(f"\n\na census of 200,000 pins: {best:.0f} ms, {statements} statements\nwhich keys are lost: {looking:.0f} ms")
    assert take_census().pins[crowd["organisation"]].total == 200_000
    assert statements == 4
    assert best < MOST_MS
