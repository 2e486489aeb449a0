"""Moving every sealed value to the current key, while everything runs, and again from where it stopped."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Substr

from accounts.models import IdempotentAnswer
from integrations.models import SealedValues
from integrations.revisions import sealed_context
from integrations.secrets import current_key_id, reseal
from pipelines.models import Parameter
from pipelines.preflight import parameter_context


@dataclass(frozen=True)
class Shelf:
    """One table with sealed values: its rows that have one, the column, and what each value is bound to."""

    name: str
    rows: Callable[[], QuerySet[Any]]
    column: str
    context: Callable[[Any], str]
    binary: bool = False


def _revision_context(row: SealedValues) -> str:
    return sealed_context(row.pk)


def _parameter_context(row: Parameter) -> str:
    return parameter_context(row.pipeline_id, row.key)


def _answer_context(row: IdempotentAnswer) -> str:
    return row.seal_context


def _kept_answers() -> QuerySet[IdempotentAnswer]:
    """Neither those still being made nor those that hold nothing, such as the keys of forms that were sent."""
    return IdempotentAnswer.objects.exclude(status=0).exclude(body=b"")


SHELVES = (
    Shelf("secrets of revisions", SealedValues.objects.all, "box", _revision_context),
    Shelf("secret parameters", lambda: Parameter.objects.filter(secret=True), "sealed", _parameter_context),
    Shelf("kept answers", _kept_answers, "body", _answer_context, binary=True),
)


def waiting(shelf: Shelf) -> QuerySet[Any]:
    """The rows that are not under the current key yet; key ids are compared exactly, which LIKE on SQLite does not."""
    mark = f"{current_key_id()}:"
    prefix = mark.encode() if shelf.binary else mark
    field = shelf.rows().model._meta.get_field(shelf.column)
    start = Substr(shelf.column, 1, len(prefix), output_field=field)
    found: QuerySet[Any] = shelf.rows().annotate(sealed_under=start).exclude(sealed_under=prefix)
    return found


def rotate(shelf: Shelf, batch: int = 500) -> Iterator[int]:
    """Reseal batch by batch, each in a transaction of its own, and say how many rows each was, until none waits.

    Any number of these may run side by side: each takes rows that no other holds, and in the end waits for those that
    somebody still holds, one by one, so that it never waits while it holds. Raises Unreadable for a value whose key is
    not in the ring; what was resealed before stays so.
    """
    while waiting(shelf).exists():
        yield _rotate_batch(shelf, batch, skip_locked=True) or _rotate_batch(shelf, 1, skip_locked=False)


@transaction.atomic
def _rotate_batch(shelf: Shelf, batch: int, *, skip_locked: bool) -> int:
    rows = list(waiting(shelf).order_by("pk").select_for_update(no_key=True, skip_locked=skip_locked)[:batch])
    for row in rows:
        setattr(row, shelf.column, _resealed(shelf, row))
    shelf.rows().bulk_update(rows, [shelf.column])
    return len(rows)


def _resealed(shelf: Shelf, row: Any) -> str | bytes:
    sealed = getattr(row, shelf.column)
    text = bytes(sealed).decode() if shelf.binary else sealed
    fresh = reseal(text, context=shelf.context(row))
    return fresh.encode() if shelf.binary else fresh
