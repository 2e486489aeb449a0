"""Rollouts in the console: the list of them, and one's page, which is a plan before it starts and its progress after."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.days import DayFilter
from pipelines.admin.filters import TemplateFilter, VendorFilter
from pipelines.admin.rollout_plans import PlanPages
from pipelines.admin.rollout_progress import ProgressPages
from pipelines.admin.rollout_words import STATES, summary, with_names
from pipelines.models import ACTIVE, Rollout, RolloutState


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("active", "Running or paused"), *((state, word) for state, (_, word) in STATES.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        if chosen == "active":
            return queryset.filter(state__in=ACTIVE)
        return queryset.filter(state=chosen) if chosen in STATES else queryset


class PlannedFilter(DayFilter):
    title = "day of the plan"


class RolloutAdmin(PlanPages, ProgressPages):
    list_display = ["named", "state_shown", "progress", "waves_shown", "started", "started_by"]
    list_display_links = None
    list_filter = [StateFilter, PlannedFilter, VendorFilter, TemplateFilter]
    search_fields = ["id", "template__name", "actor_label"]
    search_help_text = "Template, who planned it, or id"
    ordering = ["-created_at", "-id"]
    sortable_by = []
    actions = []
    change_list_template = "console/rollouts.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rollout]:
        return with_names(super().get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        return [
            *self.plan_routes(),
            *self.progress_routes(),
            self.route("<str:key>/", self.show, "page"),
            *super().get_urls(),
        ]

    @admin.display(description="Rollout")
    def named(self, rollout: Rollout) -> SafeString:
        told = summary(rollout)
        return format_html('<a href="{}">{}</a>', told.address, told.name)

    @admin.display(description="State")
    def state_shown(self, rollout: Rollout) -> SafeString:
        return format_html('<span class="state state-{}">{}</span>', *summary(rollout).state)

    @admin.display(description="Progress")
    def progress(self, rollout: Rollout) -> SafeString | str:
        told = summary(rollout)
        if rollout.started_at is None:
            return told.progress
        return format_html('{} <span class="nowrap">{}</span>', told.bar, told.progress)

    @admin.display(description="Waves")
    def waves_shown(self, rollout: Rollout) -> str:
        return f"{rollout.waves_applied} of {rollout.wave_count}"

    @admin.display(description="Started (UTC)")
    def started(self, rollout: Rollout) -> str:
        return f"{rollout.started_at:%Y-%m-%d %H:%M}" if rollout.started_at else ""

    @admin.display(description="By")
    def started_by(self, rollout: Rollout) -> str:
        return summary(rollout).started_by or f"planned by {rollout.actor_label}"

    def show(self, request: HttpRequest, key: str) -> HttpResponse:
        rollout = self.found(request, key)
        if rollout.state == RolloutState.PLANNED:
            return self.show_plan(request, rollout)
        return self.show_progress(request, rollout)
