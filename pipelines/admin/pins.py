"""Pins in the console: the list of all of them, one pin's page, and what can be done to each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from accounts.actors import Actor
from accounts.admin.console import Question, actor_of, organisation_id_of, rehearse, require, told
from accounts.admin.days import ChangedFilter
from accounts.admin.sending import acts, carry_out
from accounts.errors import PreflightFailed
from integrations.admin.forms import vendor_name
from integrations.models import Revision, Template
from integrations.revisions import find_revision
from pipelines.admin.actions import PinActions
from pipelines.admin.chart import deliveries
from pipelines.admin.filters import BehindFilter, PinLabelFilter, TemplateFilter, UnresolvedFilter, VendorFilter
from pipelines.admin.marks import VERDICTS, mark_of
from pipelines.admin.rollout_words import takes_out
from pipelines.differences import compare
from pipelines.feed.applied import pin_statuses
from pipelines.feed.figures import SPANS
from pipelines.models import Pin, Pipeline
from pipelines.pins import remove_pin, update_pin

INSTANCES_SHOWN = 100


@dataclass(frozen=True)
class Deed:
    """One thing to do to one pin: how it is called, what it changes, and the service call that does it."""

    title: str
    button: str
    explanation: str
    done: str
    change: Callable[[str | None], object]
    dangerous: bool = False
    target: Revision | None = None


def deed(name: str, actor: Actor, pin: Pin, target: Revision | None = None) -> Deed:
    """The deed of this name: enable, disable, remove, or move to a target. Raises Http404 for any other."""
    where = f"{pin.template.name} on {pin.pipeline.name}"
    key: dict[str, Any] = {"actor": actor, "pipeline_id": pin.pipeline_id, "pin_id": pin.pk}

    def update(**fields: Any) -> Callable[[str | None], object]:
        return lambda seen: update_pin(**key, **fields, expected=seen)

    def remove(seen: str | None) -> None:
        remove_pin(**key, expected=seen)

    if name == "enable":
        text = "Events go to this vendor from this pipeline from then on."
        return Deed(f"Enable {where}?", "Enable", text, f"{where} is enabled.", update(enabled=True))
    if name == "disable":
        text = "Events no longer go to this vendor from this pipeline, until you enable it again."
        return Deed(f"Disable {where}?", "Disable", text, f"{where} is disabled.", update(enabled=False), True)
    if name == "remove":
        text = "Events no longer go to this vendor from this pipeline. The template and its revisions stay."
        return Deed(f"Remove {where}?", "Remove", text, f"{where} is removed.", remove, True)
    if name == "move" and target is not None:
        text = f"From revision {pin.revision.number} to revision {target.number}."
        done = f"{where} is at revision {target.number}."
        move = update(revision_id=target.pk)
        return Deed(f"Move {where}?", f"Move to revision {target.number}", text, done, move, target=target)
    raise Http404


class PinAdmin(PinActions):
    list_display = ["name", "pipeline_name", "vendor", "at_revision", "latest", "state", "changed"]
    list_display_links = None
    list_filter = [
        BehindFilter,
        "enabled",
        UnresolvedFilter,
        ChangedFilter,
        VendorFilter,
        TemplateFilter,
        PinLabelFilter,
    ]
    linked_filters = ("revision", "pipeline")  # from the page of a template, and from the list of pipelines
    search_fields = ["id"]  # the search itself is below
    search_help_text = "Pipeline, template or id"
    ordering = ["-updated_at", "id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pin]:
        return (
            super().get_queryset(request).select_related("pipeline", "template", "revision").defer("revision__config")
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By pipeline or by template, of which there are fewer than pins: one of the two holds every word."""
        words = search_term.split()
        if not words:
            return queryset, False
        pipelines = Pipeline.objects.in_organisation(organisation_id_of(request))
        templates = Template.objects.in_organisation(organisation_id_of(request))
        for word in words:
            pipelines = pipelines.filter(Q(name__icontains=word) | Q(slug__icontains=word))
            templates = templates.filter(name__icontains=word)
        where = Q(pipeline__in=pipelines.values("pk")) | Q(template__in=templates.values("pk")) | Q(pk=search_term)
        return queryset.filter(where), False

    def get_urls(self) -> list[URLPattern]:
        return [
            self.route("<str:key>/move/", self.move, "move"),
            self.route("<str:key>/do/<str:name>/", self.act, "act"),
            self.route("<str:key>/", self.show, "page"),
            *super().get_urls(),
        ]

    @admin.display(description="Integration")
    def name(self, pin: Pin) -> SafeString:
        return format_html('<a href="{}">{}</a>', address_of(pin), pin.template.name)

    @admin.display(description="Pipeline")
    def pipeline_name(self, pin: Pin) -> SafeString:
        address = reverse("admin:pipelines_pipeline_page", args=[pin.pipeline_id])
        return format_html('<a href="{}">{}</a>', address, pin.pipeline.name)

    @admin.display(description="Vendor")
    def vendor(self, pin: Pin) -> str:
        return vendor_name(pin.template.vendor)

    @admin.display(description="Revision")
    def at_revision(self, pin: Pin) -> str:
        return f"v{pin.revision.number}"

    @admin.display(description="Latest")
    def latest(self, pin: Pin) -> str:
        return f"v{pin.template.latest_number}"

    @admin.display(description="State", ordering="enabled")
    def state(self, pin: Pin) -> SafeString:
        kind, text = state_of(pin)
        return format_html('<span class="state state-{}">{}</span>', kind, text)

    def show(self, request: HttpRequest, key: str) -> HttpResponse:
        """One pin: where it stands, what instances say of it, and every revision it could stand at."""
        pin = self.found(request, key)
        revisions = pin.template.revisions.with_status().defer("config").order_by("-number")[:200]
        (status,) = pin_statuses([pin])
        return self.page(
            request,
            "pin.html",
            title=f"{pin.template.name} on {pin.pipeline.name}",
            pin=pin,
            state=state_of(pin),
            revisions=revisions,
            mark=mark_of(status.applied),
            status=status,
            instances=[(each, VERDICTS[each.verdict]) for each in status.instances[:INSTANCES_SHOWN]],
            spans=SPANS,
            **deliveries(pin, request.GET.get("span", "")),
            rollout_note=takes_out(pin),
        )

    def move(self, request: HttpRequest, key: str) -> HttpResponse:
        return self.act(request, key, "move")

    def act(self, request: HttpRequest, key: str, name: str) -> HttpResponse:
        """Ask first, with what it will change; the button does it if nobody changed the pin meanwhile."""
        require(request, self.writes)
        pin = self.found(request, key)
        reference = request.POST.get("revision") or request.GET.get("revision")
        with told(request):
            target = find_revision(pin.template, reference) if reference else None
        chosen = deed(name, actor_of(request), pin, target if reference else None)
        back = safe_back(request, reverse("admin:pipelines_pipeline_page", args=[pin.pipeline_id]))
        if acts(request):
            change = partial(chosen.change, request.POST.get("tag", "none"))
            return carry_out(request, change, done=chosen.done, then=back)
        return self.ask(request, _question(pin, chosen, back))


def _question(pin: Pin, chosen: Deed, back: str) -> Question:
    fields = [("tag", pin.tag), ("back", back)]
    if chosen.target is not None:
        fields.append(("revision", chosen.target.pk))
    return Question(
        title=chosen.title,
        explanation=chosen.explanation,
        button=chosen.button,
        back=back,
        changes=_changes(pin, chosen.target),
        problems=rehearse(lambda: chosen.change(pin.tag)),
        note=takes_out(pin),
        dangerous=chosen.dangerous,
        fields=fields,
    )


def _changes(pin: Pin, target: Revision | None) -> list[tuple[str, str, str]]:
    """What the vendor would see differently, as this pipeline would run it; as written where it cannot run yet."""
    if target is None:
        return []
    current = Revision.objects.with_config().get(pk=pin.revision_id)
    try:
        difference = compare(current, target, pin.pipeline)
    except PreflightFailed:
        difference = compare(current, target)
    return [(change.pointer, shown(change.before), shown(change.after)) for change in difference.changes]


def shown(value: object) -> str:
    """A JSON value in one line; nothing for what is not there."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def address_of(pin: Pin) -> str:
    return reverse("admin:pipelines_pin_page", args=[pin.pk])


def pins_link(query: str, count: int, of: str) -> SafeString:
    """A number of integrations as a link to them; `of` says to who does not see the list what they are."""
    address = f"{reverse('admin:pipelines_pin_changelist')}?{query}"
    return format_html('<a href="{}">{}<span class="sr-only"> {}</span></a>', address, count, of)


def state_of(pin: Pin) -> tuple[str, str]:
    """The pin's state as a word for the style sheet and one for people."""
    if not pin.enabled:
        return "off", "Disabled"
    behind = pin.template.latest_number - pin.revision.number
    return ("behind", f"{behind} behind") if behind else ("current", "Current")


def safe_back(request: HttpRequest, otherwise: str) -> str:
    """Where the person came from, if that is a page of ours."""
    asked = request.POST.get("back") or request.GET.get("back") or ""
    ours = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and asked.startswith("/admin/")
    return asked if ours else otherwise
