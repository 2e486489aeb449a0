"""Driving a rollout from a terminal: wave after wave with a bar, until its end or until somebody stops the command."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from accounts.actors import Actor
from pipelines.management.rollouts import RolloutCommand, console_on, find_rollout
from pipelines.models import Rollout, RolloutState
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import pause_rollout

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOST = (
    "The connection to the database is lost. A wave is applied whole or not at all: see how far it came with "
    "manage.py show_rollout {id}. A worker goes on with it; without one, pause and resume it."
)


class ForegroundCommand(RolloutCommand):
    """A command that stays until its rollout ends. Stopped, it finishes the wave in hand and pauses the rollout."""

    def finish(self, actor: Actor, rollout: Rollout, options: Mapping[str, Any]) -> None:
        """Drive the rollout and show what became of it. Raises CommandError where it stopped before its end."""
        try:
            self._drive(actor, rollout)
        except (OperationalError, InterfaceError):
            raise CommandError(LOST.format(id=rollout.pk)) from None
        rollout = find_rollout(actor, rollout.pk)
        self.show(rollout, options)
        if rollout.state != RolloutState.DONE:
            raise CommandError(f"{rollout.pk} is {rollout.state}. {rollout.reason}".strip())

    def _drive(self, actor: Actor, rollout: Rollout) -> None:
        with _stopping() as stop, self._progress(rollout) as show:
            while rollout.state == RolloutState.RUNNING and not stop.is_set():
                rollout = advance(rollout.pk)
                show(rollout)
                stop.wait(_seconds_to_wait(rollout))
        if rollout.state == RolloutState.RUNNING:
            how_far = f"after wave {rollout.waves_applied} of {rollout.wave_count}"
            pause_rollout(actor=actor, rollout_id=rollout.pk, reason=f"{actor.label} stopped the command {how_far}.")
            self.stderr.write(
                f"Stopped {how_far}; no wave is half applied.\n"
                f"  Go on:      manage.py resume_rollout {rollout.pk}\n"
                f"  Take back:  manage.py revert_rollout {rollout.pk}"
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
                    self.stderr.write(f"{how_far}: {done:,} of {total:,}")
                told = now.waves_applied

            yield show


@contextmanager
def _stopping() -> Iterator[Event]:
    """Set by Ctrl-C, SIGTERM or a lost terminal; a second Ctrl-C ends the wave in hand, which then never was."""
    stop = Event()

    def note(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, note) for number in STOPPING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _seconds_to_wait(rollout: Rollout) -> float:
    if rollout.state != RolloutState.RUNNING or rollout.next_at is None:
        return 0
    return max(0.0, (rollout.next_at - timezone.now()).total_seconds())
