"""Reading what runs: set-based, and in one view of the database however much is written meanwhile."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from pipelines.models import ConfigurationHead, ConfigurationVersion, Pipeline

NAME = re.compile(r"[A-Za-z0-9_]{1,40}")  # what an id or a key of ours can be; nothing else is looked up
FEW_VERSIONS = 500
BATCH = 500  # pipelines that are read at once: few enough to hold, many enough that a statement costs nothing


class Head(NamedTuple):
    """Where an organisation stands: the epoch of its database and its newest configuration version."""

    epoch: str
    number: int

    @property
    def mark(self) -> str:
        return f"{self.epoch}.{self.number}"

    @property
    def next(self) -> "Head":
        return Head(self.epoch, self.number + 1)


NOWHERE = Head("", 0)  # an organisation in which nothing was ever published


class Row(NamedTuple):
    """A pipeline as the feed finds it; `version` is the one in which it last changed."""

    organisation_id: str
    id: str
    key: str
    enabled: bool
    deleted_at: datetime | None
    changed_in: int | None

    @property
    def version(self) -> int:
        return self.changed_in or 0

    def mark(self, epoch: str) -> str:
        return f"{epoch}.{self.version}"

    @property
    def removed(self) -> bool:
        return self.deleted_at is not None


class Place(NamedTuple):
    """How far a reader of changes has come: all up to a version, and of the next ones all up to a pipeline."""

    version: int
    pipeline_id: str = ""


@contextmanager
def one_view() -> Iterator[None]:
    """Every statement inside sees the same commits, and nothing can be written. Not inside of a transaction."""
    with _one_view_of_postgresql() if connection.vendor == "postgresql" else _one_view_of_sqlite():
        yield


@contextmanager
def _one_view_of_postgresql() -> Iterator[None]:
    """The driver says both with its BEGIN, which saves asking for them.

    A connection that died while it was idle is left first: Django would find that at the BEGIN, and begin on a new
    one, to which neither was said.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    driver: psycopg.Connection[Any] = connection.connection
    before = driver.isolation_level, driver.read_only
    driver.isolation_level, driver.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
    try:
        with transaction.atomic():
            yield
    finally:
        if not driver.closed:
            driver.isolation_level, driver.read_only = before


@contextmanager
def _one_view_of_sqlite() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")  # not Django's, which would lock out every writer
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def heads(organisations: Collection[str]) -> dict[str, Head]:
    """Where each of these organisations stands, in one statement."""
    found = ConfigurationHead.objects.filter(pk__in=organisations).values_list("pk", "epoch", "number")
    return dict.fromkeys(organisations, NOWHERE) | {key: Head(epoch, number) for key, epoch, number in found}


def rows_named(names: Collection[str]) -> list[Row]:
    """The pipelines, removed ones too, that have one of these ids or keys; twice where both are named.

    Asked for in one condition, either of two, PostgreSQL would look through all pipelines there are.
    """
    by_id = _values(Pipeline.objects.filter(pk__in=among(names)))
    by_key = _values(Pipeline.objects.filter(pipeline_key__in=among(names)))
    return [Row(*values) for values in by_id.union(by_key, all=True)]


def rows_changed(
    head: Head, organisation_id: str, since: Place, limit: int, only: Collection[str] | None = None
) -> list[Row]:
    """Those that come after this place, removed ones too, in the order of their versions and then of their ids.

    After a bulk change PostgreSQL takes every version for one of 100,000 pipelines, and would read all of them; so it
    is given the versions by name, as far as they are few.
    """
    pipelines = _allowed(Pipeline.objects.all(), only)
    rows: list[Row] = []
    if since.pipeline_id:
        begun = ConfigurationVersion.objects.filter(organisation_id=organisation_id, number=since.version)
        rest = pipelines.filter(changed_in__in=list(begun.values_list("pk", flat=True)), pk__gt=since.pipeline_id)
        rows = _rows(rest.order_by("pk")[:limit])
    if len(rows) == limit or since.version >= head.number:
        return rows
    later = {"changed_in__organisation": organisation_id, "changed_in__number__gt": since.version}
    if head.number - since.version <= FEW_VERSIONS:
        versions = ConfigurationVersion.objects.filter(organisation_id=organisation_id, number__gt=since.version)
        later = {"changed_in__in": list(versions.values_list("pk", flat=True))}
    following = pipelines.filter(**later).order_by("changed_in__number", "pk")
    return rows + _rows(following[: limit - len(rows)])


def batches(organisation_id: str, only: Collection[str] | None = None) -> Iterator[list[Row]]:
    """All pipelines of the organisation that are there, in the order of their ids."""
    there = _allowed(Pipeline.objects.in_organisation(organisation_id), only).order_by("pk")
    batch = _rows(there[:BATCH])
    while batch:
        yield batch
        batch = _rows(there.filter(pk__gt=batch[-1].id)[:BATCH]) if len(batch) == BATCH else []


def among(values: Collection[str]) -> RawSQL:
    """For `__in`: many values as one parameter, since a statement with hundreds of them takes longer to write than to
    run."""
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::text[])", [list(values)])
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(list(values))])


def became_current(organisation_id: str, number: int) -> datetime | None:
    """When a version took effect; None for one that there is not."""
    versions = ConfigurationVersion.objects.filter(organisation_id=organisation_id, number=number)
    return versions.values_list("created_at", flat=True).first()


def by_name(rows: Collection[Row]) -> Mapping[str, Row]:
    """Each under its id and under its key."""
    return {row.id: row for row in rows} | {row.key: row for row in rows}


def _allowed(pipelines: "QuerySet[Pipeline]", only: Collection[str] | None) -> "QuerySet[Pipeline]":
    return pipelines if only is None else pipelines.filter(pk__in=among(only))


def _rows(pipelines: "QuerySet[Pipeline]") -> list[Row]:
    return [Row(*values) for values in _values(pipelines)]


def _values(pipelines: "QuerySet[Pipeline]") -> "QuerySet[Pipeline, tuple[Any, ...]]":
    """What a `Row` is made of."""
    return pipelines.values_list("organisation_id", "pk", "pipeline_key", "enabled", "deleted_at", "changed_in__number")
