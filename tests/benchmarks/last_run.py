"""The table that ends a run: what was measured, the figure, and its bound; `make bench` puts it on the page."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.benchmarks.page import conditions, write_between

MARKS = ("<!-- last run: written by `make bench` -->", "<!-- last run: end -->")


Record = Callable[..., None]  # of what was measured, its figure, and the bound where there is one


@dataclass
class LastRun:
    """`conditions` is known once the first figure is: it names the database."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    conditions: str = ""

    def record(self, what: str, figure: str, bound: str = "") -> None:
        self.conditions = self.conditions or conditions()
        self.rows.append((what, figure, bound))

    def table(self) -> str:
        rows = [("What", "Figure", "Bound"), ("---", "---", "---"), *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


KEY = pytest.StashKey[LastRun]()


@pytest.fixture
def record(pytestconfig: pytest.Config) -> Record:
    """`record("moving a pin", "0.8 × plain DRF", "≤ 1.0 ×")`."""
    return pytestconfig.stash.setdefault(KEY, LastRun()).record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    last = config.stash.get(KEY, LastRun())
    if not last.rows:
        return
    terminalreporter.section("figures")
    terminalreporter.write_line(last.table())
    if exitstatus == pytest.ExitCode.OK and os.environ.get("BENCH_PAGE"):
        write_between(MARKS, f"{last.conditions}\n\n{last.table()}")
