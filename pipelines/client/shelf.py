"""When the disk is read and written, and what is said where it cannot be: processing goes on from memory then."""

import logging
import time

from pipelines.client.configs import Unreadable
from pipelines.client.running import Running, from_lines, to_lines
from pipelines.client.store import Damaged, Store

logger = logging.getLogger(__name__)

REST = 9.0  # times as long as a write took, until the next one: a large fleet writes a tenth of the time at most
AGAIN = 5.0  # seconds after a write that failed


class Shelf:
    """Keeps what runs on the disk, so that the next start has it. Without a store it keeps nothing."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._stale = False
        self._failing = False
        self._next = 0.0

    def load(self) -> Running | None:
        """What was kept last; None where there is nothing, or nothing that is whole."""
        if self._store is None:
            return None
        try:
            lines = self._store.read()
            return from_lines(lines) if lines is not None else None
        except (Damaged, Unreadable, OSError) as error:
            logger.warning(
                "The last good configuration in %s is not used: %s It is written anew.", self._store.path, error
            )
            return None

    def mark(self) -> None:
        """Something changed."""
        self._stale = self._store is not None

    def seconds_until_due(self) -> float | None:
        return max(0.0, self._next - time.monotonic()) if self._stale else None

    def write(self, running: Running) -> None:
        """Whatever happens on the disk, what runs is not touched by it."""
        if self._store is None:
            return
        began = time.monotonic()
        try:
            self._store.write(to_lines(running))
        except Exception as error:  # noqa: BLE001  # a fault of ours must not end what keeps this current
            if not self._failing:
                logger.warning("%s cannot be written: %s. Going on from memory.", self._store.path, _reason(error))
            self._failing, self._next = True, began + AGAIN
        else:
            if self._failing:
                logger.warning("%s is written again.", self._store.path)
            ended = time.monotonic()
            self._stale, self._failing, self._next = False, False, ended + REST * (ended - began)


def _reason(error: Exception) -> str:
    """Of a fault that is not the disk's the type alone: its text can quote a config, and so a secret."""
    return error.strerror or "" if isinstance(error, OSError) else type(error).__name__
