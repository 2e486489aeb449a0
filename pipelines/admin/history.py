"""The whole history of a pipeline in the console, newest first, narrowed by what was changed, by whom and when."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from accounts.admin.console import ConsoleAdmin
from accounts.admin.days import UNREADABLE, Days
from accounts.admin.pages import stretch
from pipelines.admin.timeline import sentence_of
from pipelines.models import HistoryEntry, Pipeline, Subject

LINES = 50
KINDS = {Subject.PIN: "Integrations", Subject.PARAMETER: "Parameters", Subject.PIPELINE: "The pipeline itself"}


class HistoryPages(ConsoleAdmin):
    def history_routes(self) -> list[URLPattern]:
        return [self.route("<str:key>/history/", self.history, "history")]

    def history(self, request: HttpRequest, key: str) -> HttpResponse:
        pipeline = self.found(request, key)
        lines = HistoryEntry.objects.filter(pipeline=pipeline)
        days, kind, who = Days.read(request.GET), request.GET.get("kind", ""), request.GET.get("who", "").strip()
        if days.unreadable:
            messages.error(request, UNREADABLE)
        found = days.of(lines.with_names(), "version__created_at")
        if kind in Subject.values:
            found = found.filter(subject=kind)
        if who:
            found = found.filter(version__actor_label__icontains=who)
        page = stretch(found, request.GET, LINES)
        return self.page(
            request,
            "history.html",
            title=f"History of {pipeline.name}",
            pipeline=pipeline,
            kinds=KINDS.items(),
            asked={name: request.GET.get(name, "") for name in ("kind", "who", "since", "until")},
            stretch=page,
            lines=told(page.rows, lines.last_secret_lines()),
        )


def newest(pipeline: Pipeline, count: int) -> tuple[list[tuple[HistoryEntry, str]], bool]:
    """The last lines with their sentences, and whether there are more."""
    lines = HistoryEntry.objects.filter(pipeline=pipeline)
    entries = list(lines.with_names().order_by("-pk")[: count + 1])
    return told(entries[:count], lines.last_secret_lines()), len(entries) > count


def told(entries: Iterable[Any], last_secret_lines: Mapping[str, int]) -> list[tuple[HistoryEntry, str]]:
    return [(entry, sentence_of(entry, last_secret_lines)) for entry in entries]
