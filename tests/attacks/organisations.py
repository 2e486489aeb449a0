"""Two organisations with one of everything, and what an answer tells of the ids with which somebody asks across."""

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from accounts.models import Organisation
from pipelines.models import Pipeline
from tests.committed import Rows, rows_of, tables
from tests.console.test_roles import rows_in

Ids = Mapping[str, str]

# What differs between two answers without anybody having asked for it: ids and secrets just made, times, signatures.
MADE = re.compile(
    r"\b(?:org|usr|tok|tmpl|rev|pip|pi|pk|ro|req|ep|ver)[_-][0-9a-z]{16}\b|pinion_[\w-]{43}|\b[0-9a-f]{64}\b"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\dZ)?|(?<=\"hint\":\")[\w-]{4}"
    r"|(?<=name=\"csrfmiddlewaretoken\" value=\")\w+|(?<=name=\"form_key\" value=\")[\w:.-]+"
)
PASSING = ("X-Request-ID", "Date", "Expires", "Last-Modified", "Set-Cookie")
FORGOTTEN = {"django_session"}  # which any request to the console may write


def ids_of(organisation: Organisation) -> dict[str, str]:
    """An id of each kind of row in it, freshly made."""
    return ids_in(rows_in(organisation))


def ids_in(rows: Mapping[type[Model], Model]) -> dict[str, str]:
    """By the name of the model, and the key by which processors know a pipeline; not those that are mere numbers."""
    pipeline = rows[Pipeline]
    assert isinstance(pipeline, Pipeline)
    ids = {model.__name__.lower(): str(row.pk) for model, row in rows.items()}
    ids |= {"organisation": pipeline.organisation_id, "pipeline key": pipeline.pipeline_key}
    return {kind: value for kind, value in ids.items() if not value.isdigit()}


def nowhere(ids: Ids) -> dict[str, str]:
    """Ids of the same kinds and lengths that no row has."""
    return {kind: "9" * 9 if value.isdigit() else value[:-8] + "0" * 8 for kind, value in ids.items()}


def masked(text: str, *values: str) -> str:
    """A text without what was asked for and without what is made anew each time."""
    for value in filter(None, values):
        for form in (value, value.replace("_", "-"), value[:20]):  # as a slug, and where only the start is said again
            text = text.replace(form, "(asked)")
    return MADE.sub("(made)", text)


def told(answer: Any, *values: str) -> tuple[int, dict[str, str], str]:
    """All that an answer tells: status, headers and body."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    headers = {name: masked(value, *values) for name, value in answer.items() if name not in PASSING}
    return answer.status_code, headers, masked(body.decode(), *values)


def everything() -> Rows:
    return rows_of(table for table in tables() if table not in FORGOTTEN)


def missing(rows: Rows, now: Rows) -> Rows:
    """Those of these rows that are not there any more as they were."""
    gone = {table: [row for row in kept if row not in now.get(table, [])] for table, kept in rows.items()}
    return {table: kept for table, kept in gone.items() if kept}
