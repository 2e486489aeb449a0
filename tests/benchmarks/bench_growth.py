"""What people feel at 100, 1,000, 10,000 and 100,000 pipelines of three pins each, and where that leads.

`make growth` runs it alone, `make bench` with the others. It writes the plot and the table of the page beside it. It
fails where a figure takes more SQL statements in a larger organisation than in a small one, or where what does not
depend on the size takes five times as long.
"""

from collections.abc import Callable
from functools import partial

from accounts.models import Organisation, User
from tests.benchmarks.growth.fleet import Fleet
from tests.benchmarks.growth.measures import Effort, measure
from tests.benchmarks.growth.page import table, write
from tests.benchmarks.loads import served_on_one_core

SIZES = (100, 1_000, 10_000, 100_000)


def test_how_the_figures_grow(
    committed_db: str, organisation: Organisation, admin_user: User, other_core: None, say: Callable[[str], None]
) -> None:
    serve = partial(served_on_one_core, "config.asgi:application", DATABASE_URL=committed_db)
    fleet = Fleet(organisation, admin_user)
    figures = {}
    for size in SIZES:
        fleet.grow(size)
        figures[size] = measure(fleet, serve, Effort())
        say(table(figures))
    write(figures)
