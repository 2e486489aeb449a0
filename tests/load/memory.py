"""How much memory each server process takes, second by second, and whether that grows.

What counts is the anonymous part of PSS: all that a process has allocated, and its share of what it has in common with
the process that forked it. Programs and libraries are left out: how much of those is a process's own depends on who
else runs just then. A server with several processes counts with all of them. The first tenth of the run is for warming
up: caches fill, and so do connections. After it the medians of the second tenth and of the last one must be level,
within a margin.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, median

MARGIN = 0.05  # of what there was in the second tenth; allocators give back in their own time
PARTS = 10


@dataclass
class Memory:
    """Samples by server, in KiB, each with its time."""

    processes: Mapping[str, int]
    samples: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    async def watch(self, every: float) -> None:
        """Until it is cancelled."""
        while True:
            self.sample()
            await asyncio.sleep(every)

    def sample(self) -> None:
        for name, process in self.processes.items():
            size = sum(allocated(each) for each in [process, *descendants(process)])
            self.samples.setdefault(name, []).append((time.monotonic(), size))


@dataclass(frozen=True)
class Growth:
    """Of one server: the median of each tenth, and how fast it grows after the first, in KiB a minute."""

    medians: tuple[float, ...]
    slope: float

    @property
    def grown(self) -> float:
        return self.medians[-1] - self.medians[1]

    @property
    def is_level(self) -> bool:
        return self.grown <= MARGIN * self.medians[1]


def growth_of(samples: Sequence[tuple[float, int]]) -> Growth:
    began, ended = samples[0][0], samples[-1][0]
    length = (ended - began) / PARTS
    parts: list[list[int]] = [[] for _ in range(PARTS)]
    for at, size in samples:
        parts[min(PARTS - 1, int((at - began) / length))].append(size)
    warm = [(at, size) for at, size in samples if at >= began + length]
    slope = linear_regression([at for at, _ in warm], [size for _, size in warm]).slope
    return Growth(tuple(median(part) for part in parts), slope * 60)


def allocated(process: int) -> int:
    """In KiB; nothing for a process that has just ended."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(text.partition("\nPss_Anon:")[2].split()[0])


def descendants(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from descendants(child)
