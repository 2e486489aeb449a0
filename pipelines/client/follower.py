"""Keeping what runs here level with the control plane, step by step."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from pipelines.client.configs import Unreadable
from pipelines.client.feed import Feed, Gone, Refused, Unavailable
from pipelines.client.running import Change, Running
from pipelines.client.shelf import Shelf

logger = logging.getLogger(__name__)

ASKED_AGAIN = 10  # pipelines a round, of those that are not what the control plane means them to be


class Follower:
    """What runs, and the one hand that changes it: all but what may be read belongs to one thread."""

    def __init__(
        self, feed: Feed, shelf: Shelf, stopping: threading.Event, on_changes: Callable[[list[Change]], None]
    ) -> None:
        self.running = Running()
        self.synced_at: float | None = None  # seconds since the epoch of Unix
        self._feed = feed
        self._shelf = shelf
        self._stopping = stopping
        self._on_changes = on_changes
        self._troubled: dict[str, None] = {}  # pipelines, in the order in which they are asked for again
        self._held: set[str] = set()

    def load(self) -> bool:
        """Start with what was kept on the disk; whether there was anything."""
        found = self._shelf.load()
        if found is None:
            return False
        before, self.running = self.running, found
        self._tell(list(before.changes_to(found)))
        return True

    def catch_up(self) -> None:
        """Raises Unavailable, Refused and Unreadable; what was taken until then is taken."""
        try:
            if self.running.epoch:
                self._take_changes()
            else:
                self._take_snapshot()
        except Gone:
            self._take_snapshot()
        self.synced_at = time.time()
        self._ask_again()

    def write(self, *, at_once: bool = False) -> float | None:
        """Put what runs on the disk if that is due; the seconds until it is, None if nothing changed."""
        due = self._shelf.seconds_until_due()
        if due is not None and (at_once or not due):
            self._shelf.write(self.running)
        return self._shelf.seconds_until_due()

    def release_held(self) -> None:
        """Let go of the pipelines that a snapshot no longer had."""
        self._took(self.running.take_changes(self.running.version, [], list(self._held)))

    @property
    def held(self) -> int:
        """How many there are of them."""
        return len(self._held)

    def _take_changes(self) -> None:
        after: str | None = None
        has_more = True
        while has_more and not self._stopping.is_set():
            since = self.running.version
            page = self._feed.changes(self.running.epoch, since, after)
            self._took(self.running.take_changes(page.version, page.lines, page.removed))
            if page.has_more and (page.version, page.after) == (since, after):
                raise Unreadable("The changes say that there are more and lead nowhere.")
            after, has_more = page.after, page.has_more

    def _take_snapshot(self) -> None:
        before = self.running
        with self._feed.snapshot() as said:
            if said.epoch == before.epoch and said.version < before.version:
                raise Unreadable(
                    f"The control plane is at version {said.version}, and {before.version} of the same epoch runs here: "
                    "it was put back without manage.py new_epoch."
                )
            self.running = before.after_snapshot(said.epoch, said.version, self._until_stopped(said.lines))
        self._shelf.mark()
        self._took(before.changes_to(self.running))
        if self._held:
            logger.warning(
                "The control plane no longer has %d of the pipelines that run here, and nobody declared them removed: "
                "they go on. To let go of them, call release_held().",
                self.held,
            )

    def _until_stopped(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            if self._stopping.is_set():
                raise Unavailable("Stopped.")
            yield line

    def _ask_again(self) -> None:
        """What could not run may be right by now with no version to tell of it: a config that arrived damaged, a
        control plane that has its keys again. Of many a few are asked for, and all where one of these was mended."""
        waiting = len(self._troubled)
        for pipeline_id in list(self._troubled)[:ASKED_AGAIN]:
            self._troubled.pop(pipeline_id)
            self._troubled[pipeline_id] = None  # the others come first the next time
            try:
                line = self._feed.pipeline(pipeline_id)
            except Refused:  # removed in this moment, of which the changes will tell
                continue
            self._took(self.running.take_changes(self.running.version, [line], []))
        if ASKED_AGAIN < len(self._troubled) < waiting:
            self._take_snapshot()

    def _took(self, changes: Iterable[Change]) -> None:
        taken = list(changes)
        if taken:
            self._shelf.mark()
            self._tell(taken)

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            self._troubled.pop(change.pipeline_id, None)
            self._held.discard(change.pipeline_id)
            if change.after is None:
                continue
            if change.after.held:  # and not asked for again: the answer would be what it is held against
                self._held.add(change.pipeline_id)
            elif change.after.troubled:
                self._troubled[change.pipeline_id] = None
        self._on_changes(changes)
