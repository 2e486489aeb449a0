"""One `ModelViewSet` for the pins of a pipeline, as one writes it who knows DRF: no query for each row, one lock."""

from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.urls import include, path
from rest_framework import serializers
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ModelViewSet

from accounts.models import AuditEntry, User
from pipelines.models import Pin


class PinSerializer(serializers.ModelSerializer[Pin]):
    integration_id = serializers.CharField(source="template_id", read_only=True)
    integration_name = serializers.CharField(source="template.name", read_only=True)
    vendor = serializers.CharField(source="template.vendor", read_only=True)
    revision_number = serializers.IntegerField(source="revision.number", read_only=True)
    latest_revision = serializers.IntegerField(source="template.latest_number", read_only=True)

    class Meta:
        model = Pin
        fields: ClassVar = [
            "id",
            "pipeline",
            "integration_id",
            "integration_name",
            "vendor",
            "revision",
            "revision_number",
            "latest_revision",
            "enabled",
            "created_at",
            "updated_at",
        ]
        read_only_fields: ClassVar = ["pipeline", "created_at", "updated_at"]


class PinViewSet(ModelViewSet[Pin]):
    serializer_class = PinSerializer

    def get_queryset(self) -> QuerySet[Pin]:
        user = self.request.user
        assert isinstance(user, User)
        pins = Pin.objects.filter(pipeline=self.kwargs["pipeline"], organisation=user.organisation_id)
        pins = pins.select_related("template", "revision").defer("revision__config").order_by("created_at", "pk")
        return pins if self.request.method == "GET" else pins.select_for_update(of=("self",))

    @transaction.atomic
    def update(self, *args: Any, **kwargs: Any) -> Any:
        return super().update(*args, **kwargs)

    def perform_update(self, serializer: serializers.BaseSerializer[Pin]) -> None:
        user, pin = self.request.user, serializer.instance
        assert isinstance(user, User)
        assert pin is not None
        before = pin.revision_id
        serializer.save()
        AuditEntry.objects.create(
            organisation_id=pin.organisation_id,
            actor_type="user",
            actor_id=user.pk,
            actor_label=user.email,
            action="pin.updated",
            resource_type="pipeline_integration",
            resource_id=pin.pk,
            resource_label=str(pin),
            changes={"revision_id": {"old": before, "new": pin.revision_id}},
        )


router = SimpleRouter(trailing_slash=False)
router.register("pins", PinViewSet, basename="pin")
urlpatterns = [path("pipelines/<str:pipeline>/", include(router.urls))]
