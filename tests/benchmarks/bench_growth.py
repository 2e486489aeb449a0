"""What people feel at 100, 1,000, 10,000 and 100,000 pipelines of three pins each.

`make growth` runs it alone, `make bench` with the others. On PostgreSQL it writes the plot and the table of the page
beside it. It fails where a figure takes more SQL statements in a large organisation than in a small one, or where what
does not depend on the size takes five times as long.
"""

from collections.abc import Callable
from functools import partial

from accounts.models import Organisation, User
from tests.benchmarks.growth.fleet import Fleet
from tests.benchmarks.growth.measures import Effort, measure
from tests.benchmarks.growth.page import grown, statements_grown, table, write
from tests.benchmarks.loads import served_on_one_core

SIZES = (100, 1_000, 10_000, 100_000)
FLAT = (
    "REST: 50 pins",
    "REST: pins, page 1,000 or the last",
    "REST: 50 pipelines",
    "REST: pipelines, page 1,000 or the last",
    "REST: moving one pin",
    "Feed: from commit to seen",
    "… per pin planned",
    "… per pin moved",
    "… per pipeline sent",
    "memory of the feed's process",
)
MOST_TIMES = 5.0


def test_how_the_figures_grow(
    committed_db: str,
    database_kind: str,
    organisation: Organisation,
    admin_user: User,
    other_core: None,
    say: Callable[[str], None],
) -> None:
    serve = partial(served_on_one_core, "config.asgi:application", DATABASE_URL=committed_db)
    fleet = Fleet(organisation, admin_user)
    figures = {}
    for size in SIZES:
        fleet.grow(size)
        figures[size] = measure(fleet, serve, Effort())
        say(f"{size:,} pipelines are measured")
    say(f"\n{table(figures)}")
    if database_kind == "postgresql":
        write(figures)
    large = {
        size: figures[size] for size in SIZES[1:]
    }  # from 1,000 targets on a plan lets the database count them anew
    assert statements_grown(large) == {}
    assert {name: times for name, times in grown(figures).items() if name in FLAT and times > MOST_TIMES} == {}
