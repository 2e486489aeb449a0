"""Pipelines, pins and templates as files; secrets stand as the mask, put there by the database itself."""

from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Aggregate, Case, Count, F, JSONField, OuterRef, QuerySet, Subquery, TextField, Value, When
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler

from accounts.admin.downloads import ROWS_AT_ONCE, Downloads
from integrations.models import Template
from integrations.placeholders import MASK
from pipelines.models import Label, Parameter, Pin, Pipeline


class ObjectOf(Aggregate):
    """`{key: value}` of many rows, so that a pipeline comes with its labels in one statement, however many there are."""

    function = "jsonb_object_agg"
    output_field = JSONField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, function="json_group_object", **context)


class PinExports(Downloads):
    file_name = "integrations"
    columns = {
        "id": lambda pin: pin.pk,
        "pipeline_id": lambda pin: pin.pipeline_id,
        "pipeline_name": lambda pin: pin.pipeline.name,
        "integration_id": lambda pin: pin.template_id,
        "integration_name": lambda pin: pin.template.name,
        "vendor": lambda pin: pin.template.vendor,
        "revision_id": lambda pin: pin.revision_id,
        "revision_number": lambda pin: pin.revision.number,
        "latest_revision": lambda pin: pin.template.latest_number,
        "enabled": lambda pin: pin.enabled,
        "created_at": lambda pin: pin.created_at,
        "updated_at": lambda pin: pin.updated_at,
    }

    def rows(self, chosen: QuerySet[Any]) -> Iterable[Pin]:
        pins = Pin.objects.filter(pk__in=_ids(chosen)).select_related("pipeline", "template", "revision")
        light = pins.defer("revision__config", "revision__parameters_used", "template__description")
        return light.order_by("pipeline__name", "template__name", "pk").iterator(chunk_size=ROWS_AT_ONCE)


class PipelineExports(Downloads):
    file_name = "pipelines"
    columns = {
        "id": lambda pipeline: pipeline.pk,
        "name": lambda pipeline: pipeline.name,
        "slug": lambda pipeline: pipeline.slug,
        "type": lambda pipeline: pipeline.type,
        "pipeline_key": lambda pipeline: pipeline.pipeline_key,
        "enabled": lambda pipeline: pipeline.enabled,
        "integrations": lambda pipeline: pipeline.pins_here,
        "labels": lambda pipeline: _sorted(pipeline.labels_here),
        "parameters": lambda pipeline: _sorted(pipeline.parameters_here),
        "created_at": lambda pipeline: pipeline.created_at,
        "updated_at": lambda pipeline: pipeline.updated_at,
    }

    def rows(self, chosen: QuerySet[Any]) -> Iterable[Pipeline]:
        shown = Case(When(secret=True, then=Value(MASK)), default=F("value"), output_field=TextField())
        pipelines = Pipeline.objects.filter(pk__in=_ids(chosen)).annotate(
            pins_here=Coalesce(_count(Pin.objects.filter(pipeline=OuterRef("pk")), "pipeline"), 0),
            labels_here=_object(Label.objects.filter(pipeline=OuterRef("pk")), ObjectOf("key", "value")),
            parameters_here=_object(Parameter.objects.filter(pipeline=OuterRef("pk")), ObjectOf("key", shown)),
        )
        return pipelines.order_by("name", "pk").iterator(chunk_size=ROWS_AT_ONCE)


class TemplateExports(Downloads):
    file_name = "templates"
    columns = {
        "id": lambda template: template.pk,
        "name": lambda template: template.name,
        "vendor": lambda template: template.vendor,
        "description": lambda template: template.description,
        "latest_revision": lambda template: template.latest_number,
        "integrations": lambda template: template.pins_here,
        "archived": lambda template: template.archived,
        "created_at": lambda template: template.created_at,
        "updated_at": lambda template: template.updated_at,
    }

    def rows(self, chosen: QuerySet[Any]) -> Iterable[Template]:
        templates = Template.objects.filter(pk__in=_ids(chosen)).annotate(
            pins_here=Coalesce(_count(Pin.objects.filter(template=OuterRef("pk")), "template"), 0)
        )
        return templates.order_by("name", "pk").iterator(chunk_size=ROWS_AT_ONCE)


def _ids(chosen: QuerySet[Any]) -> QuerySet[Any]:
    """The chosen rows without what the list needed besides."""
    return chosen.order_by().values("pk")


def _count(rows: QuerySet[Any], by: str) -> Subquery:
    return Subquery(rows.order_by().values(by).annotate(count=Count("pk")).values("count"))


def _object(rows: QuerySet[Any], objects: ObjectOf) -> Subquery:
    return Subquery(rows.order_by().values("pipeline").annotate(all=objects).values("all"))


def _sorted(named: dict[str, str] | None) -> dict[str, str]:
    return dict(sorted((named or {}).items()))
