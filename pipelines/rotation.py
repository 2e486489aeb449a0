"""Moving every sealed value to the current key, while everything runs, and again from where it stopped."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Model, QuerySet

from accounts.models import IdempotentAnswer
from integrations.models import SealedValues
from integrations.revisions import sealed_context
from integrations.secrets import current_key_id, reseal
from pipelines.models import Parameter
from pipelines.preflight import parameter_context


@dataclass(frozen=True)
class Shelf:
    """One table with sealed values: those that an older key sealed, the column, and what each is bound to."""

    name: str
    rows: Callable[[], QuerySet[Model]]
    column: str
    context: Callable[[Model], str]


def _revision_context(row: Model) -> str:
    return sealed_context(str(row.pk))


def _parameter_context(row: Model) -> str:
    assert isinstance(row, Parameter)
    return parameter_context(row.pipeline_id, row.key)


SHELVES = (
    Shelf("secrets of revisions", lambda: SealedValues.objects.all(), "box", _revision_context),
    Shelf("secret parameters", lambda: Parameter.objects.filter(secret=True), "sealed", _parameter_context),
)


def waiting(shelf: Shelf) -> QuerySet[Model]:
    """The rows that are not under the current key yet."""
    return shelf.rows().exclude(**{f"{shelf.column}__startswith": f"{current_key_id()}:"})


def rotate(shelf: Shelf, batch: int = 500) -> Iterator[int]:
    """Reseal batch by batch, each in a transaction of its own, and say how many rows each was.

    Any number of these may run side by side: each takes rows that no other holds. Raises Unreadable for a value whose
    key is not in the ring; what was resealed before stays so.
    """
    while done := _rotate_batch(shelf, batch):
        yield done


def forget_answers() -> int:
    """Stored answers of idempotent requests are sealed too, live for a day, and can be forgotten instead."""
    rows = IdempotentAnswer.objects.exclude(body__startswith=f"{current_key_id()}:".encode()).exclude(status=0)
    return rows.delete()[0]


@transaction.atomic
def _rotate_batch(shelf: Shelf, batch: int) -> int:
    rows = list(waiting(shelf).order_by("pk").select_for_update(skip_locked=True)[:batch])
    for row in rows:
        setattr(row, shelf.column, reseal(getattr(row, shelf.column), context=shelf.context(row)))
    shelf.rows().model._default_manager.bulk_update(rows, [shelf.column])
    return len(rows)
