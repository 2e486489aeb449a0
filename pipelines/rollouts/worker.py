"""The worker: takes whatever step of whatever rollout is due, until it is told to stop.

Any number of workers may run, on any machine, and be killed at any time: a step is a transaction, and the row lock of
its rollout decides who takes it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from pipelines.models import Rollout, RolloutState
from pipelines.rollouts.driving import advance_if_free, due_rollouts

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
PLANS_KEPT = timedelta(days=7)
TIDY_EVERY = 3600.0  # seconds


class Stopping(Protocol):
    """What tells a worker to stop: `Stop`, or a `threading.Event` that no signal handler sets."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Stop:
    """As a `threading.Event`, which could hang in a signal handler: its lock is the one that the waiting thread holds."""

    def __init__(self) -> None:
        self._is_set = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._is_set = True
        self._bell.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set, or so many seconds; whether it is set."""
        if not self._is_set and timeout != 0:
            with suppress(Empty):
                self._bell.get(timeout=timeout)
                self._bell.put(None)  # for whoever else waits
        return self._is_set


def work(stop: Stopping, *, told: Callable[[Rollout], None] = lambda _: None) -> None:
    """Work until `stop` is set; a step that has begun is finished first. `told` hears of every step.

    What fails is tried again, ever later up to half a minute, and so is a database that is away.
    """
    pause = POLL_SECONDS
    tidied_at = -inf
    while not stop.is_set():
        try:
            if monotonic() - tidied_at >= TIDY_EVERY:
                forget_old_plans()
                tidied_at = monotonic()
            failed = work_through(stop, told=told)
        except (DatabaseError, InterfaceError):
            logger.exception("The database cannot be asked for rollouts. It is asked again in %s seconds.", pause)
            connection.close()
            failed = True
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS) if failed else POLL_SECONDS
        stop.wait(pause)
    connection.close()


def work_through(stop: Stopping, *, told: Callable[[Rollout], None] = lambda _: None) -> bool:
    """Take every step that is due now; whether any failed. One that fails holds up no other rollout."""
    failed: set[str] = set()
    while not stop.is_set():
        waiting = [rollout_id for rollout_id in due_rollouts() if rollout_id not in failed]
        steps = [_take_step(rollout_id, failed, told) for rollout_id in waiting if not stop.is_set()]
        if not any(steps):
            break
    return bool(failed)


def _take_step(rollout_id: str, failed: set[str], told: Callable[[Rollout], None]) -> bool:
    try:
        rollout = advance_if_free(rollout_id)
    except InterfaceError:
        raise  # there is no connection to try the others on
    except Exception:  # whatever is wrong with one rollout, the others go on
        logger.exception("A step of the rollout %s failed. It is tried again.", rollout_id)
        failed.add(rollout_id)
        return False
    if rollout is not None:
        told(rollout)
    return rollout is not None


def forget_old_plans() -> int:
    """Delete plans that nobody started within a week; what was started is kept for good."""
    old = Rollout.objects.filter(state=RolloutState.PLANNED, created_at__lt=timezone.now() - PLANS_KEPT)
    return old.delete()[0]
