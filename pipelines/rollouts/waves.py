"""How a rollout is cut into waves, and how long it waits between them, as people write it."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from accounts.errors import Invalid

MAX_WAVES = 20
MAX_SECONDS = 30 * 24 * 3600
ALL_AT_ONCE = "100%"

_STEP = re.compile(r"([0-9]{1,7})(%?)")
_DURATION = re.compile(r"([0-9]{1,7})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Step(NamedTuple):
    """How far a wave reaches, counted from the first pipeline: so many, or so many percent of all."""

    amount: int
    is_percent: bool

    def reach(self, total: int) -> int:
        """In pipelines, rounded up, and never beyond all."""
        return min(total, -(-total * self.amount // 100) if self.is_percent else self.amount)


def parse_waves(text: str, field: str = "waves") -> tuple[Step, ...]:
    """`1,10%,100%`: each step says how far the rollout has come after it. Raises Invalid.

    The last one is 100%, so that nobody takes a rollout for done which stopped on its way.
    """
    steps = tuple(_step(part.strip(), field) for part in text.split(","))
    if len(steps) > MAX_WAVES:
        raise Invalid.because(field, "too_many", f"A rollout has at most {MAX_WAVES} waves.")
    if steps[-1] != Step(100, True):
        message = "The last wave must be 100%: write 1,10%,100%, or narrow the selection instead."
        raise Invalid.because(field, "incomplete", message)
    return steps


def as_text(steps: Sequence[Step]) -> str:
    """As `parse_waves` reads it."""
    return ",".join(f"{step.amount}{'%' if step.is_percent else ''}" for step in steps)


def reaches(steps: Sequence[Step], total: int) -> list[int]:
    """After how many pipelines each wave ends; waves that would add nothing are left out."""
    ends = [step.reach(total) for step in steps]
    return [end for place, end in enumerate(ends) if end > max(ends[:place], default=0)]


def parse_duration(text: str, field: str) -> int:
    """`90`, `90s`, `10m`, `2h` or `1d`, in seconds. Raises Invalid."""
    found = _DURATION.fullmatch(text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else None
    if seconds is None or seconds > MAX_SECONDS:
        message = "Write a duration as 90s, 10m, 2h or 1d, at most 30 days."
        raise Invalid.because(field, "invalid_duration", message)
    return seconds


def as_duration(seconds: int) -> str:
    """As `parse_duration` reads it, in the largest unit that leaves no rest."""
    fitting = ((unit, length) for unit, length in reversed(_UNITS.items()) if seconds and seconds % length == 0)
    unit, length = next(fitting, ("s", 1))
    return f"{seconds // length}{unit}"


def _step(text: str, field: str) -> Step:
    found = _STEP.fullmatch(text)
    step = Step(int(found[1]), bool(found[2])) if found else None
    if step is None or step.amount == 0 or (step.is_percent and step.amount > 100):
        message = f"{text[:20]!a} is no wave: write a number of pipelines or a percentage, such as 1,10%,100%."
        raise Invalid.because(field, "invalid_wave", message)
    return step
