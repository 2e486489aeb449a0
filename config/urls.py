"""The whole address map. No address ends in a slash; `/v1` is for programs, `/admin/` for people."""

from typing import Any

from django.contrib import admin
from django.urls import path

from accounts.api.audit_log import AuditLogEndpoint
from accounts.api.sessions import LoginEndpoint, SessionEndpoint
from accounts.api.users import UserEndpoint
from config.documentation import docs, openapi
from config.exposition import metrics
from config.health import Live, Ready
from integrations.api.catalogue import CatalogueEndpoint
from integrations.api.revisions import RevisionEndpoint
from pipelines.api.feed import FeedEndpoint
from pipelines.api.pins import FleetEndpoint, PinEndpoint
from pipelines.api.pipelines import HistoryEndpoint, ParameterEndpoint, PipelineEndpoint
from pipelines.api.reports import ReportEndpoint
from pipelines.api.rollouts.endpoints import RolloutEndpoint, TargetEndpoint
from pipelines.api.status import DeliveryEndpoint, StatusEndpoint
from pipelines.api.tokens import TokenEndpoint
from pipelines.api.usages import DiffEndpoint, UsageEndpoint, UsedTemplateEndpoint

LIST: dict[str, Any] = {"get": "list", "post": "create"}
ONE: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "update", "delete": "destroy"}

ROLLOUTS = "v1/admin/rollouts"
PIPELINES = "v1/admin/pipelines"
TEMPLATES = "v1/admin/integration-templates"
REVISION = f"{TEMPLATES}/<str:template_id>/revisions/<str:id>"

handler500 = "config.rest.errors.server_error"
urlpatterns = [
    path("v1/admin/auth/login", LoginEndpoint.as_view({"post": "login"})),
    path("v1/admin/auth/refresh", LoginEndpoint.as_view({"post": "refresh"})),
    path("v1/admin/auth/logout", SessionEndpoint.as_view({"post": "logout"})),
    path("v1/admin/me", SessionEndpoint.as_view({"get": "me"})),
    path("v1/admin/users", UserEndpoint.as_view(LIST)),
    path("v1/admin/users/<str:id>", UserEndpoint.as_view({"get": "retrieve", "patch": "partial_update"})),
    path("v1/admin/tokens", TokenEndpoint.as_view(LIST)),
    path("v1/admin/tokens/<str:id>", TokenEndpoint.as_view({"delete": "destroy"})),
    path("v1/admin/audit-log", AuditLogEndpoint.as_view({"get": "list"})),
    path("v1/admin/integration-catalog", CatalogueEndpoint.as_view({"get": "list"})),
    path("v1/admin/integration-catalog/<str:vendor>", CatalogueEndpoint.as_view({"get": "retrieve"})),
    path("v1/admin/integration-catalog/<str:vendor>/install", CatalogueEndpoint.as_view({"post": "install"})),
    path(TEMPLATES, UsedTemplateEndpoint.as_view(LIST)),
    path(f"{TEMPLATES}/<str:id>", UsedTemplateEndpoint.as_view(ONE)),
    path(f"{TEMPLATES}/<str:template_id>/revisions", RevisionEndpoint.as_view(LIST)),
    path(REVISION, RevisionEndpoint.as_view({"get": "retrieve"})),
    path(f"{REVISION}/diff", DiffEndpoint.as_view({"get": "diff"})),
    path(f"{REVISION}/usages", UsageEndpoint.as_view({"get": "list"})),
    path(f"{REVISION}/status", RevisionEndpoint.as_view({"put": "set_status"})),
    path(PIPELINES, PipelineEndpoint.as_view(LIST)),
    path(f"{PIPELINES}/<str:id>", PipelineEndpoint.as_view(ONE)),
    path(f"{PIPELINES}/<str:id>/config", PipelineEndpoint.as_view({"get": "config"})),
    path(f"{PIPELINES}/<str:id>/status", StatusEndpoint.as_view({"get": "retrieve"})),
    path(f"{PIPELINES}/<str:id>/history", HistoryEndpoint.as_view({"get": "list"})),
    path(
        f"{PIPELINES}/<str:id>/parameters/<str:key>",
        ParameterEndpoint.as_view({"put": "update", "delete": "destroy"}),
    ),
    path(f"{PIPELINES}/<str:pipeline_id>/integrations", PinEndpoint.as_view(LIST)),
    path(f"{PIPELINES}/<str:pipeline_id>/integrations/<str:id>", PinEndpoint.as_view(ONE)),
    path(
        f"{PIPELINES}/<str:pipeline_id>/integrations/<str:id>/deliveries",
        DeliveryEndpoint.as_view({"get": "retrieve"}),
    ),
    path("v1/admin/pipeline-integrations", FleetEndpoint.as_view({"get": "list"})),
    path(ROLLOUTS, RolloutEndpoint.as_view(LIST)),
    path(f"{ROLLOUTS}/<str:id>", RolloutEndpoint.as_view({"get": "retrieve", "delete": "destroy"})),
    path(f"{ROLLOUTS}/<str:id>/targets", TargetEndpoint.as_view({"get": "list"})),
    path(f"{ROLLOUTS}/<str:id>/start", RolloutEndpoint.as_view({"post": "start"})),
    path(f"{ROLLOUTS}/<str:id>/pause", RolloutEndpoint.as_view({"post": "pause"})),
    path(f"{ROLLOUTS}/<str:id>/resume", RolloutEndpoint.as_view({"post": "resume"})),
    path(f"{ROLLOUTS}/<str:id>/abort", RolloutEndpoint.as_view({"post": "abort"})),
    path(f"{ROLLOUTS}/<str:id>/revert", RolloutEndpoint.as_view({"post": "revert"})),
    path("v1/runtime/pipelines/<str:name>", FeedEndpoint.as_view({"get": "pipeline"})),
    path("v1/runtime/snapshot", FeedEndpoint.as_view({"get": "snapshot"})),
    path("v1/runtime/changes", FeedEndpoint.as_view({"get": "changes"})),
    path("v1/runtime/stream", FeedEndpoint.as_view({"get": "stream"})),
    path("v1/runtime/reports", ReportEndpoint.as_view({"post": "create"})),
    path("v1/openapi.json", openapi, name="openapi"),
    path("v1/docs", docs),
    path("livez", Live.as_view()),
    path("readyz", Ready.as_view()),
    path("metrics", metrics),
    path("admin/", admin.site.urls),
]
