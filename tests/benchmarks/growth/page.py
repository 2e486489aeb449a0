"""The page about growth: its table and its plot, written anew from figures."""

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import django
from django.db import connection

from tests.benchmarks.growth.chart import Panel, draw
from tests.benchmarks.growth.measures import MS, PER_SECOND, SECONDS, Figure, Figures

FOLDER = Path(__file__).resolve().parents[1]
PAGE, PLOT = FOLDER / "README.md", FOLDER / "growth.svg"
BEGIN, END = "<!-- growth: written by `make growth` -->", "<!-- growth: end -->"
PANELS = {"One at a time": MS, "All of them": SECONDS, "As many as can be": PER_SECOND}

BySize = Mapping[int, Figures]


def write(figures: BySize, folder: Path = FOLDER) -> None:
    """Put the plot beside the page, and the table where the page keeps it."""
    (folder / PLOT.name).write_text(plot(figures))
    page = folder / PAGE.name
    page.write_text(replaced(page.read_text(), f"{conditions()}\n\n{table(figures)}"))


def replaced(text: str, inner: str) -> str:
    """The page with this between its two marks."""
    pattern = rf"(?<={re.escape(BEGIN)}\n).*(?=\n{re.escape(END)})"
    assert re.search(pattern, text, re.DOTALL), "The page has lost its marks."
    return re.sub(pattern, lambda _: f"\n{inner}\n", text, flags=re.DOTALL)


def conditions() -> str:
    """What it was measured on, and how busy that was: a load above 3 on two cores makes every figure worse."""
    with connection.cursor() as cursor:
        version = "sqlite_version()" if connection.vendor == "sqlite" else "current_setting('server_version')"
        cursor.execute(f"SELECT {version}")
        database = f"{connection.display_name} {cursor.fetchone()[0].split()[0]}"
    machine = f"{os.cpu_count()} cores, load average {os.getloadavg()[2]:.0f}"
    return f"Python {platform.python_version()}, Django {django.__version__}, {database}, {machine}."


def table(figures: BySize) -> str:
    """A line for each figure, a column for each size, and the statements where they are the same at every size."""
    sizes = sorted(figures)
    head = ["What", *(f"{size:,} pipelines" for size in sizes), "SQL statements"]
    rows = [
        [name, *(shown(figures[size][name]) for size in sizes), statements([figures[size][name] for size in sizes])]
        for name in figures[sizes[0]]
    ]
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def shown(figure: Figure) -> str:
    """Three digits are as many as a measurement is worth."""
    digits = 0 if figure.value >= 100 else 1 if figure.value >= 10 else 2
    return f"{figure.value:,.{digits}f} {figure.unit}"


def statements(figures: list[Figure]) -> str:
    counts = sorted({figure.statements for figure in figures if figure.statements is not None})
    return " – ".join(map(str, counts))


def grown(figures: BySize) -> dict[str, float]:
    """How many times as much each figure is at the largest size as at the smallest."""
    first, last = figures[min(figures)], figures[max(figures)]
    return {name: last[name].value / first[name].value for name in first}


def statements_grown(figures: BySize) -> dict[str, list[int]]:
    """The figures that take more SQL statements at one size than at another, which none may."""
    first = figures[min(figures)]
    counts = {name: [figures[size][name].statements or 0 for size in sorted(figures)] for name in first}
    return {name: each for name, each in counts.items() if len(set(each)) > 1}


def plot(figures: BySize) -> str:
    return draw([Panel(title, unit, lines_in(unit, figures)) for title, unit in PANELS.items()])


def lines_in(unit: str, figures: BySize) -> dict[str, dict[int, float]]:
    """What was measured in this unit, as a line for each figure."""
    names = [name for name, figure in next(iter(figures.values())).items() if figure.unit == unit]
    return {name: {size: figures[size][name].value for size in sorted(figures)} for name in names}
