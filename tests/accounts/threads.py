"""Doing something several times at the same moment, each in a thread with a database connection of its own."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection

Outcome = TypeVar("Outcome")


def side_by_side(count: int, act: Callable[[int], Outcome]) -> list[Outcome]:
    """What each of `count` threads got; all begin together, and get their number."""
    start = Barrier(count)

    def run(number: int) -> Outcome:
        try:
            connection.ensure_connection()
            start.wait(timeout=20)
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def tally(outcomes: list[Outcome]) -> dict[Outcome, int]:
    return dict(Counter(outcomes))
