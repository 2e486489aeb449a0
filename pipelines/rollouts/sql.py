"""SQL put together from parts, each with its own parameters, for what the ORM has no words for: INSERT … SELECT."""

import json
from collections.abc import Iterable
from string import Formatter
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet


class Sql(NamedTuple):
    """A piece of SQL with `%s` for each of its parameters."""

    text: str
    params: tuple[Any, ...] = ()


def sql(template: str, /, **parts: Any) -> Sql:
    """The template with each `{name}` replaced: by other SQL, by a query, or by a parameter that holds the value."""
    texts: list[str] = []
    params: list[Any] = []
    for literal, name, _, _ in Formatter().parse(template):
        part = _part(parts[name]) if name else Sql("")
        texts += [literal, part.text]
        params += part.params
    return Sql("".join(texts), tuple(params))


def one_of(values: Iterable[Any]) -> Sql:
    """What stands behind IN; a list of nothing matches nothing."""
    held = tuple(values)
    return Sql(f"({', '.join(['%s'] * len(held))})", held) if held else Sql("(NULL)")


def as_json(value: Any) -> Sql:
    """A value of a JSON column."""
    return Sql("CAST(%s AS jsonb)" if connection.vendor == "postgresql" else "%s", (json.dumps(value),))


def run(statement: Sql) -> int:
    """How many rows it wrote."""
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.params)
        return int(cursor.rowcount)


def rows(statement: Sql) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.params)
        return list(cursor.fetchall())


def _part(value: Any) -> Sql:
    if isinstance(value, Sql):
        return value
    if isinstance(value, QuerySet):
        return Sql(*value.query.sql_with_params())
    return Sql("%s", (value,))
