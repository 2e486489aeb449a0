"""Driving a rollout from a terminal: wave after wave with a bar, until its end or until somebody stops the command."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from accounts.actors import Actor
from pipelines.management.rollouts import RolloutCommand, console_on, find_rollout, in_short
from pipelines.models import Rollout, RolloutState
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import lock_rollout, pause_rollout
from pipelines.rollouts.worker import Stop

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 1.0  # how soon it is noticed that somebody else paused or ended the rollout
HEARD = b"\nStopping after the wave in hand. Ctrl-C again gives it up.\n"
LOST = (
    "The database failed: {error}. A wave is applied whole or not at all: see how far it came with "
    "manage.py show_rollout {id}. A worker goes on with it; without one, pause and resume it."
)
LEFT = (
    "Left at once. {id} may still run: see manage.py show_rollout {id}, and stop it with manage.py pause_rollout {id}."
)


class ForegroundCommand(RolloutCommand):
    """A command that stays until its rollout ends. Stopped, it finishes the wave in hand and pauses the rollout."""

    def finish(self, actor: Actor, start: Callable[[], Rollout], options: Mapping[str, Any]) -> None:
        """Start, drive and show a rollout. Raises CommandError where it stopped before its end.

        From before the start on a signal is heeded, so that nobody leaves behind what runs and is driven by nobody.
        """
        with stopping() as stop:
            rollout = start()
            try:
                self._drive(rollout, stop)
                self._pause_if_running(actor, rollout.pk)
                self._finish_revert(actor, rollout, stop)
            except (OperationalError, InterfaceError) as error:
                raise CommandError(LOST.format(id=rollout.pk, error=in_short(error))) from None
            except KeyboardInterrupt:
                raise CommandError(LEFT.format(id=rollout.pk)) from None
        rollout = find_rollout(actor, rollout.pk)
        self.show(rollout, options)
        if rollout.state != RolloutState.DONE:
            raise CommandError(f"{rollout.pk} is {rollout.state}. {rollout.reason}".strip())

    def _finish_revert(self, actor: Actor, rollout: Rollout, stop: Stop) -> None:
        """Drive what takes the rollout back, where its gate has started that."""
        for revert in rollout.reverted_by.active():
            self._drive(revert, stop)
            self._pause_if_running(actor, revert.pk)
            taken = find_rollout(actor, revert.pk)
            self.say(f"{rollout.pk} is taken back by {revert.pk}, which is {taken.state}.")

    def _drive(self, rollout: Rollout, stop: Stop) -> None:
        """Until its end, or until a signal, a second Ctrl-C in the middle of a wave, or a terminal that is gone."""
        with suppress(KeyboardInterrupt, OSError), self._progress(rollout) as show:
            while rollout.state == RolloutState.RUNNING and not stop.is_set():
                rollout = advance(rollout.pk)
                show(rollout)
                stop.wait(min(_seconds_to_wait(rollout), LOOK_SECONDS))

    def _pause_if_running(self, actor: Actor, rollout_id: str) -> None:
        """What is true is read under the lock: a worker may have applied, paused or ended something meanwhile."""
        with transaction.atomic():
            rollout = lock_rollout(actor=actor, rollout_id=rollout_id)
            if rollout.state != RolloutState.RUNNING:
                return
            how_far = f"after wave {rollout.waves_applied} of {rollout.wave_count}"
            pause_rollout(actor=actor, rollout_id=rollout_id, reason=f"{actor.label} stopped the command {how_far}.")
        with suppress(OSError):  # nobody reads a terminal that is gone
            self.say(
                f"Stopped {how_far}; no wave is half applied.\n"
                f"  Go on:      manage.py resume_rollout {rollout_id}\n"
                f"  Take back:  manage.py revert_rollout {rollout_id}"
            )

    @contextmanager
    def _progress(self, rollout: Rollout) -> Iterator[Callable[[Rollout], None]]:
        """What to call with the rollout after each step: a bar on a terminal, elsewhere a line for each wave."""
        waves = rollout.waves
        total = sum(waves.values_list("size", flat=True))
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=console_on(self.stderr), disable=not self.stderr.isatty()) as progress:
            bar = progress.add_task("moving", total=total)
            told = rollout.waves_applied

            def show(now: Rollout) -> None:
                nonlocal told
                done = sum(waves.filter(number__lte=now.waves_applied).values_list("size", flat=True))
                how_far = f"wave {now.waves_applied} of {now.wave_count}"
                progress.update(bar, completed=done, description=how_far)
                if progress.disable and now.waves_applied > told:
                    self.say(f"{how_far}: {done:,} of {total:,}")
                told = now.waves_applied

            yield show


@contextmanager
def stopping() -> Iterator[Stop]:
    """Set by Ctrl-C, SIGTERM or a lost terminal; a second Ctrl-C ends the wave in hand, which then never was.

    A lost terminal may tell of itself twice, first by the shell and then by the system: that is no impatience.
    """
    stop = Stop()

    def note(number: int, _: object) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        if not stop.is_set():
            stop.set()
            with suppress(OSError):  # of the system's own, because a signal may interrupt a write to Python's stream
                os.write(2, HEARD)

    with heeding(note):
        yield stop


@contextmanager
def heeding(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """Call this on Ctrl-C, SIGTERM and a lost terminal, except for what the caller ignores: nohup means it."""
    heeded = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _seconds_to_wait(rollout: Rollout) -> float:
    if rollout.state != RolloutState.RUNNING or rollout.next_at is None:
        return 0
    return max(0.0, (rollout.next_at - timezone.now()).total_seconds())
