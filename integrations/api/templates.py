"""Templates over REST. Deleting one takes knowing who uses it, and so lives with the pipelines."""

from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.filters import FlagFilter
from accounts.api.permissions import ViewerReadsEditorWritesAdminDeletes
from integrations.api.serializers import TemplateCreateBody, TemplateObject, TemplateUpdateBody
from integrations.models import Template
from integrations.templates import MISSING, create_template, update_template


class TemplateFilter(django_filters.FilterSet):
    vendor = django_filters.CharFilter()
    archived = FlagFilter()
    q = django_filters.CharFilter(method="search", help_text="Part of the name, the vendor or the id.")

    class Meta:
        model = Template
        fields: ClassVar = ["vendor", "archived", "q"]

    def search(self, templates: QuerySet[Template], name: str, value: str) -> QuerySet[Template]:
        return templates.filter(Q(name__icontains=value) | Q(vendor__icontains=value) | Q(pk=value))


class TemplateEndpoint(Endpoint):
    permission_classes = (ViewerReadsEditorWritesAdminDeletes,)
    serializer_class = TemplateObject
    filterset_class = TemplateFilter
    list_name = "templates"
    missing = MISSING

    def get_queryset(self) -> QuerySet[Any]:
        return Template.objects.in_organisation(self.actor.organisation_id).with_latest()

    @extend_schema(request=TemplateCreateBody, responses={201: TemplateObject})
    def create(self, request: Request) -> Response:
        body = self.read_body(TemplateCreateBody)
        return self.answer(create_template(actor=self.actor, **body), status=201)

    @extend_schema(request=TemplateUpdateBody, responses={200: TemplateObject})
    def update(self, request: Request, id: str) -> Response:
        body = self.read_body(TemplateUpdateBody)
        update_template(actor=self.actor, template_id=id, expected=self.expected, **body)
        return self.answer(self.found())

    def represent(self, row: Template) -> Any:
        """A template that a service locked comes without its latest revision's id."""
        shown = row if hasattr(row, "latest_revision_id") else self.get_queryset().get(pk=row.pk)
        return super().represent(shown)
