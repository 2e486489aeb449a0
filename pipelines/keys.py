"""Whether the key ring opens what is in the database: a backup without its keys is noticed before anything is served."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import Error, connection
from django.db.models import F, Max, Min, Value
from django.db.models.functions import StrIndex, Substr

from integrations.secrets import Unreadable, unseal
from pipelines.rotation import SHELVES, Shelf

LOST = "Secrets in the database are sealed with the key {key!r}, and PINION_SECRET_KEYS does not open them."
HINT = (
    "Add the key that this database was written with to PINION_SECRET_KEYS, after the one that is to encrypt. If it is "
    "lost for good, set ACCEPT_LOST_SECRETS=true, start, and type the secrets anew."
)
KEPT = [shelf for shelf in SHELVES if not shelf.binary]  # not the answers, which are gone within a day


def lost_keys() -> list[str]:
    """The ids of keys that seal something here and that the ring lacks, or has as another key, in four statements.

    Of each key the first and the last value of each kind are tried: one that was altered alone is no lost key.
    """
    tried = [found for shelf in KEPT for found in _tried(shelf)]
    return sorted({key for key, _ in tried} - {key for key, opens in tried if opens})


def refuse_to_start_without() -> None:
    """Raises Unreadable where keys are lost; a database that does not answer, or holds no tables yet, is `/readyz`'s.

    In a thread of its own: a server that loads this may run an event loop already, or fork later.
    """
    if settings.ACCEPT_LOST_SECRETS:
        return
    with ThreadPoolExecutor(1) as thread:
        lost = thread.submit(_lost_or_unknown).result()
    if lost:
        raise Unreadable(f"{' '.join(LOST.format(key=key) for key in lost)} {HINT}")


def _lost_or_unknown() -> list[str]:
    try:
        return lost_keys()
    except Error:
        return []
    finally:
        connection.close()


def _tried(shelf: Shelf) -> Iterable[tuple[str, bool]]:
    """Each key that seals something on this shelf, with whether it opens a sample of that."""
    under = Substr(shelf.column, 1, StrIndex(F(shelf.column), Value(":")) - 1)
    found = shelf.rows().order_by().annotate(under=under).values_list("under").annotate(Min("pk"), Max("pk"))
    samples = {key: {first, last} for key, first, last in found}
    rows = {row.pk: row for row in shelf.rows().filter(pk__in={pk for pks in samples.values() for pk in pks})}
    for key, pks in samples.items():
        yield key, any(_opens(shelf, rows[pk]) for pk in pks if pk in rows)


def _opens(shelf: Shelf, row: object) -> bool:
    try:
        unseal(getattr(row, shelf.column), context=shelf.context(row))
    except Unreadable:
        return False
    return True
