"""Statements that are sent again and again, made into SQL once, and sent together where nothing waits for their answers.

Django takes longer to write such a statement than PostgreSQL takes to answer it. What is asked stays a queryset here, and
what is written a model; only the writing of SQL, and the waiting between one statement and the next, are saved.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from django.db import connection, transaction
from django.db.models import Field, Model, QuerySet
from django.db.models.sql import InsertQuery
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row")
Statement = tuple[str, Sequence[Any]]
Fields = list["Field[Any, Any]"]

MODELS = 100  # more than there are: how many of their statements are kept

_waiting: ContextVar[list[Statement] | None] = ContextVar("waiting", default=None)


class CompiledQuery(Generic[Row]):
    """A queryset with gaps for texts: `CompiledQuery(lambda value: User.objects.filter(pk=value("id"))).first(id=…)`."""

    def __init__(self, build: "Callable[[Callable[[str], Any]], QuerySet[Any, Row]]") -> None:
        self._build = build

    def first(self, **values: str) -> Row | None:
        """For a queryset that finds one row at most."""
        return next(iter(self.all(**values)), None)

    def all(self, **values: str) -> list[Row]:
        """Raises TransactionManagementError for a lock outside of a transaction, as the queryset itself does."""
        queryset = self._queryset.all()
        if queryset.query.select_for_update and connection.get_autocommit():
            raise TransactionManagementError("These rows are locked: ask for them inside of a transaction.")
        # All that Django does with a compiler happens as ever, but that this one need not write the SQL.
        queryset.query.get_compiler = lambda *_, **__: self._compiler(values)  # type: ignore[method-assign]  # of this copy alone
        return list(queryset)

    @cached_property
    def _queryset(self) -> "QuerySet[Any, Row]":
        return self._build(_Gap)

    @cached_property
    def _compiled(self) -> tuple[Any, str, tuple[Any, ...]]:
        compiler = self._queryset.query.get_compiler(connection=connection)
        return compiler, *compiler.as_sql()

    def _compiler(self, values: dict[str, str]) -> Any:
        compiled, sql, parameters = self._compiled
        filled = tuple(values[each] if isinstance(each, _Gap) else each for each in parameters)
        compiler = copy(compiled)
        compiler.connection = connection  # the one of this thread
        compiler.as_sql = lambda *_, **__: (sql, filled)
        return compiler


class _Gap(str):
    """Stands in a statement for the value of this name."""

    __slots__ = ()


@contextmanager
def together() -> Generator[None]:
    """What `insert`, `update` and `execute` are given inside is sent at the end, to PostgreSQL in one go.

    So nothing inside may read what was written inside, and errors come out of the outermost block.
    """
    if _waiting.get() is not None:
        yield
        return
    with _gathered() as statements:
        yield
    _send(statements)


@contextmanager
def committed_together() -> Generator[None]:
    """A transaction whose last words are sent together with its COMMIT, under the rules of `together`.

    So the locks that they take, such as that of an organisation's configuration version, are held for no longer than
    the database itself needs, however busy this process is. Inside another transaction that one commits.
    """
    with transaction.atomic():
        with _gathered() as statements:
            yield
        if connection.needs_rollback:
            return
        if statements and _is_outermost() and connection.vendor == "postgresql":
            statements.append(("COMMIT", []))  # Django's own, which follows, finds nothing left to commit
        _send(statements)


def insert(row: Model) -> None:
    """Add a new row. A key that the database makes is not read back."""
    sql, fields = _insertion(type(row))
    execute(sql, [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields])


def update(row: Model, *names: str) -> None:
    """Write these fields of a row that is there; nothing else of `row` need be known but its key."""
    sql, fields = _change(type(row), names)
    execute(sql, [field.get_db_prep_save(field.pre_save(row, add=False), connection) for field in fields])


def execute(sql: str, values: Sequence[Any]) -> None:
    """Send a statement that gives no rows."""
    waiting = _waiting.get()
    if waiting is None:
        _send([(sql, values)])
    else:
        waiting.append((sql, values))


@contextmanager
def _gathered() -> Generator[list[Statement]]:
    statements: list[Statement] = []
    token = _waiting.set(statements)
    try:
        yield statements
    finally:
        _waiting.reset(token)


def _is_outermost() -> bool:
    return len(connection.atomic_blocks) == 1


def _send(statements: list[Statement]) -> None:
    """Unless told otherwise, Django has psycopg write the values into the text, and a text may hold many statements."""
    if len(statements) > 1 and connection.vendor == "postgresql" and not _binds_on_the_server():
        whole = ";".join(sql for sql, _ in statements)
        statements = [(whole, [value for _, values in statements for value in values])]
    with connection.cursor() as cursor:
        for sql, values in statements:
            cursor.execute(sql, values)


def _binds_on_the_server() -> bool:
    return bool(getattr(connection.features, "uses_server_side_binding", False))


@lru_cache(maxsize=MODELS)
def _insertion(model: type[Model]) -> tuple[str, Fields]:
    fields = [field for field in model._meta.concrete_fields if not field.db_returning]
    query = InsertQuery(model)
    query.insert_values(fields, [model()])
    [(sql, _)] = query.get_compiler(connection=connection).as_sql()
    return sql, fields


@lru_cache(maxsize=MODELS)
def _change(model: type[Model], names: tuple[str, ...]) -> tuple[str, Fields]:
    fields: Fields = [field for name in names for field in model._meta.concrete_fields if field.name == name]
    columns = [connection.ops.quote_name(str(field.column)) for field in (*fields, model._meta.pk)]
    changes = ", ".join(f"{column} = %s" for column in columns[:-1])
    table = connection.ops.quote_name(model._meta.db_table)
    return f"UPDATE {table} SET {changes} WHERE {columns[-1]} = %s", [*fields, model._meta.pk]  # noqa: S608  # names of models
