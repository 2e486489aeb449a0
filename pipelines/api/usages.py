"""What takes knowing the pipelines to say of templates and revisions: who uses them, and how two would run."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import Invalid, NotFound
from integrations.api.revisions import RevisionEndpoint
from integrations.api.templates import TemplateEndpoint
from integrations.models import Revision
from integrations.revisions import find_revision
from pipelines.api.serializers import DiffObject, RemovedObject
from pipelines.differences import compare
from pipelines.feed.applied import running_counts
from pipelines.models import Pin, Pipeline
from pipelines.pins import NO_PIPELINE
from pipelines.rollouts.progress import moving_pins
from pipelines.usages import pins_of, remove_template

AGAINST = OpenApiParameter("against", str, description="A revision of the same template, by id or number.")
PIPELINE = OpenApiParameter("pipeline", str, description="Compare the two as this pipeline would run them.")


class UsedTemplateEndpoint(TemplateEndpoint):
    @extend_schema(responses={200: RemovedObject})
    def destroy(self, request: Request, id: str) -> Response:
        remove_template(actor=self.actor, template_id=id, expected=self.expected)
        return Response({"status": "removed"})


class DiffEndpoint(RevisionEndpoint):
    serializer_class = DiffObject
    parameters = {"diff": ("against", "pipeline")}

    @extend_schema(responses={200: DiffObject, 422: None}, parameters=[AGAINST, PIPELINE])
    def diff(self, request: Request, template_id: str, id: str) -> Response:
        revision = self.found()
        against = self._against(revision)
        difference = compare(against, revision, self._pipeline())
        shown = {
            "against": against.pk if against else None,
            "revision": revision.pk,
            "changes": [asdict(change) for change in difference.changes],
            "parameters_newly_needed": difference.newly_needed,
            "parameters_no_longer_used": difference.no_longer_used,
        }
        return Response(DiffObject(shown).data)

    def _against(self, revision: Revision) -> Revision | None:
        """The revision asked for, else the one before; the first one has none before it."""
        asked = self.request.query_params.get("against")
        if asked is not None:
            try:
                return find_revision(revision.template, asked)
            except NotFound as error:
                raise Invalid.because("against", "unknown_revision", error.message) from None
        return find_revision(revision.template, str(revision.number - 1)) if revision.number > 1 else None

    def _pipeline(self) -> Pipeline | None:
        asked = self.request.query_params.get("pipeline")
        if asked is None:
            return None
        pipeline = Pipeline.objects.in_organisation(self.actor.organisation_id).filter(pk=asked).first()
        if pipeline is None:
            raise Invalid.because("pipeline", "unknown_pipeline", NO_PIPELINE)
        return pipeline


class UsageObject(serializers.Serializer[Pin]):
    """A pin of the revision.

    Wants in its context, by pin, `running`: at how many instances the revision runs, and `rollouts`: the id of the
    active rollout that moves it.
    """

    id = serializers.CharField()
    pipeline_id = serializers.CharField()
    pipeline_name = serializers.CharField(source="pipeline.name")
    enabled = serializers.BooleanField()
    running = serializers.SerializerMethodField()
    rollout = serializers.SerializerMethodField()
    updated_at = serializers.DateTimeField()

    def get_running(self, pin: Pin) -> int:
        counts: dict[str, int] = self.context["running"]
        return counts.get(pin.pk, 0)

    def get_rollout(self, pin: Pin) -> str | None:
        rollouts: dict[str, str] = self.context["rollouts"]
        return rollouts.get(pin.pk)


class UsageEndpoint(RevisionEndpoint):
    """Where a revision is pinned, oldest pin first.

    `running` says at how many live instances it runs there, `rollout` which active rollout is moving the pin, if one is.
    """

    serializer_class = UsageObject
    list_name = "usages"
    ordering = ("created_at", "id")

    def get_queryset(self) -> QuerySet[Any]:
        return pins_of(self.found())

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        rollouts = moving_pins(self.kwargs["template_id"], [pin.pk for pin in page])
        context = {"running": running_counts(page), "rollouts": rollouts}
        return self.get_paginated_response([UsageObject(pin, context=context).data for pin in page])
