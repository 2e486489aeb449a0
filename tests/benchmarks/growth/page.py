"""The page about growth: its table and its plot, written anew from figures."""

from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.growth.chart import Panel, draw
from tests.benchmarks.growth.measures import MS, PER_SECOND, SECONDS, Figure, Figures
from tests.benchmarks.page import PAGE, conditions, write_between

FOLDER = PAGE.parent
PLOT = FOLDER / "growth.svg"
MARKS = ("<!-- growth: written by `make growth` -->", "<!-- growth: end -->")
PANELS = {"One at a time": MS, "All of them": SECONDS, "As many as can be": PER_SECOND}

BySize = Mapping[int, Figures]


def write(figures: BySize, folder: Path = FOLDER) -> None:
    """Put the plot beside the page, and the table where the page keeps it."""
    (folder / PLOT.name).write_text(plot(figures))
    write_between(MARKS, f"{conditions()}\n\n{table(figures)}", folder / PAGE.name)


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
