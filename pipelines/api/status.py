"""What is pinned, served and running on a pipeline, and what was delivered, over REST."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import IsViewer
from accounts.errors import Detail, Malformed
from pipelines.api import examples
from pipelines.api.serializers import ReasonObject
from pipelines.feed.applied import Instance, PinStatus, pin_statuses
from pipelines.feed.figures import SPANS, delivery_series, sum_of
from pipelines.feed.hashes import fingerprint, was_issued
from pipelines.feed.states import State, Verdict
from pipelines.models import Claim, Pin, Pipeline, RunningPin
from pipelines.pins import NO_PIN, NO_PIPELINE, require_pipeline

SHOWN = 100  # instances of one pin, those first that need someone
SPAN = OpenApiParameter("span", str, enum=list(SPANS), default="hour", description="How far to look back.")


class PinnedObject(serializers.Serializer[Any]):
    revision_id = serializers.CharField()
    revision_number = serializers.IntegerField()
    enabled = serializers.BooleanField()


@extend_schema_serializer(component_name="ServedConfig")
class ServedObject(serializers.Serializer[Any]):
    """What the feed gives; `fingerprint` is the keyed part of its config's hash, null where there is no config."""

    state = serializers.ChoiceField(choices=["ok", "unresolvable"])
    fingerprint = serializers.CharField(allow_null=True)
    reasons = ReasonObject(many=True)


@extend_schema_serializer(component_name="RunningInstance")
class InstanceObject(serializers.Serializer[Any]):
    """What one live instance last said; all but the first three are null where it said nothing of this integration."""

    instance = serializers.CharField()
    last_seen_at = serializers.DateTimeField()
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in Verdict])
    said = serializers.ChoiceField(choices=Claim.choices, allow_null=True)
    revision_id = serializers.CharField(allow_null=True)
    revision_number = serializers.IntegerField(allow_null=True)
    fingerprint = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    reported_at = serializers.DateTimeField(allow_null=True)


class PinStatusObject(serializers.Serializer[Any]):
    """One integration; `served` is null where the feed gives nothing of it, since it or its pipeline is disabled."""

    id = serializers.CharField()
    integration_id = serializers.CharField()
    integration_name = serializers.CharField()
    vendor = serializers.CharField()
    state = serializers.ChoiceField(choices=[state.value for state in State])
    instances = serializers.IntegerField()
    instances_in_sync = serializers.IntegerField()
    pinned = PinnedObject()
    served = ServedObject(allow_null=True)
    running = InstanceObject(many=True)


@extend_schema_serializer(examples=[examples.STATUS])
class PipelineStatusObject(serializers.Serializer[Any]):
    pipeline_id = serializers.CharField()
    enabled = serializers.BooleanField()
    integrations = PinStatusObject(many=True)


class PointObject(serializers.Serializer[Any]):
    """The events of one step at one revision; steps without events are left out."""

    started_at = serializers.DateTimeField()
    revision_id = serializers.CharField()
    revision_number = serializers.IntegerField()
    delivered = serializers.IntegerField(source="totals.delivered")
    failed = serializers.IntegerField(source="totals.failed")


@extend_schema_serializer(component_name="Deliveries", examples=[examples.DELIVERIES])
class DeliveriesObject(serializers.Serializer[Any]):
    span = serializers.ChoiceField(choices=list(SPANS))
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    step_seconds = serializers.IntegerField()
    delivered = serializers.IntegerField(source="totals.delivered")
    failed = serializers.IntegerField(source="totals.failed")
    points = PointObject(many=True)


class StatusEndpoint(Endpoint):
    permission_classes = (IsViewer,)
    serializer_class = PipelineStatusObject
    missing = NO_PIPELINE
    pagination_class = None

    def get_queryset(self) -> QuerySet[Any]:
        return Pipeline.objects.in_organisation(self.actor.organisation_id)

    @extend_schema(responses={200: PipelineStatusObject})
    def retrieve(self, request: Request, id: str) -> Response:
        """What is pinned on a pipeline, what the feed serves of it, and what each live instance says it runs.

        `in_sync`: all instances run what is served. `partial`: some do (`instances_in_sync` of `instances`).
        `pending`: none does yet. `rejected`: one at least refuses what is served. `drift`: one at least runs a config
        that was never served. `unobserved`: no live instance speaks of this pipeline, so nothing is known.

        An instance counts while it is live and has said anything about this pipeline. `running` lists up to 100 of
        them, those first that need someone. Fingerprints tell configs of one integration apart.
        """
        pipeline = self.found()
        pins = list(Pin.objects.filter(pipeline=pipeline).with_names().order_by("created_at", "pk"))
        shown = {
            "pipeline_id": pipeline.pk,
            "enabled": pipeline.enabled,
            "integrations": [_status(status) for status in pin_statuses(pins)],
        }
        return Response(PipelineStatusObject(shown).data)


class DeliveryEndpoint(Endpoint):
    permission_classes = (IsViewer,)
    serializer_class = DeliveriesObject
    missing = NO_PIN
    pagination_class = None
    parameters = {"retrieve": ("span",)}

    def get_queryset(self) -> QuerySet[Any]:
        require_pipeline(actor=self.actor, pipeline_id=self.kwargs["pipeline_id"])
        return Pin.objects.filter(pipeline_id=self.kwargs["pipeline_id"])

    @extend_schema(responses={200: DeliveriesObject}, parameters=[SPAN])
    def retrieve(self, request: Request, pipeline_id: str, id: str) -> Response:
        """What processors say they delivered and failed to deliver for one integration, by revision, oldest first.

        The last hour by minute, the last day by hour, or the last week by day, in UTC; the last step is not over yet.
        An event counts in the minute in which it was reported.
        """
        pin, now = self.found(), timezone.now()
        name = request.query_params.get("span", "hour")
        if name not in SPANS:
            message = f"span must be one of: {', '.join(SPANS)}."
            raise Malformed(message, [Detail("span", "not_a_choice", message)])
        span = SPANS[name]
        points = delivery_series(pin_id=pin.pk, span=span, now=now)
        shown = {
            "span": name,
            "since": span.starts(now)[0],
            "until": now,
            "step_seconds": int(span.step.total_seconds()),
            "totals": sum_of(point.totals for point in points),
            "points": points,
        }
        return Response(DeliveriesObject(shown).data)


def _status(status: PinStatus) -> dict[str, Any]:
    pin, served = status.pin, status.served
    return {
        "id": pin.pk,
        "integration_id": pin.template_id,
        "integration_name": pin.template.name,
        "vendor": pin.template.vendor,
        "state": status.applied.state.value,
        "instances": status.applied.live,
        "instances_in_sync": status.applied.in_sync,
        "pinned": {
            "revision_id": pin.revision_id,
            "revision_number": pin.revision.number,
            "enabled": pin.enabled,
        },
        "served": served
        and {"state": served.state, "fingerprint": fingerprint(served.config_hash), "reasons": served.reasons},
        "running": [_instance(instance) for instance in status.instances[:SHOWN]],
    }


def _instance(instance: Instance) -> dict[str, Any]:
    row = instance.running
    return {
        "instance": instance.processor.instance,
        "last_seen_at": instance.processor.last_seen_at,
        "verdict": instance.verdict.value,
        "said": row and row.claim,
        "revision_id": row and row.revision_id,
        "revision_number": row.revision.number if row and row.revision else None,
        "fingerprint": _fingerprint(row) if row else None,
        "reason": row and row.reason,
        "reported_at": row and row.reported_at,
    }


def _fingerprint(row: RunningPin) -> str | None:
    """Of a config that we made; what else a processor says in its place is not passed on."""
    ours = row.revision_id is not None and was_issued(
        pin_id=row.pin_id, revision_id=row.revision_id, config_hash=row.config_hash
    )
    return fingerprint(row.config_hash) if ours else None
