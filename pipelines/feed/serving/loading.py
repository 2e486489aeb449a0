"""Getting what is not in memory: pipelines that are asked for, many at once, each read no older than what is known."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from accounts.errors import NotFound, Unavailable
from pipelines.feed.clerks import Clerks
from pipelines.feed.documents import Document, Documents
from pipelines.feed.reading import BATCH, Head, Row, by_name, heads, one_view, rows_named
from pipelines.feed.serving.memory import Entry, Organisation, entry_of, tag_of
from pipelines.pins import NO_PIPELINE

ATTEMPTS = 20
PAUSE = 0.02  # seconds before reading again what was older than what is known


@dataclass(slots=True, eq=False)
class _Wish:
    """A pipeline that somebody asks for, and the tag of what they have of it."""

    organisation: Organisation
    name: str
    seen: bytes
    entry: "asyncio.Future[Entry | None]"


class _Found(NamedTuple):
    """Where the organisation stood, the pipeline if it is there, and all of it unless it is what was seen."""

    head: Head
    row: Row | None = None
    document: Document | None = None


class Loader:
    """Collects what is asked for while the clerks are busy, and then reads all of it at once."""

    def __init__(self, clerks: Clerks, documents: Documents) -> None:
        self._clerks = clerks
        self._documents = documents
        self._wishes: dict[tuple[str, str], _Wish] = {}
        self._waiting: deque[_Wish] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def entry(self, organisation: Organisation, name: str, seen: bytes) -> Entry:
        """The pipeline as it stands; with its body, unless it is what was seen. Raises NotFound and Unavailable."""
        entry = organisation.entries.get(name)
        for _ in range(ATTEMPTS):
            if entry is not None and (entry.body is not None or entry.etag == seen):
                return entry
            entry = await self._load(organisation, name, seen)
        raise Unavailable("This pipeline changes faster than it can be read. Try again in a moment.")

    async def _load(self, organisation: Organisation, name: str, seen: bytes) -> Entry | None:
        """None if what was read is older than what has become known meanwhile. Raises NotFound."""
        wish = self._wishes.get((organisation.id, name))
        if wish is None:
            wish = _Wish(organisation, name, seen, asyncio.get_running_loop().create_future())
            self._wishes[organisation.id, name] = wish
            self._waiting.append(wish)
            task = asyncio.create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        entry = await asyncio.shield(wish.entry)
        if entry is None:
            await asyncio.sleep(PAUSE)
        return entry

    async def _serve(self) -> None:
        """As soon as a clerk is free, read what waits by then; for most that is what another has read already."""
        async with self._clerks.one() as clerk:
            wishes = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not wishes:
                return
            for wish in wishes:
                wish.organisation.awaited[wish.name] = 0
            try:
                found = await clerk.read(lambda: _read(wishes, self._documents))
            except Exception as error:  # noqa: BLE001  # whoever asked is told, whatever it was
                self._disappoint(wishes, error)
            else:
                for wish, each in zip(wishes, found, strict=True):
                    self._fulfil(wish, each)

    def _fulfil(self, wish: _Wish, found: _Found) -> None:
        del self._wishes[wish.organisation.id, wish.name]
        if not wish.organisation.accepts(wish.name, found.head):
            wish.entry.set_result(None)
        elif found.row is None:
            wish.entry.set_exception(NotFound(NO_PIPELINE))
        else:
            entry = entry_of(found.head.epoch, found.document, found.row)
            if found.document is None or found.document.readable:
                wish.organisation.keep(wish.name, entry)
            wish.entry.set_result(entry)

    def _disappoint(self, wishes: Sequence[_Wish], error: Exception) -> None:
        for wish in wishes:
            del self._wishes[wish.organisation.id, wish.name]
            wish.organisation.awaited.pop(wish.name, None)
            wish.entry.set_exception(error)


def _read(wishes: Sequence[_Wish], documents: Documents) -> list[_Found]:
    """In five statements at most, however many there are."""
    with one_view():
        standing = heads({wish.organisation.id for wish in wishes})
        rows = by_name(rows_named({wish.name for wish in wishes}))
        asked = [(wish, _visible(rows.get(wish.name), wish)) for wish in wishes]
        wanted = {
            row.id: row
            for wish, row in asked
            if row and tag_of(row.mark(standing[row.organisation_id].epoch)) != wish.seen
        }
        made = {document.row.id: document for document in documents.of(standing, list(wanted.values()))}
    return [_Found(standing[wish.organisation.id], row, made.get(row.id) if row else None) for wish, row in asked]


def _visible(row: Row | None, wish: _Wish) -> Row | None:
    there = row is not None and not row.removed and row.organisation_id == wish.organisation.id
    return row if there else None
