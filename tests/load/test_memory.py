"""What counts as growth, on figures that are made up, and what a process takes."""

import os

import pytest

from tests.load.memory import allocated, descendants, growth_of

MIB = 1024


def samples(*tenths: int) -> list[tuple[float, int]]:
    """A minute of each of these sizes, in MiB."""
    return [(float(60 * part + second), size * MIB) for part, size in enumerate(tenths) for second in range(60)]


@pytest.mark.parametrize(
    ("tenths", "is_level"),
    [
        ((50, 100, 100, 100, 100, 100, 100, 100, 100, 100), True),
        ((50, 100, 101, 102, 101, 103, 102, 101, 102, 102), True),
        ((50, 100, 109, 109, 109, 109, 109, 109, 109, 109), False),
        ((50, 100, 102, 103, 104, 105, 106, 107, 108, 109), False),
        ((99, 100, 150, 150, 150, 150, 150, 150, 150, 100), True),
    ],
)
def test_a_server_is_level_if_its_last_tenth_is_as_its_second(tenths: tuple[int, ...], is_level: bool) -> None:
    growth = growth_of(samples(*tenths))
    assert growth.medians == tuple(size * MIB for size in tenths)
    assert growth.grown == (tenths[-1] - tenths[1]) * MIB
    assert growth.is_level is is_level


def test_the_slope_is_that_after_the_first_tenth_in_kib_a_minute() -> None:
    assert growth_of(samples(*[1, *[100] * 9])).slope == 0
    assert growth_of(samples(*[1, *range(100, 109)])).slope == pytest.approx(MIB, rel=0.02)


def test_what_a_process_takes_is_read_where_linux_tells_it() -> None:
    assert allocated(os.getpid()) > 10 * MIB
    assert allocated(2**22 + 1) == 0  # there is no such process
    assert os.getpid() in descendants(os.getppid())
