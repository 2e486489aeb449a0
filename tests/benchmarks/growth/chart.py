"""The plot of how figures grow, as an SVG that is read on light and on dark.

Both axes are logarithmic, so what grows as the data does rises at 45 degrees or so, and what does not lies flat. It is
drawn here, a hundred lines, because the libraries that draw such a thing take longer to install than all of the tests'
other packages together; nothing in it depends on the day or the machine, so the same figures give the same file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from math import ceil, floor, log10

Lines = Mapping[str, Mapping[int, float]]  # name → size → value

LEFT, PANEL, LABELS = 64, 500, 284  # the numbers of an axis, the drawing, the names of its lines
HIGHEST, PER_LINE, TOP, BOTTOM = 210, 22, 56, 52  # a drawing, more for each of its lines, and what is above and below
LINE_HEIGHT = 17
COLOURS = 8

STYLE = """
svg { --ink: #1f2328; --faint: #d1d9e0; --ground: #ffffff;
  --c0: #0550ae; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #9a6700; --c6: #0a7a8f; --c7: #57606a; }
@media (prefers-color-scheme: dark) { svg { --ink: #f0f6fc; --faint: #3d444d; --ground: #0d1117;
  --c0: #79c0ff; --c1: #ffa657; --c2: #56d364; --c3: #d2a8ff; --c4: #ff9bce; --c5: #e3b341; --c6: #76e3ea; --c7: #9198a1; } }
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; }
.grid { stroke: var(--faint); }
.line { fill: none; stroke-width: 2; }
"""


@dataclass(frozen=True)
class Panel:
    """One drawing: what is named in its title, in this unit."""

    title: str
    unit: str
    lines: Lines

    @property
    def height(self) -> int:
        return TOP + HIGHEST + PER_LINE * max(0, len(self.lines) - 4) + BOTTOM


def draw(panels: Sequence[Panel]) -> str:
    """The panels one below the other."""
    width, height = LEFT + PANEL + LABELS, sum(panel.height for panel in panels)
    colours = "".join(
        f".s{number} {{ stroke: var(--c{number}); }}\n.f{number} {{ fill: var(--c{number}); }}\n"
        for number in range(COLOURS)
    )
    tops = accumulate((panel.height for panel in panels), initial=0)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
            f"<title>{escape('; '.join(f'{panel.title}, {panel.unit}' for panel in panels))}, by pipelines</title>",
            f"<style>{STYLE}{colours}</style>",
            f'<rect width="{width}" height="{height}" style="fill: var(--ground)"/>',
            *(shape for panel, top in zip(panels, tops, strict=False) for shape in _panel(panel, top)),
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, top: int) -> Iterable[str]:
    sizes = {size for values in panel.lines.values() for size in values}
    values = [value for by_size in panel.lines.values() for value in by_size.values()]
    across = _Axis(sizes, LEFT, LEFT + PANEL)
    up = _Axis(values, top + panel.height - BOTTOM, top + TOP)
    yield f'<text class="title" x="{LEFT}" y="{top + 24}">{escape(panel.title)}</text>'
    yield f'<text x="{LEFT}" y="{top + 44}">{escape(panel.unit)}</text>'
    for decade in across.decades():
        yield _rule(across.place(decade), up.start, across.place(decade), up.end)
        yield _text(across.place(decade), up.start + 18, f"{decade:,.0f}", "middle")
    for decade in up.decades():
        yield _rule(across.start, up.place(decade), across.end, up.place(decade))
        yield _text(across.start - 8, up.place(decade) + 4, f"{decade:,g}", "end")
    yield _text((across.start + across.end) / 2, up.start + 36, "pipelines", "middle")
    yield from _lines(panel.lines, across, up)


def _lines(lines: Lines, across: "_Axis", up: "_Axis") -> Iterable[str]:
    ends = {name: up.place(values[max(values)]) for name, values in lines.items()}
    labels = _apart(ends, up)
    for number, (name, values) in enumerate(lines.items()):
        colour = number % COLOURS
        points = [(across.place(size), up.place(value)) for size, value in sorted(values.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        x, y = points[-1]
        dashes = ' stroke-dasharray="6 3"' if number >= COLOURS else ""
        yield f'<polyline class="line s{colour}" points="{path}"{dashes}/>'
        yield from (f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
        yield f'<polyline class="line s{colour}" style="stroke-width: 1" points="{x:.1f},{y:.1f} {x + 22:.1f},{labels[name]:.1f}"/>'
        yield f'<text class="f{colour}" x="{x + 27:.1f}" y="{labels[name] + 4:.1f}">{escape(name)}</text>'


def _apart(ends: Mapping[str, float], up: "_Axis") -> dict[str, float]:
    """Where each name stands: beside the end of its line, below the name above it, and none below the drawing."""
    placed: dict[str, float] = {}
    lowest = up.end
    for name in sorted(ends, key=lambda name: ends[name]):
        placed[name] = max(ends[name], lowest)
        lowest = placed[name] + LINE_HEIGHT
    highest = up.start
    for name in reversed(list(placed)):
        placed[name] = min(placed[name], highest)
        highest = placed[name] - LINE_HEIGHT
    return placed


class _Axis:
    """Powers of ten between two places of the drawing."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        logs = [log10(value) for value in values]
        self.low, self.high = floor(min(logs)), max(ceil(max(logs)), floor(min(logs)) + 1)
        self.start, self.end = start, end

    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]

    def place(self, value: float) -> float:
        return self.start + (self.end - self.start) * (log10(value) - self.low) / (self.high - self.low)


def _rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path class="grid" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
