"""Many rows in one statement, the same one however many: they travel as one JSON text."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model

UPSERT = """
    INSERT INTO {table} AS kept ({names})
    SELECT {values} FROM {rows} WHERE true ORDER BY {order}
    ON CONFLICT ({unique}) DO UPDATE SET {changes}
"""


def upsert(
    model: type[Model],
    *,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    same: Mapping[str, Any],
    unique: Sequence[str],
    added: Collection[str] = (),
) -> None:
    """Insert the rows, or change those that are there: `added` columns grow by what comes, all others become it.

    `columns` are those of the rows, with their PostgreSQL types; `same` are the values that all of them share. Rows
    are written in the order of the unique key, so that two who write the same ones wait for one another instead of
    ending in a deadlock. No two rows may have the same key.
    """
    if not rows:
        return
    names = [*same, *columns]
    kept = [name for name in names if name not in unique]
    statement = UPSERT.format(
        table=connection.ops.quote_name(model._meta.db_table),
        names=", ".join(names),
        values=", ".join([*("%s" for _ in same), *columns]),
        rows=_source(columns),
        order=", ".join(name for name in unique if name in columns),
        unique=", ".join(unique),
        changes=", ".join(f"{name} = {f'kept.{name} + ' if name in added else ''}excluded.{name}" for name in kept),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*map(_adapted, same.values()), json.dumps(list(rows))])


def _source(columns: Mapping[str, str]) -> str:
    if connection.vendor == "postgresql":
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        return f"jsonb_to_recordset(%s::jsonb) AS sent({typed})"
    parts = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {parts} FROM json_each(%s)) AS sent"  # noqa: S608  # names of our own columns


def _adapted(value: Any) -> Any:
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
