"""What a processor tells the control plane: what it runs, and what it delivered. Composed here, sent elsewhere."""

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.client.configs import Integration, PipelineConfig

MOST = 1_000  # of anything in one report
MOST_COUNTED = 100_000  # pairs of integration and revision whose deliveries wait to be told
LARGEST_COUNT = 1_000_000_000
LONGEST_REASON = 200
HELD = "The control plane no longer has what this pipeline runs, and nobody declared that removed."

State = Mapping[str, str]  # what is said of one integration
Find = Callable[[str], PipelineConfig | None]


@dataclass(frozen=True, slots=True)
class Report:
    """The body, and what the control plane knows by it."""

    body: Mapping[str, Any]
    told: list[tuple[str, str, State | None]] = field(default_factory=list)  # pipeline, integration, None: stopped


class Reports:
    """What has been told and what has not. However long nobody listens, it grows no larger than the fleet.

    `mark` and `count` may be called by any thread, the rest belongs to the one that sends. A report that was composed
    stays the same until it is answered or given up, so that telling it twice counts nothing twice.
    """

    def __init__(self, instance: str, find: Find) -> None:
        self._head = {"instance": instance, "run": uuid.uuid4().hex, "started_at": _now()}
        self._find = find
        self._sequence = 0
        self._told: dict[str, dict[str, str]] = {}  # by pipeline and integration, the state as text
        self._waiting: Report | None = None
        self._lock = threading.Lock()  # for what follows; never held while anything is sent
        self._untold: dict[str, None] = {}  # pipelines of which something may be new
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def mark(self, pipeline_ids: Iterable[str]) -> None:
        """Something changed in what these run."""
        with self._lock:
            self._untold.update(dict.fromkeys(pipeline_ids))

    def count(self, integration: Integration, delivered: int, failed: int) -> None:
        """Add to what was delivered; beyond MOST_COUNTED integrations it is left out. Raises ValueError."""
        if delivered < 0 or failed < 0:
            raise ValueError("Nothing is delivered less than zero times.")
        key = integration.id, integration.revision_id
        with self._lock:
            if key in self._counts or len(self._counts) < MOST_COUNTED:
                before = self._counts.get(key, (0, 0))
                self._counts[key] = before[0] + delivered, before[1] + failed

    @property
    def more(self) -> bool:
        """Whether there is something to tell besides that one is there."""
        return bool(self._waiting or self._untold or self._counts)

    def compose(self) -> Mapping[str, Any]:
        """The body to send: the one that was not answered yet, else the next."""
        if self._waiting is None:
            self._sequence += 1
            self._waiting = self._next()
        return self._waiting.body

    def answered(self, said: Mapping[str, Any]) -> bool:
        """Whether the control plane has forgotten what it was told, so that all of it comes with the next reports."""
        self.give_up()
        forgotten = said.get("resend") is True
        if forgotten:
            self.mark(self._told)
            self._told.clear()
        return forgotten

    def give_up(self) -> None:
        """Go on to the next report; what this one said counts as told, for it would be refused again."""
        told = self._waiting.told if self._waiting else []
        self._waiting = None
        for pipeline_id, integration_id, state in told:
            known = self._told.setdefault(pipeline_id, {})
            if state is None:
                known.pop(integration_id, None)
            else:
                known[integration_id] = _text(state)
            if not known:
                del self._told[pipeline_id]

    def _next(self) -> Report:
        told = self._news()
        running = [{"id": integration_id, **state} for _, integration_id, state in told if state is not None]
        stopped = [integration_id for _, integration_id, state in told if state is None]
        body = {**self._head, "sequence": self._sequence, "integrations": running, "stopped": stopped}
        return Report({**body, "deliveries": self._deliveries()}, told)

    def _news(self) -> list[tuple[str, str, State | None]]:
        """As much as a report holds of what is not told yet."""
        news: list[tuple[str, str, State | None]] = []
        while len(news) < MOST and (pipeline_id := self._next_untold()):
            known, states = self._told.get(pipeline_id, {}), _states(self._find(pipeline_id))
            differing = [(name, state) for name, state in states.items() if known.get(name) != _text(state)]
            found = [*differing, *((name, None) for name in known if name not in states)]
            room = MOST - len(news)
            news += [(pipeline_id, name, state) for name, state in found[:room]]
            if len(found) > room:
                self.mark([pipeline_id])
        return news

    def _next_untold(self) -> str | None:
        with self._lock:
            return self._untold.popitem()[0] if self._untold else None

    def _deliveries(self) -> list[Mapping[str, Any]]:
        with self._lock:
            taken = [self._counts.popitem() for _ in range(min(MOST, len(self._counts)))]
            for key, (delivered, failed) in taken:
                rest = max(0, delivered - LARGEST_COUNT), max(0, failed - LARGEST_COUNT)
                if any(rest):
                    self._counts[key] = rest
        return [
            {
                "id": key[0],
                "revision_id": key[1],
                "delivered": min(delivered, LARGEST_COUNT),
                "failed": min(failed, LARGEST_COUNT),
            }
            for key, (delivered, failed) in taken
        ]


def _states(config: PipelineConfig | None) -> dict[str, State]:
    """What is to be said of each integration of a pipeline. What never had a hash cannot be said to be rejected."""
    if config is None:
        return {}
    states = {integration.id: _state(integration, held=config.held) for integration in config.integrations}
    for entry in config.rejected:
        if entry.config_hash:
            states[entry.id] = _said("rejected", entry.revision_id, entry.config_hash, entry.reason)
    return states


def _state(integration: Integration, *, held: bool) -> State:
    reason = integration.kept or (HELD if held else "")
    if not reason:
        return _said("applied", integration.revision_id, integration.config_hash)
    said = _said("kept_last_good", integration.revision_id, integration.config_hash, reason)
    return said | ({"refused_hash": integration.refused_hash} if integration.refused_hash else {})


def _said(state: str, revision_id: str, config_hash: str, reason: str = "") -> dict[str, str]:
    printable = "".join(character if character.isprintable() else " " for character in reason[:LONGEST_REASON]).strip()
    said = {"revision_id": revision_id, "config_hash": config_hash, "state": state}
    return said | ({"reason": printable} if printable else {})


def _text(state: State) -> str:
    """A tenth of the memory, and nothing in which Python would look for rings."""
    return json.dumps(state)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
