"""All that runs in an organisation, and what of it changed after a version: each in one view of the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from accounts.errors import Detail, Gone, Malformed
from pipelines.feed.documents import Documents
from pipelines.feed.reading import BATCH, NAME, Head, Place, Row, batches, became_current, heads, one_view, rows_changed

PAGE_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
SNAPSHOT = "Take a snapshot at /v1/runtime/snapshot, and go on from its version."


@dataclass(frozen=True, slots=True)
class Question:
    """What changed after `since`; `after` goes on inside of a version, `only` are the pipelines the token may read."""

    organisation_id: str
    since: int
    epoch: str | None = None
    after: Place | None = None
    limit: int = BATCH
    only: frozenset[str] | None = None


def snapshot(organisation_id: str, only: frozenset[str] | None, documents: Documents) -> Iterator[bytes]:
    """Lines of JSON, in pieces: where the organisation stands, every pipeline as it runs there, and how many there are.

    It holds no more than a batch of pipelines at once. The view stays open until it is used up or closed.
    """
    close_old_connections()
    with one_view():
        standing = heads([organisation_id])
        head = standing[organisation_id]
        yield f'{{"epoch":"{head.epoch}","version":{head.number}}}\n'.encode()
        count = 0
        for rows in batches(organisation_id, only):
            count += len(rows)
            yield from _pieces(document.line for document in documents.of(standing, rows))
        yield f'{{"count":{count}}}\n'.encode()


def changes(question: Question, documents: Documents) -> bytes:
    """One page of what changed, as it is now, in the order of the versions. Raises Gone and Malformed.

    A version may hold more pipelines than a page. `to_version` is always one that is known in full by then; `after`
    says how far into the next one the page has come.
    """
    with one_view():
        standing = heads([question.organisation_id])
        head = standing[question.organisation_id]
        _require_retained(question, head)
        start = question.after or Place(question.since)
        rows = rows_changed(head, question.organisation_id, start, question.limit + 1, question.only)
        lines = _page(documents, standing, rows[: question.limit])
    done = len(lines)
    to_version, after = _end(rows[done - 1], rows[done]) if done < len(rows) else (head.number, "null")
    more = "true" if done < len(rows) else "false"
    said = (
        f'"epoch":"{head.epoch}","since":{question.since},"to_version":{to_version},"after":{after},"has_more":{more}'
    )
    return b"".join((b"{", said.encode(), b',"changes":[', b",".join(lines), b"]}"))


def read_place(text: str) -> Place:
    """What an answer calls `after`. Raises Malformed."""
    number, _, pipeline_id = text.partition(".")
    if not (number.isascii() and number.isdigit() and len(number) < 19 and NAME.fullmatch(pipeline_id)):
        message = "after is not one that an answer gave. Leave it out: you get what follows since."
        raise Malformed(message, [Detail("after", "invalid", message)])
    return Place(int(number), pipeline_id)


def _page(documents: Documents, standing: dict[str, Head], rows: list[Row]) -> list[bytes]:
    """As many of them as go into one answer, one at least."""
    lines: list[bytes] = []
    size = 0
    for start in range(0, len(rows), BATCH):
        for document in documents.of(standing, rows[start : start + BATCH]):
            size += len(document.line)
            if lines and size > PAGE_BYTES:
                return lines
            lines.append(document.line)
    return lines


def _end(last: Row, following: Row) -> tuple[int, str]:
    """The version that a page ends with, and `after` where it ends inside of the next."""
    if last.version < following.version:
        return last.version, "null"
    return last.version - 1, f'"{last.version}.{last.id}"'


def _require_retained(question: Question, head: Head) -> None:
    """Raises Gone where the reader has to begin anew."""
    if question.epoch not in (None, head.epoch):
        raise Gone(f"The database was restored since: this is another epoch, {head.epoch}. {SNAPSHOT}")
    if question.since > head.number:
        raise Gone(f"There is no version {question.since} here, the newest is {head.number}. {SNAPSHOT}")
    if question.since == head.number:
        return
    ended = became_current(question.organisation_id, question.since + 1)
    if ended is None or ended < timezone.now() - timedelta(days=settings.FEED_RETENTION_DAYS):
        days = settings.FEED_RETENTION_DAYS
        raise Gone(f"Version {question.since} is more than {days} days behind. {SNAPSHOT}")


def _pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines, joined to pieces of a size that is worth sending."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield b"\n".join((*piece, b""))
            piece, size = [], 0
    if piece:
        yield b"\n".join((*piece, b""))
