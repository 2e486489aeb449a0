"""The benchmark of growth at sizes that take no time: it runs, and what it finds becomes a table and a plot."""

import re
from functools import partial
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from accounts.models import Organisation, User
from tests.benchmarks.bench_growth import FLAT, SIZES
from tests.benchmarks.growth.chart import Panel, draw
from tests.benchmarks.growth.fleet import Fleet
from tests.benchmarks.growth.measures import Effort, measure
from tests.benchmarks.growth.page import FOLDER, PANELS, PLOT, lines_in, statements_grown, write
from tests.benchmarks.loads import served_on_one_core
from tests.benchmarks.page import PAGE
from tests.readme import sections, table

QUICK = Effort(runs=1, seconds=0.2, commits=1, editors=2, page=2)
SVG = "{http://www.w3.org/2000/svg}"


def test_growth_is_measured_and_written_and_takes_no_more_statements(
    committed_db: str, organisation: Organisation, admin_user: User, tmp_path: Path
) -> None:
    serve = partial(served_on_one_core, "config.asgi:application", DATABASE_URL=committed_db)
    fleet = Fleet(organisation, admin_user)
    figures = {}
    for size in (10, 20):
        fleet.grow(size)
        figures[size] = measure(fleet, serve, QUICK)
    assert statements_grown(figures) == {}
    (tmp_path / PAGE.name).write_text(PAGE.read_text())
    write(figures, tmp_path)

    names = [as_in_full(name) for name in figures[10]]
    assert measured_in(tmp_path / PAGE.name) == list(figures[10])
    assert measured_in(PAGE) == names, "Measure anew: make growth"
    assert set(FLAT) <= set(names)
    drawn = [name for unit in PANELS.values() for name in lines_in(unit, figures)]
    assert named_in(tmp_path / PLOT.name) == drawn
    assert named_in(PLOT) == [as_in_full(name) for name in drawn]


def as_in_full(name: str) -> str:
    """What the quick figure is called when `make growth` measures it."""
    return name.replace("REST: 2 p", "REST: 50 p").replace("by 2 ", "by 8 ")


def measured_in(page: Path) -> list[str]:
    """The figures that its table of growth has."""
    return [row[0] for row in table(sections(page.read_text())["How the figures grow"])]


def named_in(plot: Path) -> list[str]:
    """The lines that a plot shows."""
    texts = ElementTree.parse(plot).getroot().iter(f"{SVG}text")  # noqa: S314  # a file of our own
    return [str(text.text) for text in texts if text.get("class", "").startswith("f")]


def test_the_page_shows_the_plot_and_every_size() -> None:
    text = PAGE.read_text()
    shown = dict(re.findall(r"!\[([^]]+)\]\(([^)\s]+)\)", text))
    assert list(shown.values()) == [PLOT.name]
    assert [f"{size:,} pipelines" in text for size in SIZES] == [True] * len(SIZES)


def test_the_page_names_every_benchmark() -> None:
    text = PAGE.read_text()
    assert [path.name for path in sorted(FOLDER.glob("bench_*.py")) if f"`{path.name}`" not in text] == []


def test_a_plot_is_the_same_for_the_same_figures_and_names_do_not_cover_one_another() -> None:
    lines = {f"figure <{number}>": {10: 1.0 + number / 100, 1000: 2.0 + number / 100} for number in range(12)}
    drawn = draw([Panel("Twelve figures", "ms", lines)])
    assert drawn == draw([Panel("Twelve figures", "ms", lines)])
    root = ElementTree.fromstring(drawn)  # noqa: S314  # text of our own
    names = [text for text in root.iter(f"{SVG}text") if text.get("class", "").startswith("f")]
    assert [text.text for text in names] == list(lines)
    places = sorted(float(text.get("y", 0)) for text in names)
    assert min(below - above for above, below in pairwise(places)) >= 16
    assert "prefers-color-scheme: dark" in drawn
