"""Filters of lists: django-filter, where a filter that does not exist or cannot be read is an error, not silence."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from accounts.errors import Detail, Malformed

if TYPE_CHECKING:
    from rest_framework.views import APIView

PAGE_PARAMETERS = ("limit", "cursor")


class StrictFilterBackend(DjangoFilterBackend):
    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: "APIView") -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        known = [*(filterset.filters if filterset else ()), *PAGE_PARAMETERS]
        refuse_unknown(request, known)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            raise Malformed("A filter cannot be read.", _details(filterset.errors))
        filtered: QuerySet[Any] = filterset.qs
        return filtered


def refuse_unknown(request: Request, known: list[str]) -> None:
    """Raises Malformed that names each query parameter this address does not know, and the nearest that it does."""
    details = [_unknown(name, known) for name in request.query_params if name not in known]
    if details:
        raise Malformed(details[0].message, details)


def _unknown(name: str, known: list[str]) -> Detail:
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(sorted(known))}."
    return Detail(name[:64], "unknown_filter", f"There is no filter named {name[:64]!a}. {hint}")


def _details(errors: Any) -> list[Detail]:
    data = errors.get_json_data()
    return [Detail(name, item["code"] or "invalid", item["message"]) for name in data for item in data[name]]
