"""Pages of a list by keyset: the thousandth costs what the first costs, and nothing is skipped or shown twice."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import F, Model, QuerySet
from django.db.models.fields.tuple_lookups import TupleGreaterThan, TupleLessThan
from django.utils.dateparse import parse_datetime
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import Detail, Malformed

if TYPE_CHECKING:
    from rest_framework.views import APIView

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 100


class KeysetPagination(BasePagination):
    """Takes the order from the view's `ordering` (all one direction, unique in sum) and the name from `list_name`."""

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: "APIView | None" = None) -> list[Any]:
        self.list_name: str = getattr(view, "list_name")  # noqa: B009  # declared by our views, unknown to the stubs
        self.ordering: Sequence[str] = getattr(view, "ordering")  # noqa: B009
        limit = read_limit(request)
        rows = list(_after(queryset, self.ordering, request.query_params.get("cursor"))[: limit + 1])
        self.page, self.has_more = rows[:limit], len(rows) > limit
        return self.page

    def get_paginated_response(self, data: Any) -> Response:
        following = cursor_of(self.page[-1], self.ordering) if self.has_more else None
        return Response({self.list_name: data, "next_cursor": following, "has_more": self.has_more})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        properties = {"next_cursor": {"type": ["string", "null"]}, "has_more": {"type": "boolean"}}
        return {"type": "object", "properties": properties, "required": ["next_cursor", "has_more"]}


def read_limit(request: Request) -> int:
    """How many to show. Raises Malformed for anything but a whole number from 1 to 100."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LARGEST_LIMIT):
        message = f"limit must be a whole number from 1 to {LARGEST_LIMIT}."
        raise Malformed(message, [Detail("limit", "out_of_range", message)])
    return int(text)


def cursor_of(row: Model, ordering: Sequence[str]) -> str:
    """Where this row stands in the order, as opaque text."""
    values = [_value(row, name.removeprefix("-")) for name in ordering]
    texts = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return urlsafe_b64encode(json.dumps(texts).encode()).decode().rstrip("=")


def _value(row: Model, name: str) -> Any:
    value: Any = row
    for part in name.split("__"):
        value = getattr(value, part)
    return value


def _after(queryset: QuerySet[Any], ordering: Sequence[str], cursor: str | None) -> QuerySet[Any]:
    ordered = queryset.order_by(*ordering)
    if cursor is None:
        return ordered
    names = [name.removeprefix("-") for name in ordering]
    values = _read_cursor(queryset.model, names, cursor)
    comparison = TupleLessThan if ordering[0].startswith("-") else TupleGreaterThan
    if len(names) == 1:
        operator = "lt" if ordering[0].startswith("-") else "gt"
        return ordered.filter(**{f"{names[0]}__{operator}": values[0]})
    return ordered.filter(comparison(tuple(F(name) for name in names), tuple(values)))


def _read_cursor(model: type[Model], names: Sequence[str], cursor: str) -> list[Any]:
    try:
        values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(names):
            raise ValueError(cursor)
        return [_cast(model, name, value) for name, value in zip(names, values, strict=True)]
    except (ValueError, TypeError, RecursionError):
        message = "This cursor is not one of ours. Take next_cursor from the page before."
        raise Malformed(message, [Detail("cursor", "invalid_cursor", message)]) from None


def _cast(model: type[Model], name: str, value: Any) -> Any:
    """The value as its column holds it; only text, whole numbers in range and times stand in a cursor of ours."""
    kind = (
        model._meta.get_field(name.split("__", maxsplit=1)[0]).get_internal_type()
        if "__" not in name
        else "IntegerField"
    )
    if kind == "DateTimeField":
        moment = parse_datetime(value)
        if moment is None or moment.tzinfo is None:
            raise ValueError(value)
        return moment
    expected = str if kind in ("CharField", "IdField") else int
    if type(value) is not expected or (isinstance(value, int) and abs(value) >= 2**63) or "\0" in str(value):
        raise ValueError(value)
    return value
