"""When to ask again: soon, then less often, never all at once, and never more than an interval later."""

import pytest

from pipelines.client.configs import Unreadable
from pipelines.client.feed import Refused, Unavailable
from pipelines.client.pace import LONGEST_PAUSE, Pace

AWAY = Unavailable("It is away.")


def test_after_a_success_half_an_interval_passes_at_least_and_a_whole_one_at_most() -> None:
    waits = [Pace(10).after(None) for _ in range(500)]
    assert 5 <= min(waits) < 5.5
    assert 9.5 < max(waits) <= 10


@pytest.mark.parametrize("trouble", [AWAY, Unreadable("It is no JSON.")])
def test_failures_are_tried_again_soon_then_less_often_and_never_later_than_an_interval(trouble: Exception) -> None:
    for _ in range(100):
        pace = Pace(10)
        waits = [pace.after(trouble) for _ in range(12)]
        assert 0.1 <= waits[0] <= 0.2
        assert 0.2 <= waits[1] <= 0.4
        assert all(5 <= wait <= 10 for wait in waits[8:])
        assert pace.trouble is trouble


def test_a_success_begins_the_count_anew() -> None:
    pace = Pace(10)
    for _ in range(10):
        pace.after(AWAY)
    pace.after(None)
    assert pace.trouble is None
    assert pace.after(AWAY) <= 0.2


def test_what_lasted_an_interval_was_no_failure_to_begin_with() -> None:
    pace = Pace(10)
    for _ in range(10):
        pace.after(AWAY)
    assert pace.after(AWAY, lasted=9) >= 5
    assert pace.after(AWAY, lasted=11) <= 0.2


def test_a_refused_token_is_not_tried_sooner() -> None:
    pace = Pace(10)
    assert all(5 <= pace.after(Refused("No.", 401)) <= 10 for _ in range(50))


@pytest.mark.parametrize(("asked", "least", "most"), [(1, 1, 1.1), (60, 60, 66), (86_400, LONGEST_PAUSE, 330)])
def test_a_retry_after_is_obeyed_within_reason(asked: float, least: float, most: float) -> None:
    waits = [Pace(0.5).after(Unavailable("Later.", asked)) for _ in range(100)]
    assert least <= min(waits) <= max(waits) <= most
    assert len(set(waits)) > 1
