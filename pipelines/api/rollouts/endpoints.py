"""Rollouts over REST: planned, started, paused, resumed, aborted and taken back here; a worker applies the waves."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, prefetch_related_objects
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import ViewerReadsEditorWrites
from accounts.errors import Detail, Invalid, Malformed, NotFound
from pipelines.api.filters import RolloutFilter
from pipelines.api.rollouts.bodies import (
    RolloutPlanBody,
    RolloutReasonBody,
    RolloutResumeBody,
    RolloutRevertBody,
    RolloutStartBody,
    schedule_of,
    selection_of,
)
from pipelines.api.rollouts.objects import RolloutObject, RolloutSummaryObject, RolloutTargetObject, counts_of
from pipelines.api.serializers import RemovedObject
from pipelines.models import Rollout, RolloutWave
from pipelines.querysets import waves_in_order
from pipelines.rollouts.lifecycle import (
    MISSING,
    abort_rollout,
    discard_plan,
    pause_rollout,
    resume_rollout,
    start_rollout,
)
from pipelines.rollouts.plans import plan_rollout
from pipelines.rollouts.progress import STANDINGS, targets_of
from pipelines.rollouts.reverts import revert_rollout

NO_TEMPLATE = "There is no such template in this organisation. See /v1/admin/integration-templates."
STANDING = OpenApiParameter("standing", str, enum=STANDINGS, description="Only those that stand so.")
NOTHING = {"application/json": {"type": "object", "maxProperties": 0}}
BESIDES = re.compile(r'-[\d.]+(?=")')  # the part of a tag that is not about the rollout itself
LOOKS = 3  # where a worker took a step while a rollout was read, it is read again, so that state and counts agree


class RolloutEndpoint(Endpoint):
    """Rollouts, the newest first."""

    # Each change is answered in its own transaction, before a worker can take the next step.
    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class: type[BaseSerializer[Any]] = RolloutObject
    filterset_class = RolloutFilter
    list_name = "rollouts"
    ordering = ("-created_at", "-id")
    missing = MISSING

    def get_queryset(self) -> QuerySet[Any]:
        return Rollout.objects.in_organisation(self.actor.organisation_id).with_names().with_waves()

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return RolloutSummaryObject if self.action == "list" else self.serializer_class

    @property
    def expected(self) -> str | None:
        """What the client saw of the rollout itself: that pins have changed since is no reason to refuse a pause."""
        seen = super().expected
        return BESIDES.sub("", seen) if seen else seen

    def etag(self, row: Any) -> str:
        """New with every step of the rollout, every change of its template, and every pin that is detached meanwhile."""
        return f'"{row.tag}-{row.template.row_version}.{counts_of(row)["detached"]}"'

    def represent(self, row: Any) -> Mapping[str, Any]:
        prefetch_related_objects([row], waves_in_order())  # a service locks a rollout without its waves
        return super().represent(row)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One rollout: its waves, how its targets stand, and what changes on the way from revision to revision."""
        for _ in range(LOOKS - 1):
            rollout = self.found()
            answer = self.answer(rollout)
            if not rollout.is_active or _stands_as_read(rollout):
                return answer
        return self.answer(self.found())

    @extend_schema(request=RolloutPlanBody, responses={201: RolloutObject})
    @transaction.atomic
    def create(self, request: Request) -> Response:
        """Plan a rollout: what would happen to each pipeline, and nothing that runs is changed."""
        return self.answer(self._plan(self.read_body(RolloutPlanBody)), status=201)

    @extend_schema(responses={200: RemovedObject})
    @transaction.atomic
    def destroy(self, request: Request, id: str) -> Response:
        """Discard a plan that was never started; whatever was started is kept for good."""
        discard_plan(actor=self.actor, rollout_id=id, expected=self.expected)
        return Response({"status": "removed"})

    @extend_schema(request=RolloutStartBody, responses={200: RolloutObject})
    @transaction.atomic
    def start(self, request: Request, id: str) -> Response:
        """Let a plan become what happens, exactly as it was shown; a worker applies the first wave at once."""
        body = self.read_body(RolloutStartBody)
        return self.answer(start_rollout(actor=self.actor, rollout_id=id, expected=self.expected, **body))

    @extend_schema(request=RolloutReasonBody, responses={200: RolloutObject})
    @transaction.atomic
    def pause(self, request: Request, id: str) -> Response:
        """Apply no further wave until somebody resumes it."""
        body = self.read_body(RolloutReasonBody)
        return self.answer(pause_rollout(actor=self.actor, rollout_id=id, expected=self.expected, **body))

    @extend_schema(request=RolloutResumeBody, responses={200: RolloutObject})
    @transaction.atomic
    def resume(self, request: Request, id: str) -> Response:
        """Let a paused rollout go on in your name; a gate watches the last wave anew."""
        body = self.read_body(RolloutResumeBody)
        return self.answer(resume_rollout(actor=self.actor, rollout_id=id, expected=self.expected, **body))

    @extend_schema(request=RolloutReasonBody, responses={200: RolloutObject})
    @transaction.atomic
    def abort(self, request: Request, id: str) -> Response:
        """End a rollout for good: what has moved stays there, what waits stays where it is."""
        body = self.read_body(RolloutReasonBody)
        return self.answer(abort_rollout(actor=self.actor, rollout_id=id, expected=self.expected, **body))

    @extend_schema(request=NOTHING, responses={201: RolloutObject})
    @transaction.atomic
    def revert(self, request: Request, id: str) -> Response:
        """Take back what a rollout has moved, as a rollout of its own, which starts at once; an active one is aborted."""
        self.read_body(RolloutRevertBody)
        return self.answer(revert_rollout(actor=self.actor, rollout_id=id, expected=self.expected), status=201)

    def _plan(self, body: Mapping[str, Any]) -> Rollout:
        try:
            return plan_rollout(
                actor=self.actor,
                template_id=body["integration_id"],
                revision=body["revision_id"],
                selection=selection_of(body),
                schedule=schedule_of(body),
            )
        except NotFound:
            raise Invalid.because("integration_id", "unknown_template", NO_TEMPLATE) from None
        except Invalid as refusal:
            raise Invalid(refusal.message, list(map(_as_sent, refusal.details))) from None


class TargetEndpoint(Endpoint):
    """Every pipeline of a rollout, in the order of the waves, with what becomes of it and why."""

    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class = RolloutTargetObject
    list_name = "targets"
    ordering = ("position",)
    parameters = {"list": ("standing",)}

    @extend_schema(parameters=[STANDING])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Any]:
        rollouts = Rollout.objects.in_organisation(self.actor.organisation_id)
        rollout = rollouts.filter(pk=self.kwargs["id"]).first()
        if rollout is None:
            raise NotFound(MISSING)
        return targets_of(rollout, self._standing())

    def get_serializer_context(self) -> dict[str, Any]:
        waves = RolloutWave.objects.filter(rollout=self.kwargs["id"]).order_by("number")
        return {**super().get_serializer_context(), "waves": list(waves)}

    def _standing(self) -> str | None:
        """Raises Malformed for one that there is not."""
        asked: str | None = self.request.query_params.get("standing")
        if asked is not None and asked not in STANDINGS:
            message = f"standing must be one of: {', '.join(STANDINGS)}."
            raise Malformed(message, [Detail("standing", "not_a_choice", message)])
        return asked


def _stands_as_read(rollout: Rollout) -> bool:
    return Rollout.objects.filter(pk=rollout.pk, row_version=rollout.row_version).exists()


def _as_sent(detail: Detail) -> Detail:
    """A detail by the name that the body has for it; commands call the revision by another."""
    return replace(detail, field="revision_id") if detail.field == "revision" else detail
