"""Pages of a list by keyset: the thousandth costs what the first costs, and nothing is skipped or shown twice."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django.core.signing import BadSignature, Signer
from django.db.models import F, Model, QuerySet
from django.db.models.fields.tuple_lookups import TupleGreaterThan, TupleLessThan
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import Detail, Malformed

if TYPE_CHECKING:
    from rest_framework.views import APIView

    from accounts.api.endpoints import Endpoint

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 100


class KeysetPagination(BasePagination):
    """Takes the order from the view's `ordering` (all one direction, unique in sum) and the name from `list_name`."""

    list_name = "items"

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: "APIView | None" = None
    ) -> list[Any]:
        endpoint = cast("Endpoint", view)
        self.list_name, self.ordering = endpoint.list_name, endpoint.ordering
        limit = read_limit(request)
        rows = list(
            _after(cast("QuerySet[Any]", queryset), self.ordering, request.query_params.get("cursor"))[: limit + 1]
        )
        self.page, self.has_more = rows[:limit], len(rows) > limit
        return self.page

    def get_paginated_response(self, data: Any) -> Response:
        following = cursor_of(self.page[-1], self.ordering) if self.has_more else None
        return Response({self.list_name: data, "next_cursor": following, "has_more": self.has_more})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        properties = {
            self.list_name: schema,
            "next_cursor": {"type": ["string", "null"], "example": None},
            "has_more": {"type": "boolean", "example": False},
        }
        return {"type": "object", "properties": properties, "required": list(properties)}

    def get_schema_operation_parameters(self, view: "APIView") -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT}
        cursor = {"type": "string", "minLength": 1}
        return [
            {"name": "limit", "in": "query", "description": "How many to show at most.", "schema": limit},
            {"name": "cursor", "in": "query", "description": "`next_cursor` of the page before.", "schema": cursor},
        ]


def read_limit(request: Request) -> int:
    """How many to show. Raises Malformed for anything but a whole number from 1 to 100."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= LARGEST_LIMIT):
        message = f"limit must be a whole number from 1 to {LARGEST_LIMIT}."
        raise Malformed(message, [Detail("limit", "out_of_range", message)])
    return int(text)


def cursor_of(row: Model, ordering: Sequence[str]) -> str:
    """Where this row stands in the order, as opaque text; it is signed, so nobody else makes one up."""
    values = [getattr(row, name.removeprefix("-")) for name in ordering]
    marked = [{"time": value.isoformat()} if isinstance(value, datetime) else value for value in values]
    return _signer(type(row), ordering).sign_object(marked, compress=False)


def _after(queryset: QuerySet[Any], ordering: Sequence[str], cursor: str | None) -> QuerySet[Any]:
    ordered = queryset.order_by(*ordering)
    if cursor is None:
        return ordered
    comparison = TupleLessThan if ordering[0].startswith("-") else TupleGreaterThan
    columns = [name.removeprefix("-") for name in ordering]
    values = tuple(_read_cursor(queryset.model, ordering, cursor))
    if len(columns) == 1:  # a tuple of one is no tuple to a database
        operator = "lt" if comparison is TupleLessThan else "gt"
        return ordered.filter(**{f"{columns[0]}__{operator}": values[0]})
    return ordered.filter(comparison(tuple(map(F, columns)), values))


def _read_cursor(model: type[Model], ordering: Sequence[str], cursor: str) -> list[Any]:
    """The values that `cursor_of` put in. Raises Malformed for anything that it did not make for this very list."""
    try:
        values: list[Any] = _signer(model, ordering).unsign_object(cursor)
    except (BadSignature, ValueError):  # a lone surrogate cannot even be compared
        message = "This cursor is not one of this list. Take next_cursor from the page before."
        raise Malformed(message, [Detail("cursor", "invalid_cursor", message)]) from None
    return [datetime.fromisoformat(value["time"]) if isinstance(value, dict) else value for value in values]


def _signer(model: type[Model], ordering: Sequence[str]) -> Signer:
    return Signer(salt=f"pinion.cursor:{model._meta.label}:{','.join(ordering)}")
