"""Indexes of tables that are in use: operations for migrations that keep nobody waiting, on either database.

Their migration has `atomic = False` and does nothing else. One that was cut short does it again from the beginning.
"""

from collections.abc import Generator
from contextlib import contextmanager

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState, StateApps

from accounts.rules import Statements


class AddIndexInUse(migrations.AddIndex):
    """PostgreSQL reads the table twice for it, while others write there."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        _drop(schema_editor, self.index.name)  # half made, if it is there
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        with _patient(schema_editor):
            schema_editor.execute(self.index.create_sql(model, schema_editor, concurrently=True), params=None)


def drop_indexes_in_use(*names: str) -> migrations.RunPython:
    """Take these away where they are there; there is no way back but restoring."""

    def run(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
        for name in names:
            _drop(editor, name)

    return Statements(run, migrations.RunPython.noop, atomic=False)


def _drop(editor: BaseDatabaseSchemaEditor, name: str) -> None:
    how = " CONCURRENTLY" if editor.connection.vendor == "postgresql" else ""
    with _patient(editor):
        editor.execute(f"DROP INDEX{how} IF EXISTS {editor.quote_name(name)}", params=None)


@contextmanager
def _patient(editor: BaseDatabaseSchemaEditor) -> Generator[None]:
    """Wait for others as long as it takes: nobody waits behind these statements."""
    if editor.connection.vendor != "postgresql":
        yield
        return
    with editor.connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        before = cursor.fetchone()[0]
    editor.execute("SET lock_timeout = 0", params=None)
    try:
        yield
    finally:
        editor.execute(f"SET lock_timeout = '{before}'", params=None)
