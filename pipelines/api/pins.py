"""Pipeline integrations over REST: the pins of one pipeline, and those of the whole organisation."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.columns import columns_of
from accounts.api.endpoints import Endpoint
from accounts.api.permissions import ViewerReadsEditorWrites
from accounts.statements import CompiledQuery
from integrations.models import Status
from pipelines.api.filters import PinFilter
from pipelines.api.serializers import PinCreateBody, PinObject, PinsObject, PinUpdateBody, RemovedObject
from pipelines.models import Pin
from pipelines.pins import NO_PIN, assign_pin, remove_pin, require_pipeline, update_pin

WARNING = OpenApiParameter(
    "Warning",
    str,
    OpenApiParameter.HEADER,
    description="Says so where the revision that is now pinned is deprecated.",
    response=[200, 201],
)
COLUMNS = columns_of(PinObject)
PINS = CompiledQuery(
    lambda value: (
        Pin.objects.of_pipeline(value("organisation_id"), value("pipeline_id"))
        .order_by("created_at", "pk")
        .values_list(*COLUMNS.lookups)
    )
)


class PinEndpoint(Endpoint):
    """The pins of one pipeline."""

    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class = PinObject
    missing = NO_PIN
    pagination_class = None

    def get_queryset(self) -> QuerySet[Any]:
        require_pipeline(actor=self.actor, pipeline_id=self.kwargs["pipeline_id"])
        return Pin.objects.filter(pipeline_id=self.kwargs["pipeline_id"]).with_names()

    @extend_schema(responses={200: PinsObject}, filters=False)
    def list(self, request: Request, pipeline_id: str) -> Response:
        """All integrations assigned to a pipeline, oldest first."""
        pins = PINS.all(organisation_id=self.actor.organisation_id, pipeline_id=pipeline_id)
        if not pins:
            require_pipeline(actor=self.actor, pipeline_id=pipeline_id)
        return Response({"integrations": [COLUMNS.shown(pin) for pin in pins]})

    @extend_schema(request=PinCreateBody, responses={201: PinObject}, parameters=[WARNING])
    def create(self, request: Request, pipeline_id: str) -> Response:
        """Attach an integration template, at one of its revisions, to a pipeline."""
        body = self.read_body(PinCreateBody)
        pin = assign_pin(
            actor=self.actor,
            pipeline_id=pipeline_id,
            template_id=body["integration_id"],
            revision_id=body["revision_id"],
            enabled=body["enabled"],
        )
        return _warned(self.answer(pin, status=201), pin)

    @extend_schema(request=PinUpdateBody, responses={200: PinObject}, parameters=[WARNING])
    def update(self, request: Request, pipeline_id: str, id: str) -> Response:
        """Change the pinned revision, or turn delivery on or off; what is left out stays."""
        body = self.read_body(PinUpdateBody)
        pin = update_pin(actor=self.actor, pipeline_id=pipeline_id, pin_id=id, expected=self.expected, **body)
        answer = self.answer(pin)
        return _warned(answer, pin) if "revision_id" in body else answer

    @extend_schema(responses={200: RemovedObject})
    def destroy(self, request: Request, pipeline_id: str, id: str) -> Response:
        """Stop delivery to this vendor from this pipeline; the template and its revisions are not affected."""
        remove_pin(actor=self.actor, pipeline_id=pipeline_id, pin_id=id, expected=self.expected)
        return Response({"status": "removed"})


class FleetEndpoint(Endpoint):
    """All pins of the organisation."""

    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class = PinObject
    filterset_class = PinFilter
    list_name = "integrations"

    def get_queryset(self) -> QuerySet[Any]:
        return Pin.objects.in_organisation(self.actor.organisation_id).with_names()


def _warned(answer: Response, pin: Pin) -> Response:
    """With a header for a new pin on a revision that should not get any more."""
    if pin.revision.status == Status.DEPRECATED:
        sentence = f"Revision {pin.revision.number} is deprecated. Choose a newer one where you can."
        answer["Warning"] = f'299 - "{sentence}"'
    return answer
