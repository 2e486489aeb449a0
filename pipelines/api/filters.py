"""Filters of the lists of pipelines, pins and rollouts."""

from typing import Any, ClassVar

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema_field

from accounts.api.authentication import actor_of
from accounts.api.filters import FlagFilter
from pipelines.models import Label, Pin, Pipeline, PipelineType, Rollout, RolloutState


class LabelField(forms.Field):
    """`key:value`, as often as wanted; every one must match."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> list[tuple[str, str]]:
        pairs = [text.partition(":") for text in value or []]
        if not all(key and colon for key, colon, _ in pairs):
            raise forms.ValidationError("Write a label as key:value, such as environment:production.", code="invalid")
        return [(key, text) for key, _, text in pairs]


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "string", "pattern": "^[^:]+:"},
        "minItems": 1,
        "description": "`key:value`, as often as wanted; every one must match.",
    }
)
class LabelFilter(django_filters.Filter):
    """Keeps what belongs to a pipeline with all of these labels; `field_name` leads to the pipeline's id."""

    field_class = LabelField

    def filter(self, queryset: QuerySet[Any], value: list[tuple[str, str]] | None) -> QuerySet[Any]:
        actor = actor_of(self.parent.request._request)  # noqa: SLF001  # Django's request, as DRF wraps it
        for key, text in value or []:
            queryset = queryset.filter(
                **{f"{self.field_name}__in": Label.objects.labelled(actor.organisation_id, key, text)}
            )
        return queryset


class PipelineFilter(django_filters.FilterSet):
    label = LabelFilter(field_name="pk")
    type = django_filters.ChoiceFilter(choices=PipelineType.choices)
    enabled = FlagFilter()
    q = django_filters.CharFilter(method="search", help_text="Part of the name or the slug, or an id or pipeline key.")

    class Meta:
        model = Pipeline
        fields: ClassVar = ["label", "type", "enabled", "q"]

    def search(self, pipelines: QuerySet[Pipeline], name: str, value: str) -> QuerySet[Pipeline]:
        text = Q(name__icontains=value) | Q(slug__icontains=value)
        return pipelines.filter(text | Q(pk=value) | Q(pipeline_key=value))


class PinFilter(django_filters.FilterSet):
    template = django_filters.CharFilter(field_name="template_id")
    revision = django_filters.CharFilter(field_name="revision_id")
    vendor = django_filters.CharFilter(field_name="template__vendor")
    pipeline = django_filters.CharFilter(field_name="pipeline_id")
    label = LabelFilter(field_name="pipeline_id")
    enabled = FlagFilter()
    outdated = FlagFilter(method="behind")
    state = django_filters.ChoiceFilter(
        method="standing",
        choices=[("ok", "ok"), ("unresolvable", "unresolvable")],
        help_text="Whether the pipeline has every parameter that the pinned revision needs, in a form that its fields take.",
    )

    class Meta:
        model = Pin
        fields: ClassVar = ["template", "revision", "vendor", "pipeline", "label", "enabled", "outdated", "state"]

    def behind(self, pins: Any, name: str, value: bool) -> Any:
        return pins.outdated(value)

    def standing(self, pins: Any, name: str, value: str) -> Any:
        return pins.resolvable(value == "ok")


class RolloutFilter(django_filters.FilterSet):
    template = django_filters.CharFilter(field_name="template_id")
    revision = django_filters.CharFilter(field_name="revision_id")
    vendor = django_filters.CharFilter(field_name="template__vendor")
    state = django_filters.MultipleChoiceFilter(
        choices=RolloutState.choices, help_text="As often as wanted; one of them must match."
    )
    reverts = django_filters.CharFilter(field_name="reverts_id", help_text="What took this rollout back.")

    class Meta:
        model = Rollout
        fields: ClassVar = ["template", "revision", "vendor", "state", "reverts"]
