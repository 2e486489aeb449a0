"""What one process knows of the feed without asking: who may read, where each organisation stands, what was built."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.feed.documents import Document
from pipelines.feed.reading import Head, Row

# Of ASGI.
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Message], Awaitable[None]]

MOST_ENTRIES = 500_000  # pipelines of one organisation whose version is kept, about 1 KB each
OVERHEAD = 1000  # bytes that a body takes beside itself
NO_STORE = (b"cache-control", b"no-store")
JSON_TYPE = (b"content-type", b"application/json")


@dataclass(slots=True, eq=False)
class Entry:
    """One pipeline under one of its names, with the answers ready to be sent; one that was never built has no body."""

    pipeline_id: str
    etag: bytes
    unchanged: Message
    start: Message | None = None
    body: Message | None = field(default=None, repr=False)


class Bodies:
    """Those that are kept, all organisations' together; where they take too much, what nobody asks for goes first."""

    def __init__(self, most_bytes: int) -> None:
        self._kept: OrderedDict[Entry, int] = OrderedDict()  # the one used last stands last
        self._bytes = 0
        self._most_bytes = most_bytes

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, entry: Entry) -> None:
        if entry.body is not None:
            self._kept[entry] = size = len(entry.body["body"]) + OVERHEAD
            self._bytes += size
            self._forget_the_oldest()

    def used(self, entry: Entry) -> None:
        """Its body was sent."""
        if entry in self._kept:
            self._kept.move_to_end(entry)

    def drop(self, entry: Entry) -> None:
        """Nobody will ask for it any more; whoever is being sent it still is."""
        self._bytes -= self._kept.pop(entry, 0)

    def _forget_the_oldest(self) -> None:
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            entry, size = self._kept.popitem(last=False)
            entry.start = entry.body = None
            self._bytes -= size


@dataclass(slots=True, eq=False)
class Organisation:
    """One that somebody reads: where it stands as far as is known, and where it stood when the database was last asked.

    `waiting` are the streams that want to know of its next version.
    """

    id: str
    head: Head
    confirmed: Head
    bodies: Bodies
    entries: dict[str, Entry] = field(default_factory=dict)
    awaited: dict[str, int] = field(default_factory=dict)  # names being read: the version that what is read must know
    waiting: set["asyncio.Future[bool]"] = field(default_factory=set)
    event: Message | None = None  # what streams are sent of its head, once it was needed

    def keep(self, name: str, entry: Entry) -> None:
        if len(self.entries) >= MOST_ENTRIES:
            self.clear()
        self._drop(name)
        self.entries[name] = entry
        self.bodies.keep(entry)

    def clear(self) -> None:
        for entry in self.entries.values():
            self.bodies.drop(entry)
        self.entries.clear()

    def forget(self, names: Iterable[str] | None, number: int) -> None:
        """These pipelines, or all, are not what they were: what is read of them from now on must know this version."""
        if names is None:
            self.clear()
            self.awaited = dict.fromkeys(self.awaited, number)
            return
        for name in names:
            self._drop(name)
            if name in self.awaited:
                self.awaited[name] = max(number, self.awaited[name])

    def move(self, head: Head) -> None:
        self.head = head
        self.event = None
        self.wake()

    def confirm(self, head: Head, changed: Iterable[Row] | None) -> None:
        """The database was asked: these pipelines changed since it was last, or too many to say which."""
        if changed is None:
            self.forget(None, head.number)
        for row in changed or ():
            tag = tag_of(row.mark(head.epoch))
            for name in (row.id, row.key):
                entry = self.entries.get(name)
                if entry is None or entry.etag != tag:
                    self.forget([name], row.version)
        restored = head.epoch != self.head.epoch or head.number < self.confirmed.number
        moved = restored or head.number > self.head.number
        self.confirmed = head
        if moved and head != self.head:
            self.move(head)

    def wake(self) -> None:
        waiting, self.waiting = self.waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(True)

    def accepts(self, name: str, seen: Head) -> bool:
        """Whether what was read of this pipeline is not older than what is known by now; ends the wait for it."""
        return seen.number >= self.awaited.pop(name, 0) and seen.epoch == self.head.epoch

    def _drop(self, name: str) -> None:
        if (entry := self.entries.pop(name, None)) is not None:
            self.bodies.drop(entry)


@dataclass(slots=True, eq=False)
class Reader:
    """A processor's token. `expires_at` is in seconds since 1970; `pipelines` are those that it is limited to.

    `open` counts its answers that take their time, streams and snapshots: each must hear that the token is dismissed.
    """

    token_id: str
    organisation: Organisation
    expires_at: float
    pipelines: frozenset[str] | None
    live: bool = True
    open: int = 0
    last_asked: float = 0.0

    def may_read(self, pipeline_id: str) -> bool:
        return self.pipelines is None or pipeline_id in self.pipelines


class Memory:
    """Belongs to the event loop; threads see none of it."""

    def __init__(self, most_bytes: int) -> None:
        self.organisations: dict[str, Organisation] = {}
        self.readers: dict[str, Reader] = {}  # by the hash of the token
        self.bodies = Bodies(most_bytes)

    def organisation(self, organisation_id: str, head: Head) -> Organisation:
        """The one of this id; on first sight it stands where it was just seen."""
        return self.organisations.setdefault(organisation_id, Organisation(organisation_id, head, head, self.bodies))

    def forget(self, organisation_id: str) -> None:
        """Nobody reads it any more."""
        self.organisations.pop(organisation_id).clear()

    def dismiss(self, token_hash: str) -> None:
        """This token opens nothing any more."""
        reader = self.readers.pop(token_hash, None)
        if reader is not None:
            reader.live = False
            reader.organisation.wake()


def entry_of(epoch: str, document: Document | None, row: Row) -> Entry:
    """The answers about one pipeline; without a document only that it has not changed."""
    readable = document is None or document.readable
    etag = tag_of(row.mark(epoch) if readable else f"{row.mark(epoch)}.unreadable")
    shared = [(b"etag", etag), NO_STORE]
    entry = Entry(row.id, etag, {"type": "http.response.start", "status": 304, "headers": shared})
    if document is not None:
        headers = [JSON_TYPE, (b"content-length", str(len(document.line)).encode()), *shared]
        entry.start = {"type": "http.response.start", "status": 200, "headers": headers}
        entry.body = {"type": "http.response.body", "body": document.line}
    return entry


def tag_of(mark: str) -> bytes:
    return f'"{mark}"'.encode()
