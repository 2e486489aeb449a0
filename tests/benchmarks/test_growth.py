"""The benchmark of growth at sizes that take no time: it runs, and what it finds becomes a table and a plot."""

import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from accounts.models import Organisation, User
from tests.benchmarks.growth.fleet import Fleet
from tests.benchmarks.growth.measures import Effort, measure
from tests.benchmarks.growth.page import PAGE, PLOT, table, write
from tests.benchmarks.loads import served_on_one_core

QUICK = Effort(runs=1, seconds=0.2, commits=1, editors=2, page=2)


def test_growth_is_measured_and_written(
    committed_db: str, organisation: Organisation, admin_user: User, tmp_path: Path
) -> None:
    serve = partial(served_on_one_core, "config.asgi:application", DATABASE_URL=committed_db)
    fleet = Fleet(organisation, admin_user)
    figures = {}
    for size in (10, 20):
        fleet.grow(size)
        figures[size] = measure(fleet, serve, QUICK)
    (tmp_path / PAGE.name).write_text(PAGE.read_text())
    write(figures, tmp_path)
    print(table(figures))
