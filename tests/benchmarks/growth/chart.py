"""The plot of how figures grow, as an SVG that is read on light and on dark.

Both axes are logarithmic, so what grows as the data does rises at 45 degrees or so, and what does not lies flat. It is
drawn here, a hundred lines, because the libraries that draw such a thing take longer to install than all of the tests'
other packages together; nothing in it depends on the day or the machine, so the same figures give the same file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

Lines = Mapping[str, Mapping[int, float]]  # name → size → value

PANEL, HEIGHT, TOP, BOTTOM = 300, 460, 56, 44
LEFT, LABELS = 64, 232  # beside a panel: the numbers of its axis, and the names of its lines
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


def draw(panels: Sequence[Panel]) -> str:
    """The panels side by side."""
    width = len(panels) * (LEFT + PANEL + LABELS)
    style = STYLE + "".join(
        f".s{number} {{ stroke: var(--c{number}); }}\n.f{number} {{ fill: var(--c{number}); }}\n"
        for number in range(COLOURS)
    )
    drawn = [shape for place, panel in enumerate(panels) for shape in _panel(panel, place * (width / len(panels)))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {HEIGHT}" role="img">',
            f"<title>{escape('; '.join(f'{panel.title}, {panel.unit}' for panel in panels))}, by pipelines</title>",
            f"<style>{style}</style>",
            f'<rect width="{width:g}" height="{HEIGHT}" style="fill: var(--ground)"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, x: float) -> Iterable[str]:
    sizes = sorted({size for values in panel.lines.values() for size in values})
    values = [value for by_size in panel.lines.values() for value in by_size.values()]
    across = _Axis(sizes, x + LEFT, x + LEFT + PANEL)
    up = _Axis(values, HEIGHT - BOTTOM, TOP)
    yield f'<text class="title" x="{x + LEFT:g}" y="22">{escape(panel.title)}</text>'
    yield f'<text x="{x + LEFT:g}" y="42">{escape(panel.unit)}</text>'
    for decade in across.decades():
        yield _rule(across.place(decade), up.start, across.place(decade), up.end)
        yield _text(across.place(decade), HEIGHT - BOTTOM + 18, f"{decade:,.0f}", "middle")
    for decade in up.decades():
        yield _rule(across.start, up.place(decade), across.end, up.place(decade))
        yield _text(across.start - 8, up.place(decade) + 4, f"{decade:,g}", "end")
    yield _text((across.start + across.end) / 2, HEIGHT - 8, "pipelines", "middle")
    yield from _lines(panel.lines, across, up)


def _lines(lines: Lines, across: "_Axis", up: "_Axis") -> Iterable[str]:
    ends = {name: up.place(values[max(values)]) for name, values in lines.items()}
    labels = _apart(ends)
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


def _apart(ends: Mapping[str, float]) -> dict[str, float]:
    """Where each name stands: beside the end of its line, and below the name above it."""
    placed: dict[str, float] = {}
    lowest = float(TOP)
    for name, y in sorted(ends.items(), key=lambda end: end[1]):
        placed[name] = max(y, lowest)
        lowest = placed[name] + LINE_HEIGHT
    over = max(0.0, lowest - LINE_HEIGHT - (HEIGHT - BOTTOM))
    floor_below = float(HEIGHT)
    for name in sorted(placed, key=lambda name: -placed[name]) if over else ():
        placed[name] = floor_below = min(placed[name], HEIGHT - BOTTOM, floor_below - LINE_HEIGHT)
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
