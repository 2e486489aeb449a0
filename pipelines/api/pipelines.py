"""Pipelines and their parameters over REST, what they run and ran, and their history."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import ViewerReadsEditorWrites, ViewerReadsEditorWritesAdminDeletes
from accounts.errors import Detail, Malformed
from accounts.moments import read_moment
from pipelines.api.filters import PipelineFilter
from pipelines.api.serializers import (
    HistoryObject,
    ParameterBody,
    PipelineConfigObject,
    PipelineCreateBody,
    PipelineObject,
    PipelineUpdateBody,
    RemovedObject,
)
from pipelines.configs import config_at, current_config
from pipelines.models import HistoryEntry, Pipeline
from pipelines.parameters import Wish, change_parameters, delete_parameter
from pipelines.pins import NO_PIPELINE, require_pipeline
from pipelines.registry import create_pipeline, delete_pipeline, update_pipeline
from pipelines.versions import require_existing, version_at

AT = OpenApiParameter("at", datetime, description="A time such as 2026-02-20T10:00:00Z: what ran then.")
VERSION = OpenApiParameter("version", int, description="A configuration version: what ran at it.")


class PipelineEndpoint(Endpoint):
    permission_classes = (ViewerReadsEditorWritesAdminDeletes,)
    serializer_class = PipelineObject
    filterset_class = PipelineFilter
    list_name = "pipelines"
    parameters = {"config": ("at", "version")}
    missing = NO_PIPELINE

    def get_queryset(self) -> QuerySet[Any]:
        return Pipeline.objects.in_organisation(self.actor.organisation_id).with_everything()

    @extend_schema(request=PipelineCreateBody, responses={201: PipelineObject})
    def create(self, request: Request) -> Response:
        body = self.read_body(PipelineCreateBody)
        wishes = _wishes(body)
        return self.answer(create_pipeline(actor=self.actor, parameters=wishes, **body), status=201)

    @extend_schema(request=PipelineUpdateBody, responses={200: PipelineObject})
    def update(self, request: Request, id: str) -> Response:
        body = self.read_body(PipelineUpdateBody)
        wishes = _wishes(body)
        labels = body.pop("labels", None)
        pipeline = update_pipeline(
            actor=self.actor, pipeline_id=id, fields=body, labels=labels, parameters=wishes, expected=self.expected
        )
        return self.answer(pipeline)

    @extend_schema(responses={200: RemovedObject})
    def destroy(self, request: Request, id: str) -> Response:
        delete_pipeline(actor=self.actor, pipeline_id=id, expected=self.expected)
        return Response({"status": "removed"})

    @extend_schema(responses={200: PipelineConfigObject}, parameters=[AT, VERSION])
    def config(self, request: Request, id: str) -> Response:
        pipeline = self.found()
        number = _asked_version(request, pipeline)
        shown = current_config(pipeline) if number is None else config_at(pipeline, number)
        return Response(PipelineConfigObject(shown).data)


class ParameterEndpoint(Endpoint):
    """One parameter; the answer is the pipeline as it is then."""

    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class = PipelineObject
    missing = NO_PIPELINE

    @extend_schema(request=ParameterBody, responses={200: PipelineObject})
    def update(self, request: Request, id: str, key: str) -> Response:
        wish = Wish(**self.read_body(ParameterBody))
        return self.answer(
            change_parameters(actor=self.actor, pipeline_id=id, wishes={key: wish}, expected=self.expected)
        )

    @extend_schema(responses={200: PipelineObject})
    def destroy(self, request: Request, id: str, key: str) -> Response:
        pipeline = delete_parameter(actor=self.actor, pipeline_id=id, key=key, expected=self.expected)
        return self.answer(pipeline)


class HistoryEndpoint(Endpoint):
    """Every change to the pins and parameters of a pipeline, newest first."""

    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class = HistoryObject
    list_name = "history"
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[Any]:
        require_pipeline(actor=self.actor, pipeline_id=self.kwargs["id"])
        return HistoryEntry.objects.filter(pipeline_id=self.kwargs["id"]).with_names()

    def get_serializer_context(self) -> dict[str, Any]:
        lines = HistoryEntry.objects.filter(pipeline_id=self.kwargs["id"])
        return {**super().get_serializer_context(), "last_secret_lines": lines.last_secret_lines()}


def _wishes(body: dict[str, Any]) -> dict[str, Wish]:
    """Take the parameters out of a body, as what they are to become."""
    verbatim = body.pop("verbatim", False)
    return {key: Wish(value, verbatim=verbatim) for key, value in body.pop("parameters", {}).items()}


def _asked_version(request: Request, pipeline: Pipeline) -> int | None:
    """The version that `at` or `version` asks for, None for now. Raises Malformed."""
    at, version = request.query_params.get("at"), request.query_params.get("version")
    if at is not None and version is not None:
        raise _malformed("version", "ambiguous", "Ask for either at or version, not both.")
    if version is not None:
        if not (version.isascii() and version.isdigit() and len(version) < 19):
            raise _malformed("version", "invalid_version", "version must be a whole number.")
        require_existing(pipeline.organisation_id, int(version))
        return int(version)
    if at is None:
        return None
    moment = read_moment(at)
    if moment is None:
        raise _malformed("at", "invalid_time", "at must be a time with its zone, such as 2026-02-20T10:00:00Z.")
    return version_at(pipeline.organisation_id, moment)


def _malformed(field: str, code: str, message: str) -> Malformed:
    return Malformed(message, [Detail(field, code, message)])
