"""The worker: takes whatever step of whatever rollout is due, until it is told to stop.

Any number of workers may run, on any machine, and be killed at any time: a step is a transaction, and the row lock of
its rollout decides who takes it.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Event

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from pipelines.models import Rollout, RolloutState
from pipelines.rollouts.driving import advance_next

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
PLANS_KEPT = timedelta(days=7)
TIDY_EVERY = timedelta(hours=1)


def work(stop: Event, *, told: Callable[[Rollout], None] = lambda _: None) -> None:
    """Work until `stop` is set; a step that has begun is finished first. `told` hears of every step.

    A database that is away is waited for, ever longer up to half a minute.
    """
    pause = POLL_SECONDS
    tidied_at = timezone.now() - TIDY_EVERY
    while not stop.is_set():
        try:
            if timezone.now() - tidied_at >= TIDY_EVERY:
                forget_old_plans()
                tidied_at = timezone.now()
            work_through(stop, told=told)
            pause = POLL_SECONDS
        except (DatabaseError, InterfaceError):
            logger.exception("A step of a rollout failed. It is tried again in %s seconds.", pause)
            connection.close()
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        stop.wait(pause)
    connection.close()


def work_through(stop: Event, *, told: Callable[[Rollout], None] = lambda _: None) -> int:
    """Take every step that is due now, and return how many there were."""
    steps = 0
    while not stop.is_set() and (rollout := advance_next()):
        told(rollout)
        steps += 1
    return steps


def forget_old_plans() -> int:
    """Delete plans that nobody started within a week; what was started is kept for good."""
    old = Rollout.objects.filter(state=RolloutState.PLANNED, created_at__lt=timezone.now() - PLANS_KEPT)
    return old.delete()[0]
