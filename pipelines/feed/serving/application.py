"""The ASGI application of the runtime feed: `/v1/runtime` as processors read it, with no SQL while nothing changes."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from time import monotonic, time
from typing import Any, NamedTuple

from django.conf import settings

from accounts.credentials import MISSING, hashed
from accounts.errors import NotFound, Unauthenticated, Unavailable
from pipelines.feed.changes import changes, snapshot
from pipelines.feed.clerks import Clerks
from pipelines.feed.documents import Documents
from pipelines.feed.reading import NAME
from pipelines.feed.serving.addresses import CHANGES, PIPELINE, SNAPSHOT, STREAM, question_of, require_no_query
from pipelines.feed.serving.loading import Loader
from pipelines.feed.serving.memory import JSON_TYPE, NO_STORE, Entry, Memory, Message, Reader, Receive, Send
from pipelines.feed.serving.pieces import send_pieces
from pipelines.feed.serving.readers import identify
from pipelines.feed.serving.streams import Streams
from pipelines.feed.serving.watching import Watcher
from pipelines.pins import NO_PIPELINE

logger = logging.getLogger(__name__)

Scope = Mapping[str, Any]

READERS = 4  # threads, and so connections, that read what is not in memory
DOORMEN = 2  # of their own for tokens, so that nobody gets in the way who has none
SNAPSHOTS = 3  # at once
QUEUE = 20.0  # seconds for which one more waits for its turn
PAGE_QUEUE = (
    5.0  # seconds for which changes wait for theirs: less than the client does, and all who come after wait too
)
SCHEME = b"Bearer "
NOTHING: Message = {"type": "http.response.body", "body": b""}


class Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def __repr__(self) -> str:
        """Without the body, which holds secrets."""
        return f"Answer({self.status})"


class Standing(NamedTuple):
    """How the feed of this process is doing: streams and snapshots under way, and for how long memory was not compared with the database.

    The age is None where nothing has been read yet, since then nothing is kept.
    """

    streams: int
    age: float | None


class Feed:
    """One for a process. `refuse` says how a refusal or a fault is answered, as everywhere else."""

    def __init__(self, refuse: Callable[[Exception], Answer]) -> None:
        self._refuse = refuse
        self._memory = Memory(settings.FEED_CACHE_MB * 1024 * 1024)
        self._documents = Documents()
        self._clerks, self._doormen, self._scribes = Clerks(READERS), Clerks(DOORMEN), Clerks(SNAPSHOTS)
        self._loader = Loader(self._clerks, self._documents)
        self._lookout = Clerks(1)  # the watcher's own: what makes memory believed waits behind no reader
        self._watcher = Watcher(self._memory, self._lookout)
        self._streams = Streams(settings.FEED_HEARTBEAT_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bearer = seen = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                bearer = value
            elif name == b"if-none-match":
                seen = value
        entry = self._known(scope, bearer)
        if entry is not None and entry.etag == seen:
            await send(entry.unchanged)
            await send(NOTHING)
        elif entry is not None and entry.start and entry.body and not seen:
            self._memory.bodies.used(entry)
            await send(entry.start)
            await send(entry.body)
        else:
            await self._answer(scope, receive, send, bearer, seen)

    def standing(self) -> Standing:
        return Standing(sum(reader.open for reader in self._memory.readers.values()), self._watcher.age)

    def end_streams(self) -> None:
        """Each after what it is being sent just now; new ones end at once."""
        self._streams.close()
        for organisation in self._memory.organisations.values():
            organisation.wake()

    async def stop(self) -> None:
        """End what is open and running, and close every connection."""
        self.end_streams()
        await self._watcher.stop()
        for clerks in (self._clerks, self._doormen, self._scribes, self._lookout):
            clerks.dismiss()

    def _known(self, scope: Scope, bearer: bytes) -> Entry | None:
        """The pipeline asked for, if memory knows it and who asks, and may be believed: the way of nearly all."""
        reader = self._memory.readers.get(hashlib.sha256(bearer[7:]).hexdigest())
        now = monotonic()
        if reader is None or bearer[:7] != SCHEME or now > self._watcher.fresh_until or time() > reader.expires_at:
            return None
        reader.last_asked = now
        entry = reader.organisation.entries.get(scope["path"][len(PIPELINE) :])
        if entry is None or scope["query_string"] or not reader.may_read(entry.pipeline_id):
            return None
        return entry

    async def _answer(self, scope: Scope, receive: Receive, send: Send, bearer: bytes, seen: bytes) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._serve(scope, receive, sending, bearer, seen)
        except Exception as error:
            if started:  # an answer without its end is one that no reader takes for whole
                logger.exception("An answer of the feed broke off")
                return
            await _say(send, self._refuse(error))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, bearer: bytes, seen: bytes) -> None:
        """Raises Refused, and whatever else can go wrong."""
        await self._watcher.ready()
        reader = await self._reader(bearer)
        path: str = scope["path"]
        if path == CHANGES:
            await self._changes(scope, reader, send)
            return
        require_no_query(scope)
        if path == STREAM:
            await self._streams.serve(reader, _last_event_id(scope), receive, send)
        elif path == SNAPSHOT:
            await self._snapshot(reader, receive, send)
        else:
            await self._pipeline(path[len(PIPELINE) :], reader, seen, send)

    async def _reader(self, bearer: bytes) -> Reader:
        """Raises Unauthenticated and Forbidden."""
        scheme, _, token = bearer.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated(MISSING)
        token_hash = hashed(token.strip())
        reader = self._memory.readers.get(token_hash)
        if reader is None or time() > reader.expires_at:
            standing, head = await self._doormen.read(token_hash, lambda: identify(token.strip()))
            organisation = self._memory.organisation(standing.organisation_id, head)
            reader = Reader(standing.token_id, organisation, standing.expires_at, standing.pipelines)
            reader = self._memory.readers.setdefault(token_hash, reader)
        reader.last_asked = monotonic()
        return reader

    async def _pipeline(self, name: str, reader: Reader, seen: bytes, send: Send) -> None:
        if not NAME.fullmatch(name):
            raise NotFound(NO_PIPELINE)
        simple = seen[:1] == b'"' and b"," not in seen
        entry = await self._loader.entry(reader.organisation, name, seen if simple else b"")
        if not reader.may_read(entry.pipeline_id):
            raise NotFound(NO_PIPELINE)
        if _names(seen, entry.etag) or entry.start is None or entry.body is None:
            await send(entry.unchanged)
            await send(NOTHING)
        else:
            await send(entry.start)
            await send(entry.body)

    async def _changes(self, scope: Scope, reader: Reader, send: Send) -> None:
        question = question_of(scope, reader.organisation.id, reader.pipelines)
        try:
            body = await self._clerks.read(question, lambda: changes(question, self._documents), patience=PAGE_QUEUE)
        except TimeoutError:
            raise Unavailable("Too many changes are being read just now. Try again in a moment.") from None
        await _say(send, Answer(200, [JSON_TYPE, NO_STORE], body))

    async def _snapshot(self, reader: Reader, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(QUEUE):
                    scribe = await stack.enter_async_context(self._scribes.one())
            except TimeoutError:
                raise Unavailable("Too many snapshots are being read just now. Try again in a moment.") from None
            lines = snapshot(reader.organisation.id, reader.pipelines, self._documents)
            pieces = await stack.enter_async_context(aclosing(scribe.each(lines)))
            await send_pieces(pieces, reader, receive, send)


def _last_event_id(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"last-event-id"), "")


def _names(seen: bytes, etag: bytes) -> bool:
    """Whether an `If-None-Match` holds this tag."""
    tags = {tag.strip().removeprefix(b"W/") for tag in seen.split(b",")}
    return etag in tags or b"*" in tags


async def _say(send: Send, answer: Answer) -> None:
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
