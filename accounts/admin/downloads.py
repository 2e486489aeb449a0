"""Lists as files: CSV for spreadsheets and JSON for programs, sent row by row, however many rows there are."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from accounts.admin.console import ConsoleAdmin, require

Columns = Mapping[str, Callable[[Any], Any]]  # the name of each column, and how to read it from a row

# What a spreadsheet may take for a formula: one of these signs, full width or not, behind whatever is not seen.
UNSEEN = r"\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
FORMULA = re.compile(rf"['{UNSEEN}]*[-=+@\uff1d\uff0b\uff0d\u2212\uff20]|'*[\t\r\n]")
ROWS_AT_ONCE = 500


class Downloads(ConsoleAdmin):
    """A list that can be had as a file: what is ticked as an action, and all that is filtered at `export/csv/`."""

    file_name: ClassVar[str]
    columns: ClassVar[Columns]
    actions = ["export_csv", "export_json"]
    change_list_template = "console/list.html"

    def rows(self, chosen: QuerySet[Any]) -> Iterable[Any]:
        """The rows of the file: as few SQL statements for many as for one."""
        return chosen.iterator(chunk_size=ROWS_AT_ONCE)

    def get_urls(self) -> list[URLPattern]:
        return [self.route("export/<str:kind>/", self.export, "export"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With links to the whole list as a file, filtered as the list is."""
        asked = request.GET.copy()
        asked.pop(PAGE_VAR, None)
        query = f"?{asked.urlencode()}" if asked else ""
        meta = self.model._meta
        name = f"{self.admin_site.name}:{meta.app_label}_{meta.model_name}_export"
        exports = [(kind.upper(), reverse(name, args=[kind]) + query) for kind in ("csv", "json")]
        return super().changelist_view(request, {"exports": exports} | (extra_context or {}))

    def export(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """Everything that the list's own address would show."""
        require(request, self.reads)
        try:
            chosen = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            raise Http404 from None
        return self.as_file(chosen, kind)

    @admin.action(description="Export as CSV")
    def export_csv(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponseBase:
        return self.as_file(chosen, "csv")

    @admin.action(description="Export as JSON")
    def export_json(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponseBase:
        return self.as_file(chosen, "json")

    def as_file(self, chosen: QuerySet[Any], kind: str) -> HttpResponseBase:
        """Raises Http404 for a kind of file that there is not."""
        written = {"csv": as_csv, "json": as_json}.get(kind)
        if written is None:
            raise Http404
        types = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
        response = StreamingHttpResponse(written(self.rows(chosen), self.columns), content_type=types[kind])
        name = f"{self.file_name}-{timezone.now():%Y-%m-%d}.{kind}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


class Line:
    """What `csv.writer` writes to: it hands each line back."""

    def write(self, text: str) -> str:
        return text


def as_csv(rows: Iterable[Any], columns: Columns) -> Iterator[str]:
    """Every text in quotes: some spreadsheets part a cell at a semicolon too, and would meet a formula behind it."""
    writer = csv.writer(Line(), quoting=csv.QUOTE_NONNUMERIC)
    yield writer.writerow(columns)
    lines = (writer.writerow([cell(read(row)) for read in columns.values()]) for row in rows)
    yield from _joined(lines)


def as_json(rows: Iterable[Any], columns: Columns) -> Iterator[str]:
    """One array, an object a line; a file that broke off does not end in `]`."""
    yield "["
    objects = ({name: plain(read(row)) for name, read in columns.items()} for row in rows)
    lines = (
        f"{',' if number else ''}\n{json.dumps(entry, ensure_ascii=False)}" for number, entry in enumerate(objects)
    )
    yield from _joined(lines)
    yield "\n]\n"


def cell(value: Any) -> Any:
    """A value as one cell, which no spreadsheet takes for a formula; a number stays one.

    What looks like a formula gets an apostrophe in front, and so does what has one already: taking the first one off
    whatever looks like a formula gives the exact text again.
    """
    simple = plain(value)
    if simple is None:
        return ""
    if isinstance(simple, bool | dict | list):
        return json.dumps(simple, ensure_ascii=False)
    if isinstance(simple, str) and FORMULA.match(simple):
        return f"'{simple}"
    return simple


def plain(value: Any) -> Any:
    """A value as JSON has it, times as everywhere: UTC, to the second."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Fewer and larger pieces: a piece for each row would be a packet for each row."""
    while piece := "".join(islice(lines, ROWS_AT_ONCE)):
        yield piece
