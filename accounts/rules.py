"""Rules that the database itself holds, written as operations for migrations, once for each kind of database."""

from collections.abc import Sequence

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


class Statements(migrations.RunPython):
    """Python that does nothing but execute SQL, so that `manage.py sqlmigrate` can show what it is."""

    reduces_to_sql = True


def statements(*, postgresql: Sequence[str], sqlite: Sequence[str]) -> migrations.RunPython:
    """An operation that runs the statements made for the database at hand; there is no way back but restoring."""

    def run(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
        for statement in {"postgresql": postgresql, "sqlite": sqlite}[editor.connection.vendor]:
            editor.execute(statement, params=None)

    return Statements(run, migrations.RunPython.noop)


def refuse_function() -> migrations.RunPython:
    """The PostgreSQL function that every refusing trigger calls; its argument is the sentence it refuses with."""
    return statements(
        postgresql=[
            "CREATE OR REPLACE FUNCTION pinion_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation'; END $$"
        ],
        sqlite=[],
    )


def append_only(table: str, sentence: str, *, keys: Sequence[Sequence[str]] = (("id",),)) -> migrations.RunPython:
    """Rows of this table can be added and read; an UPDATE, a DELETE or a TRUNCATE fails with the sentence.

    `keys` are the columns of each unique key: SQLite's INSERT OR REPLACE takes the old row away without a DELETE.
    """
    taken = [_same(table, key) for key in keys]
    return statements(
        postgresql=[
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION pinion_refuse('{sentence}')",
            f"CREATE TRIGGER {table}_keep BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION pinion_refuse('{sentence}')",
        ],
        sqlite=[
            f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            for event in ("UPDATE", "DELETE")
        ]
        + [
            f"CREATE TRIGGER {table}_no_replace_{number} BEFORE INSERT ON {table} "
            f"WHEN {condition} BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            for number, condition in enumerate(taken, start=1)
        ],
    )


def _same(table: str, key: Sequence[str]) -> str:
    columns = " AND ".join(f"old.{column} = NEW.{column}" for column in key)
    return f"EXISTS (SELECT 1 FROM {table} old WHERE {columns})"  # noqa: S608  # names from our own migrations


def refuse_when(name: str, table: str, event: str, condition: str, sentence: str) -> migrations.RunPython:
    """A trigger that refuses a row before it is written; PostgreSQL takes subqueries only inside a function."""
    return statements(
        postgresql=[
            f"CREATE FUNCTION pinion_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {condition} THEN RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation'; "
            "END IF; RETURN COALESCE(NEW, OLD); END $$",
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION pinion_{name}()",
        ],
        sqlite=[
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
        ],
    )
