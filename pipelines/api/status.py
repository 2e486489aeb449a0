"""What is pinned, served and running on a pipeline, and what was delivered, over REST."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import IsViewer
from pipelines.api import examples
from pipelines.api.serializers import ReasonObject
from pipelines.feed.applied import Instance, PinStatus, pin_statuses
from pipelines.feed.hashes import fingerprint
from pipelines.feed.states import State, Verdict
from pipelines.models import Claim, Pin, Pipeline
from pipelines.pins import NO_PIPELINE

SHOWN = 100  # instances of one pin, those first that need someone


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
        "fingerprint": None if instance.verdict is Verdict.DRIFT else fingerprint(row.config_hash if row else None),
        "reason": row and row.reason,
        "reported_at": row and row.reported_at,
    }
