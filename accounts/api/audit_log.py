"""The audit log of an organisation, for its admins."""

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet

from accounts.api.endpoints import Endpoint
from accounts.api.filters import Since, Until
from accounts.api.permissions import IsAdmin
from accounts.api.serializers import AuditEntryObject
from accounts.models import AuditEntry


class AuditFilter(django_filters.FilterSet):
    actor = django_filters.CharFilter(field_name="actor_id")
    action = django_filters.CharFilter()
    resource_type = django_filters.CharFilter()
    resource_id = django_filters.CharFilter()
    since = Since(field_name="created_at")
    until = Until(field_name="created_at")

    class Meta:
        model = AuditEntry
        fields: ClassVar = ["actor", "action", "resource_type", "resource_id", "since", "until"]


class AuditLogEndpoint(Endpoint):
    permission_classes = (IsAdmin,)
    serializer_class = AuditEntryObject
    filterset_class = AuditFilter
    list_name = "entries"
    ordering = ("-created_at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        return AuditEntry.objects.filter(organisation_id=self.actor.organisation_id)
