"""Looking at rollouts all the while: what each glance must show, whoever is killed meanwhile."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from pipelines.models import Rollout
from pipelines.rollouts.progress import count_targets

# One statement sees one moment: a wave that is applied has all of its pins at the new revision, any other has none.
TORN = """
    SELECT wave.rollout_id, wave.number, wave.applied_at, wave.size, counted.before, counted.after
    FROM pipelines_rolloutwave wave JOIN (
        SELECT inner_wave.id, count(CASE WHEN pin.revision_id = target.from_revision_id THEN 1 END) AS before,
            count(CASE WHEN pin.revision_id = target.to_revision_id THEN 1 END) AS after
        FROM pipelines_rolloutwave inner_wave
        JOIN pipelines_rollouttarget target ON target.rollout_id = inner_wave.rollout_id
            AND target.position <= inner_wave.upper AND target.position > inner_wave.upper - inner_wave.size
        LEFT JOIN pipelines_pin pin ON pin.id = target.pin_id
        GROUP BY inner_wave.id
    ) counted ON counted.id = wave.id
    WHERE counted.before <> CASE WHEN wave.applied_at IS NULL THEN wave.size ELSE 0 END
        OR counted.after <> CASE WHEN wave.applied_at IS NULL THEN 0 ELSE wave.size END
"""


class Watch:
    """Glances at rollouts in which every target moves, and nobody else changes anything."""

    def __init__(self, rollouts: Sequence[Rollout]) -> None:
        self.ids = [rollout.pk for rollout in rollouts]
        self.glances = 0
        self.wrong: list[Any] = []
        self._stop = Event()

    def look(self) -> None:
        """Until it is told to stop; while the database is away there is nothing to see."""
        while not self._stop.is_set():
            try:
                self._glance()
                self._stop.wait(0.02)
            except (DatabaseError, InterfaceError):
                connection.close()
                self._stop.wait(0.05)
        connection.close()

    def stop(self) -> None:
        self._stop.set()

    def _glance(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(TORN)
            self.wrong += cursor.fetchall()
        for rollout in Rollout.objects.filter(pk__in=self.ids):
            size = rollout.targets.count()
            counts = {name: count for name, count in count_targets(rollout).items() if count}
            if sum(counts.values()) != size or not counts.keys() <= {"waiting", "moved"}:
                self.wrong.append((rollout.pk, counts))
        self.glances += 1


@contextmanager
def watching(rollouts: Sequence[Rollout]) -> Generator[Watch]:
    """A look at these all the while, on a connection of its own."""
    watch = Watch(rollouts)
    thread = Thread(target=watch.look)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()
