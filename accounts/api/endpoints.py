"""What every endpoint of an organisation shares: who asks, what they saw, and how one object is answered."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest
from django_filters import FilterSet
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from accounts.actors import Actor, ActorType
from accounts.api.authentication import actor_of
from accounts.api.parameters import OF_PAGES, OF_WRITES, repeatable_filters, require_known
from accounts.errors import Malformed, NotFound
from accounts.preconditions import Tagged
from accounts.roles import Role

# Whoever describes the endpoints reads their querysets without a request.
READER = Actor(ActorType.SYSTEM, "schema", "schema", "org_of_nobody", Role.VIEWER)


class Endpoint(GenericViewSet[Any]):
    """A set of rows of the actor's own organisation. A row of another is not found, as if it were not there."""

    list_name: ClassVar[str] = "items"
    ordering: ClassVar[tuple[str, ...]] = ("created_at", "id")
    lookup_url_kwarg = "id"
    missing: ClassVar[str] = "There is no such object in this organisation."
    filterset_class: ClassVar[type[FilterSet] | None] = None
    parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # by action: the query parameters it takes besides
    swagger_fake_view = False

    @property
    def actor(self) -> Actor:
        return READER if self.swagger_fake_view else actor_of(self.request)

    @property
    def expected(self) -> str | None:
        """The tags that the client says it saw."""
        return self.request.headers.get("If-Match")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A method that no one can use here is refused to everybody alike; a misspelt parameter, to whom may ask."""
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)
        require_known(request.query_params, self._known(), self._repeatable())

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """What this address takes is in the Allow header, as in every answer."""
        return Response(status=204)

    def found(self) -> Any:
        """The row that the address names. Raises NotFound."""
        row = self.get_queryset().filter(pk=self.kwargs[str(self.lookup_url_kwarg)]).first()
        if row is None:
            raise NotFound(self.missing)
        return row

    def read_body(self, serializer: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        """The checked body. Raises DRF's ValidationError, and Malformed for no body or a field that does not exist."""
        if self.request.stream is None:
            raise Malformed("The body is empty. Send a JSON object, such as {}.")
        reader = serializer(data=self.request.data, partial=partial, context=self.get_serializer_context())
        reader.is_valid(raise_exception=True)
        body: dict[str, Any] = reader.validated_data
        return body

    def represent(self, row: Any) -> Mapping[str, Any]:
        """The object as clients see it."""
        shown: Mapping[str, Any] = self.get_serializer(row).data
        return shown

    def etag(self, row: Tagged) -> str:
        return f'"{row.tag}"'

    def answer(self, row: Any, status: int = 200, **headers: str) -> Response:
        """One object, with its tag; 304 for a client that has just this."""
        etag = self.etag(row)
        if self.request.method in SAFE_METHODS and {etag, "*"} & _tags(self.request.headers.get("If-None-Match", "")):
            return Response(status=304, headers={"ETag": etag})
        return Response(self.represent(row), status=status, headers={"ETag": etag, **headers})

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.answer(self.found())

    def _known(self) -> tuple[str, ...]:
        if self.request.method not in SAFE_METHODS:
            return OF_WRITES
        known = self.parameters.get(str(self.action), ())
        if self.action != "list" or self.pagination_class is None:
            return known
        return (*known, *(self.filterset_class.base_filters if self.filterset_class else ()), *OF_PAGES)

    def _repeatable(self) -> set[str]:
        return repeatable_filters(self.filterset_class) if self.filterset_class else set()


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
