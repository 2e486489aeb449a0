"""When to ask again: spread over time, so that a fleet which lost the control plane does not return as one."""

from random import SystemRandom

from pipelines.client.feed import Refused, Unavailable

SOONEST = 0.1
LONGEST_PAUSE = 300.0  # the most that a Retry-After is obeyed

_random = SystemRandom()


class Pace:
    """Waits of at most `interval` seconds between attempts, short at first when something fails.

    Only a Retry-After makes a wait longer. Where the control plane refuses the token, asking more often is of no use.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.trouble: Exception | None = None
        self._failures = 0

    def after(self, trouble: Exception | None, lasted: float = 0.0) -> float:
        """The seconds to wait after an attempt that ended with this trouble or with none.

        What lasted a whole interval was no failure to begin with, such as a stream that ends when its server does.
        """
        self.trouble = trouble
        before = 0 if lasted > self.interval else self._failures
        self._failures = before + 1 if trouble else 0
        if trouble is None or isinstance(trouble, Refused):
            return _spread(self.interval)
        wait = _spread(min(self.interval, SOONEST * 2.0 ** min(self._failures, 20)))
        asked = min(trouble.retry_after, LONGEST_PAUSE) if isinstance(trouble, Unavailable) else 0.0
        return max(wait, asked * _random.uniform(1.0, 1.1))


def _spread(seconds: float) -> float:
    """Somewhere between half of it and all of it."""
    return _random.uniform(seconds / 2, seconds)
