"""Counting the SQL statements of a piece of code, and comparing two counts."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection
from django.test.utils import CaptureQueriesContext

TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE SAVEPOINT")


@dataclass
class Queries:
    """What was sent to the database, in order; what only frames a transaction stands apart.

    A test's own transaction turns the code's BEGIN into SAVEPOINT, so only `statements` says the same everywhere.
    """

    statements: list[str] = field(default_factory=list)
    transaction_control: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.statements)

    def __str__(self) -> str:
        return "\n".join(f"{number:>3}. {sql}" for number, sql in enumerate(self.statements, start=1))


@contextmanager
def count_queries() -> Generator[Queries]:
    """Capture the statements of the block: `with count_queries() as few: …`, then `len(few)`."""
    queries = Queries()
    with CaptureQueriesContext(connection) as captured:
        yield queries
    for query in captured.captured_queries:
        control = query["sql"].upper().startswith(TRANSACTION_CONTROL)
        (queries.transaction_control if control else queries.statements).append(query["sql"])


def assert_same_queries(few: Queries, many: Queries) -> None:
    """Ten times the rows must not take one statement more. The message shows what the larger run did besides."""
    assert few.statements, "The smaller run sent no statement at all, so there is nothing to compare."
    more = Counter(map(_head, many.statements)) - Counter(map(_head, few.statements))
    besides = "\n".join(f"{count} × {head}" for head, count in more.items())
    assert len(few) == len(many), f"{len(few)} statements became {len(many)}. Besides:\n{besides}"


def _head(sql: str) -> str:
    """Enough of a statement to know it again when its values differ."""
    return sql.partition(" WHERE ")[0].partition(" VALUES ")[0]
