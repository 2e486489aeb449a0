"""Filters of the console's lists; each stays in the address."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from accounts.admin.console import organisation_id_of
from integrations.models import Template
from integrations.vendors import VENDORS
from pipelines.models import Label


class VendorFilter(admin.SimpleListFilter):
    title = "vendor"
    parameter_name = "vendor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        templates = Template.objects.in_organisation(organisation_id_of(request))
        used = templates.order_by("vendor").values_list("vendor", flat=True).distinct()
        return [(key, VENDORS[key].name if key in VENDORS else key) for key in used]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(template__vendor=self.value()) if self.value() else queryset


class TemplateFilter(admin.SimpleListFilter):
    title = "template"
    parameter_name = "template"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        templates = Template.objects.in_organisation(organisation_id_of(request)).order_by("name")
        return list(templates.values_list("pk", "name")[:200])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(template_id=self.value()) if self.value() else queryset


class BehindFilter(admin.SimpleListFilter):
    title = "revision"
    parameter_name = "outdated"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [
            ("true", "Behind the latest"),
            ("one", "One behind"),
            ("more", "Two or more behind"),
            ("false", "At the latest"),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:
        before_latest = F("template__latest_number") - 1
        found: QuerySet[Any] = {
            "true": queryset.outdated(),
            "one": queryset.filter(revision__number=before_latest),
            "more": queryset.filter(revision__number__lt=before_latest),
            "false": queryset.outdated(False),
        }.get(self.value() or "", queryset)
        return found


class UnresolvedFilter(admin.SimpleListFilter):
    title = "parameters"
    parameter_name = "unresolved"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("true", "Missing")]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:
        found: QuerySet[Any] = queryset.filter(resolvable=False) if self.value() else queryset
        return found


class LabelFilter(admin.SimpleListFilter):
    """Pipelines by label; on a list of pins `to_pipeline` leads to theirs."""

    title = "label"
    parameter_name = "label"
    to_pipeline = "pk"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        labels = Label.objects.in_organisation(organisation_id_of(request))
        pairs = labels.order_by("key", "value").values_list("key", "value").distinct()[:100]
        return [(f"{key}:{value}", f"{key}: {value}") for key, value in pairs]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        key, colon, value = (self.value() or "").partition(":")
        if not colon:
            return queryset
        return queryset.filter(
            **{f"{self.to_pipeline}__in": Label.objects.labelled(organisation_id_of(request), key, value)}
        )


class PinLabelFilter(LabelFilter):
    to_pipeline = "pipeline_id"
