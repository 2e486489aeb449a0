"""A database that fails in the middle of a step, for as long as a test wants it to."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

# Failures of the kind that a statement's time limit or a full disk makes, and no rule of ours.
BREAK = {
    "postgresql": [
        "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'broken off' USING ERRCODE = 'query_canceled'; END $$",
        "CREATE TRIGGER break_off BEFORE INSERT ON pipelines_historyentry FOR EACH ROW "
        "WHEN (NEW.subject_id = '{pin}') EXECUTE FUNCTION break_off()",
    ],
    "sqlite": [
        "CREATE TRIGGER break_off BEFORE INSERT ON pipelines_historyentry WHEN NEW.subject_id = '{pin}' "
        "BEGIN SELECT abs(-9223372036854775807 - 1); END"
    ],
}
MEND = {
    "postgresql": ["DROP TRIGGER break_off ON pipelines_historyentry", "DROP FUNCTION break_off"],
    "sqlite": ["DROP TRIGGER break_off"],
}


@contextmanager
def refusing_history_of(pin_id: str) -> Iterator[None]:
    """Inside, no line of history can be written about this pin; wants a database in which commits are real."""
    _execute(BREAK[connection.vendor], pin_id)
    try:
        yield
    finally:
        _execute(MEND[connection.vendor], pin_id)


def _execute(statements: list[str], pin_id: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.replace("{pin}", pin_id))
