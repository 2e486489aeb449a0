"""Filters of lists: django-filter, where a filter that cannot be read is an error, not silence."""

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from accounts.errors import Detail, Malformed

if TYPE_CHECKING:
    from rest_framework.views import APIView


class StrictFilterBackend(DjangoFilterBackend):
    """Which parameters a list knows at all, its endpoint says."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: "APIView") -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            details = _details(filterset.errors)
            raise Malformed(f"{details[0].field}: {details[0].message}", details)
        filtered: QuerySet[Any] = filterset.qs
        return filtered


def _details(errors: Any) -> list[Detail]:
    data = errors.get_json_data()
    return [Detail(name, item["code"] or "invalid", item["message"]) for name in data for item in data[name]]
