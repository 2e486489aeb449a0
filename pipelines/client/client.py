"""The client that an event processor embeds: it answers from memory, and keeps that level with the control plane."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pipelines.client.configs import Integration, PipelineConfig, Unreadable
from pipelines.client.feed import Feed, Refused, Stream, Unavailable
from pipelines.client.follower import Follower
from pipelines.client.pace import Pace
from pipelines.client.reports import Reports
from pipelines.client.running import Change
from pipelines.client.shelf import Shelf
from pipelines.client.store import Store

logger = logging.getLogger(__name__)

GATHERING = 0.3  # seconds in which changes gather before they are reported
NEVER_TAKEN = (400, 413, 422)  # a report that is wrong in itself; whatever else refuses it can pass, as a deploy does


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand: the version that runs, when the control plane last said so, and what is in the way now."""

    epoch: str
    version: int
    pipelines: int
    held: int
    synced_at: datetime | None
    trouble: str
    refused: bool


class Client:
    """What each pipeline is to run, kept current in the background.

    `store` is a file for the last good configuration, of this process alone; None keeps nothing between starts.
    `instance` is the name under which this process reports what it runs, unique under its token and the same again
    after a restart; None reports nothing. `on_change` is called for each pipeline that changed, in a thread of the
    client, which waits for it; of what was on the disk in the thread that calls `start`, before that returns. Start a
    client after forking: threads do not survive that.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        store: Path | None,
        instance: str | None,
        poll_seconds: float = 10.0,
        report_seconds: float = 15.0,
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        self._feed = Feed(url, token)
        self._on_change = on_change
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._hinted = threading.Event()
        self._changed = threading.Event()
        self._releasing = threading.Event()
        self._stream: Stream | None = None
        self._trouble: Exception | None = None
        shelf = Shelf(Store(store, token) if store else None)
        self._follower = Follower(self._feed, shelf, self._stopping, self._took)
        self._reports = Reports(instance, self.config) if instance else None
        bodies = {self._follow: poll_seconds, self._listen: poll_seconds}
        if self._reports is not None:
            bodies[self._report] = report_seconds
        self._threads = [
            threading.Thread(target=body, args=[Pace(seconds)], name=f"pinion{body.__name__}", daemon=True)
            for body, seconds in bodies.items()
        ]

    def start(self) -> None:
        """Take what is on the disk, and go on in the background. The control plane need not be there."""
        if self._follower.load():
            self._ready.set()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End within this many seconds; `config` answers on."""
        self._stopping.set()
        self._hinted.set()
        self._changed.set()
        if stream := self._stream:
            stream.shut()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            self._feed.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def config(self, pipeline: str) -> PipelineConfig | None:
        """What a pipeline, named by id or key, is to run; None if there is nothing to run. Never waits for anything."""
        return self._follower.running.find(pipeline)

    def pipelines(self) -> list[PipelineConfig]:
        return list(self._follower.running.pipelines.values())

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Whether there is a configuration, from the disk or from the control plane, within so many seconds."""
        return self._ready.wait(timeout)

    def count(self, integration: Integration, *, delivered: int = 0, failed: int = 0) -> None:
        """Tell with the next report how many events were delivered by this integration, or could not be."""
        if self._reports is not None:
            self._reports.count(integration, delivered, failed)

    def release_held(self) -> None:
        """Stop the pipelines that a snapshot no longer had and that run on: see `pipelines.client.running`."""
        self._releasing.set()
        self._hinted.set()

    @property
    def status(self) -> Status:
        running, synced = self._follower.running, self._follower.synced_at
        return Status(
            epoch=running.epoch,
            version=running.version,
            pipelines=len(running.pipelines),
            held=self._follower.held,
            synced_at=None if synced is None else datetime.fromtimestamp(synced, UTC),
            trouble=str(self._trouble or ""),
            refused=isinstance(self._trouble, Refused),
        )

    # --- the three threads --------------------------------------------------------------------------------------------

    def _follow(self, pace: Pace) -> None:
        """Ask for changes when the stream hints at some, and from time to time in any case; write what came of it."""
        next_poll = 0.0
        while not self._stopping.is_set():
            if self._hinted.is_set() or time.monotonic() >= next_poll:
                self._hinted.clear()
                next_poll = time.monotonic() + self._attempt(self._catch_up, pace)
            due = self._follower.write()
            wait = next_poll - time.monotonic()
            self._hinted.wait(max(0.0, wait if due is None else min(wait, due)))
        self._follower.write(at_once=True)

    def _listen(self, pace: Pace) -> None:
        """Keep a stream open."""
        while not self._stopping.is_set():
            self._stopping.wait(self._attempt(self._hear, pace))

    def _report(self, pace: Pace) -> None:
        """Tell what changed soon after it did, and from time to time that one is there."""
        while not self._stopping.is_set():
            wait = self._attempt(self._tell, pace)
            if pace.trouble:
                self._stopping.wait(wait)
            elif self._changed.wait(wait):
                self._changed.clear()
                self._stopping.wait(GATHERING)
        if not pace.trouble:
            self._attempt(self._tell, pace)

    # --- one step of each ---------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        if self._releasing.is_set():
            self._releasing.clear()
            self._follower.release_held()
        self._follower.catch_up()
        self._ready.set()

    def _hear(self) -> None:
        running = self._follower.running
        with self._feed.stream(running.epoch, running.version) as stream:
            self._stream = stream
            try:
                for epoch, version in self._until_stopped(stream):
                    running = self._follower.running
                    if epoch != running.epoch or version > running.version:
                        self._hinted.set()
            finally:
                self._stream = None
        raise Unavailable("The stream ended.")

    def _until_stopped(self, stream: Stream) -> Iterator[tuple[str, int]]:
        """Its hints; `stop` may have looked for a stream just before this one was there to be shut."""
        if not self._stopping.is_set():
            yield from stream.hints()

    def _tell(self) -> None:
        """Everything there is to tell, in as many reports as it takes, and at least that one is there."""
        reports = self._reports
        while reports is not None:
            began = time.monotonic()
            try:
                forgotten = reports.answered(self._feed.report(reports.compose()))
            except Refused as refusal:
                if refusal.status in NEVER_TAKEN:
                    reports.give_up()
                raise
            if forgotten or not reports.more or self._stopping.is_set():
                return
            self._stopping.wait(time.monotonic() - began)  # the control plane has others to answer, too

    def _attempt(self, step: Callable[[], None], pace: Pace) -> float:
        """Do it; the seconds until the next time, however it went."""
        began = time.monotonic()
        trouble = _trouble_of(step)
        if trouble is not None and not self._stopping.is_set() and str(trouble) != str(pace.trouble):
            logger.warning("%s What runs goes on. It is tried again.", trouble)
        if step == self._catch_up:
            self._trouble = trouble
        return pace.after(trouble, time.monotonic() - began)

    def _took(self, changes: list[Change]) -> None:
        if self._reports is not None:
            self._reports.mark(change.pipeline_id for change in changes)
            self._changed.set()
        for change in changes if self._on_change else ():
            self._call(change)

    def _call(self, change: Change) -> None:
        try:
            if self._on_change is not None:
                self._on_change(change)
        except Exception as error:  # noqa: BLE001  # it is not ours, and may raise anything
            logger.warning("on_change failed for %s: %s.", change.pipeline_id, type(error).__name__)


def _trouble_of(step: Callable[[], None]) -> Exception | None:
    try:
        step()
    except (Unavailable, Refused, Unreadable) as error:
        return error
    except Exception as error:  # noqa: BLE001  # a fault of ours must not end what keeps this current
        # Without its text and its trace: what stands there can quote a config, and so a secret.
        return Unavailable(f"A fault of the client itself: {type(error).__name__}.")
    return None
