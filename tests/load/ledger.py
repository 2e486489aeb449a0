"""What the clients note while they work: every answer, every change that they were told is done, every surprise."""

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """One request as the client that sent it saw it. `kind` is its operation in the OpenAPI file, or a page."""

    kind: str
    status: int
    code: str
    began: float
    seconds: float


@dataclass(frozen=True, order=True)
class Line:
    """What history must say of one thing after a change; all of it None where the thing is gone."""

    pipeline_id: str
    subject: str
    subject_id: str
    revision_id: str | None = None
    enabled: bool | None = None
    value: str | None = None


@dataclass(frozen=True)
class Change:
    """A change that was accepted: the ids of the requests that asked for it, of which one did it, and what it wrote."""

    request_ids: tuple[str, ...]
    actions: tuple[str, ...]
    lines: tuple[Line, ...]
    answered_at: float


@dataclass
class Ledger:
    """All of it; times are those of `time.monotonic`."""

    answers: list[Answer] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    nothing: set[str] = field(default_factory=set)  # requests that must have left nothing: refused, or a dry run
    surprises: list[str] = field(default_factory=list)
    replayed: int = 0
    given_up: int = 0
    latest: float = 0.0  # seconds by which the clock of a client was missed at most
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_request_id(self) -> str:
        return f"load-{next(self._numbers):07}"

    def done(self, request_ids: Iterable[str], actions: Iterable[str], lines: Iterable[Line]) -> None:
        self.changes.append(Change(tuple(request_ids), tuple(actions), tuple(lines), time.monotonic()))

    def surprise(self, sentence: str) -> None:
        self.surprises.append(sentence)
