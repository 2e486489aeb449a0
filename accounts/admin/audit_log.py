"""What people did, for an organisation's admins: newest first, searchable by person, object, action and time."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.dateparse import parse_date
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.actors import ActorType
from accounts.admin.console import organisation_id_of, require
from accounts.admin.downloads import Downloads
from accounts.models import AuditEntry
from accounts.roles import Role

OFFERED = 10_000  # the newest entries, from which the words to filter by are taken
CHANGES_SHOWN = 3
LENGTH_SHOWN = 60


class WordFilter(admin.SimpleListFilter):
    """The words that stand in one column of the newest entries; an older word still works in the address."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        entries = AuditEntry.objects.filter(organisation_id=organisation_id_of(request))
        newest = entries.order_by("-created_at", "-id").values("pk")[:OFFERED]
        rows = AuditEntry.objects.filter(pk__in=newest).order_by(self.column)
        return [(word, word) for word in rows.values_list(self.column, flat=True).distinct()]

    @property
    def column(self) -> str:
        return str(self.parameter_name)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class ActionFilter(WordFilter):
    title = "action"
    parameter_name = "action"


class ResourceFilter(WordFilter):
    title = "object"
    parameter_name = "resource_type"


class ActorTypeFilter(admin.SimpleListFilter):
    title = "kind of actor"
    parameter_name = "actor_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(kind.value, kind.value.capitalize()) for kind in ActorType]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(actor_type=self.value()) if self.value() else queryset


class DayFilter(admin.ListFilter):
    """From one day to another, both included, in UTC; the days stay in the address."""

    title = "day"
    template = "console/audit_days.html"
    names = ("since", "until")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.names:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]
        self.days = {name: _read_day(str(text)) for name, text in self.used_parameters.items() if text}
        if None in self.days.values():
            messages.error(request, "Write a day such as 2026-02-20. What cannot be read is left out.")

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def choices(self, changelist: Any) -> Any:
        """One choice: the form, with everything else that the address says."""
        others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name not in self.names
            for value in values
        ]
        days = {name: self.used_parameters.get(name, "") for name in self.names}
        clear = changelist.get_query_string(remove=list(self.names)) if any(days.values()) else ""
        yield {"others": others, "clear": clear, **days}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = (self.days.get(name) for name in self.names)
        if since:
            queryset = queryset.filter(created_at__gte=_midnight(since))
        if until and until < date.max:  # no day follows the last one, and nothing is later
            queryset = queryset.filter(created_at__lt=_midnight(until) + timedelta(days=1))
        return queryset


class AuditLogAdmin(Downloads):
    reads = Role.ADMIN
    writes = Role.ADMIN
    list_display = ["moment", "who", "action", "object", "what_changed"]
    list_display_links = None
    list_filter = [DayFilter, ActionFilter, ResourceFilter, ActorTypeFilter]
    search_fields = ["actor_label", "resource_label", "resource_id", "action"]
    search_help_text = "Person, object, its id, or action"
    ordering = ["-created_at", "-id"]
    sortable_by = []
    change_list_template = "console/audit.html"
    actions = []
    show_facets = admin.ShowFacets.NEVER
    file_name = "audit-log"
    columns = {
        "id": lambda entry: str(entry.pk),
        "created_at": lambda entry: entry.created_at,
        "actor_type": lambda entry: entry.actor_type,
        "actor_id": lambda entry: entry.actor_id,
        "actor_label": lambda entry: entry.actor_label,
        "action": lambda entry: entry.action,
        "resource_type": lambda entry: entry.resource_type,
        "resource_id": lambda entry: entry.resource_id,
        "resource_label": lambda entry: entry.resource_label,
        "changes": lambda entry: entry.changes,
        "request_id": lambda entry: entry.request_id,
        "ip_address": lambda entry: entry.ip_address,
    }

    def get_urls(self) -> list[URLPattern]:
        return [self.route("<int:key>/", self.show, "page"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": "Audit log", "address": request.GET.urlencode()}
        return super().changelist_view(request, context | (extra_context or {}))

    @admin.display(description="When (UTC)")
    def moment(self, entry: AuditEntry) -> SafeString:
        address = reverse("admin:accounts_auditentry_page", args=[entry.pk])
        return format_html('<a href="{}">{}</a>', address, f"{entry.created_at:%Y-%m-%d %H:%M:%S}")

    @admin.display(description="Who")
    def who(self, entry: AuditEntry) -> str:
        return entry.actor_label

    @admin.display(description="Object")
    def object(self, entry: AuditEntry) -> SafeString:
        kind = entry.resource_type.replace("_", " ")
        return format_html('{} <span class="quiet">{}</span>', entry.resource_label, kind)

    @admin.display(description="Changed")
    def what_changed(self, entry: AuditEntry) -> str:
        """The first few fields in a line."""
        parts = [f"{field}: {_arrow(change)}" for field, change in _fields(entry)[:CHANGES_SHOWN]]
        more = len(entry.changes) - CHANGES_SHOWN
        return "; ".join([*parts, f"{more} more"] if more > 0 else parts)

    def show(self, request: HttpRequest, key: int) -> HttpResponse:
        """One entry: who, what, when and from where, with each field before and after."""
        require(request, self.reads)
        entry = self.found(request, str(key))
        rows = [(field, shown(change.get("old")), shown(change.get("new"))) for field, change in _fields(entry)]
        title = f"{entry.action}: {entry.resource_label}"
        return self.page(request, "audit_entry.html", title=title, entry=entry, rows=rows)


def shown(value: Any) -> str:
    """A value for people to read; nothing for what was not there."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _fields(entry: AuditEntry) -> list[tuple[str, dict[str, Any]]]:
    """In an order of their own, since PostgreSQL keeps none."""
    return sorted(entry.changes.items())


def _arrow(change: dict[str, Any]) -> str:
    old, new = (_short(change.get(side)) for side in ("old", "new"))
    return f"{old} → {new}" if old else new


def _short(value: Any) -> str:
    text = shown(value) if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LENGTH_SHOWN else f"{text[: LENGTH_SHOWN - 1]}…"


def _read_day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
