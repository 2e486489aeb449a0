"""Keeping memory current: at once when the database says that something changed, and twice a second in any case."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from accounts.errors import Unavailable
from pipelines.feed.clerks import Clerks
from pipelines.feed.reading import Head, Place, Row, heads, one_view, rows_changed
from pipelines.feed.serving.listening import listen
from pipelines.feed.serving.memory import Memory, Organisation
from pipelines.feed.serving.readers import Standing, still_standing

logger = logging.getLogger(__name__)

PIPELINES = "pipelines "
CHECK_EVERY = 0.5  # seconds; so long goes unnoticed what nobody told of
STALE_AFTER = 3.0  # seconds without a check that succeeded, after which nothing is answered from memory
FORGOTTEN_AFTER = 60.0  # seconds for which a token that nobody uses is kept
BEGIN_AGAIN = 1.0  # seconds after a fault that nobody foresaw
ATTEMPTS, PAUSE = 100, 0.02  # how often, and after how many seconds again, a request looks whether memory is ready
MOST_CHANGED = 10_000  # pipelines; after more at once it is cheaper to forget all of the organisation


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the database is asked: organisations with where they stood last time, and tokens."""

    organisations: Mapping[str, Head]
    tokens: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _News:
    """What it answers: where those stand that have moved, with the pipelines that changed, and what tokens there are."""

    moved: Mapping[str, tuple[Head, list[Row] | None]]
    standing: Sequence[Standing] = ()


@dataclass(slots=True)
class _Told:
    """What was said to have changed since the last look."""

    organisations: set[str] = field(default_factory=set)
    everything: bool = False


class Watcher:
    """One task that asks, and one that listens. `fresh_until` is the time up to which memory may be believed."""

    def __init__(self, memory: Memory, clerks: Clerks) -> None:
        self.fresh_until = 0.0
        self._memory = memory
        self._clerks = clerks
        self._told = _Told()
        self._woken = asyncio.Event()
        self._answers = True
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def age(self) -> float | None:
        """Seconds since memory was last compared with the database; None before the first time."""
        return monotonic() - (self.fresh_until - STALE_AFTER) if self.fresh_until else None

    async def ready(self) -> None:
        """Start on first use, and see that memory may be believed. Raises Unavailable."""
        if not self._tasks:
            bodies = (lambda: listen(self.tell), self._watch)
            self._tasks = [asyncio.create_task(for_ever(body)) for body in bodies]
        for _ in range(ATTEMPTS):
            if monotonic() < self.fresh_until:
                return
            if not self._answers:
                break
            await asyncio.sleep(PAUSE)
        raise Unavailable("The database has not answered lately. Try again in a moment, and keep what you have.")

    def tell(self, notice: str | None) -> None:
        """What PostgreSQL notifies of, as `0004_wake_up` has it; or None: anything may have changed.

        The pipelines that a version changed come before it, in the same commit. So a version that follows the one that
        is known takes no statement; whatever else it may be, the database is asked.
        """
        organisation_id, _, fact = (notice or "").partition(" ")
        organisation = self._memory.organisations.get(organisation_id)
        if notice is None:
            self._told.everything = True
        elif organisation is None:
            return
        elif fact.startswith(PIPELINES):
            names = fact.removeprefix(PIPELINES).split()
            organisation.forget(None if names == ["*"] else names, organisation.head.number + 1)
            return
        elif fact == f"version {organisation.head.next.mark}":
            organisation.move(organisation.head.next)
            return
        else:
            self._told.organisations.add(organisation_id)
        self._woken.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        checked = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, checked + CHECK_EVERY - monotonic())):
                    await self._woken.wait()
            self._woken.clear()
            told, self._told = self._told, _Told()
            began = monotonic()
            everything = told.everything or began >= checked + CHECK_EVERY
            if everything:
                checked = began
                self._forget_the_idle(began)
            if await self._look(None if everything else told.organisations) and everything:
                self.fresh_until = began + STALE_AFTER

    async def _look(self, organisations: Iterable[str] | None) -> bool:
        """Whether the database answered about these organisations, or about all."""
        known = self._memory.organisations
        about = [known[key] for key in (known if organisations is None else organisations) if key in known]
        if not about:
            return True
        ids = {organisation.id for organisation in about}
        tokens = [each.token_id for each in self._memory.readers.values() if each.organisation.id in ids]
        asked = _Asked({organisation.id: organisation.confirmed for organisation in about}, tokens)
        try:
            async with self._clerks.one() as clerk:
                news = await clerk.read(lambda: _ask(asked))
            self._take_in(asked, news, about)
        except Exception:
            if self._answers:  # once for each time that it is away
                logger.exception("The feed cannot read whether anything changed")
            self._answers = False
            return False
        self._answers = True
        return True

    def _take_in(self, asked: _Asked, news: _News, about: Iterable[Organisation]) -> None:
        """What was not asked for says nothing: a token that came while the database answered is none that is gone."""
        tokens = set(asked.tokens)
        standing = {each.token_hash: each for each in news.standing}
        for token_hash, reader in list(self._memory.readers.items()):
            if reader.token_id not in tokens:
                continue
            found = standing.get(token_hash)
            if found is None:
                self._memory.dismiss(token_hash)
            else:
                reader.expires_at, reader.pipelines = found.expires_at, found.pipelines
        for organisation in about:
            if organisation.id in news.moved:
                organisation.confirm(*news.moved[organisation.id])

    def _forget_the_idle(self, now: float) -> None:
        """What nobody uses need not be kept current."""
        readers = self._memory.readers
        for token_hash, reader in list(readers.items()):
            if not reader.open and reader.last_asked < now - FORGOTTEN_AFTER:
                del readers[token_hash]
        used = {reader.organisation.id for reader in readers.values()}
        for key in self._memory.organisations.keys() - used:
            self._memory.forget(key)


async def for_ever(body: Callable[[], Awaitable[None]]) -> None:
    """Begin it again whatever ends it: memory stands on it, and nobody else would notice that it is gone."""
    while True:
        try:
            await body()
        except Exception:
            logger.exception("What keeps the feed current has failed, and begins again")
        await asyncio.sleep(BEGIN_AGAIN)


def _ask(asked: _Asked) -> _News:
    """In three statements, and one for each organisation that has moved."""
    with one_view():
        now = heads(asked.organisations.keys())
        moved = {key: (now[key], _changed(key, before, now[key])) for key, before in asked.organisations.items()}
        standing = still_standing(asked.tokens) if asked.tokens else ()
    return _News({key: news for key, news in moved.items() if news[0] != asked.organisations[key]}, standing)


def _changed(organisation_id: str, before: Head, now: Head) -> list[Row] | None:
    if now == before:
        return []
    if now.epoch != before.epoch or now.number < before.number:
        return None
    rows = rows_changed(now, organisation_id, Place(before.number), MOST_CHANGED + 1)
    return rows if len(rows) <= MOST_CHANGED else None
