"""What people did, for an organisation's admins: newest first, searchable by person, object, action and time."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.actors import ActorType
from accounts.admin.console import organisation_id_of, require
from accounts.admin.days import DayFilter
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
    actions = []
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
        return super().changelist_view(request, {"title": "Audit log"} | (extra_context or {}))

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
