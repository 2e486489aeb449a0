"""Doing one thing to many pins: a plan with a line for each, then all of it or nothing; moving them is a rollout."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.http import urlencode

from accounts.admin.console import actor_of, organisation_id_of, require
from accounts.admin.sending import Done, acts, settle
from accounts.errors import Refused
from integrations.models import Revision, Status, Template
from pipelines.admin.exports import PinExports
from pipelines.admin.rollout_words import READY, address_of
from pipelines.batches import LIMIT, Line, Outcome, change_batch, plan_batch
from pipelines.models import Pin
from pipelines.rollouts.plans import plan_rollout
from pipelines.rollouts.selection import Selection

REVISIONS_SHOWN = 200
REASONS_SHOWN = 20


@dataclass(frozen=True)
class Words:
    """How an action is called: on its button, of one line that changes, of one that stands, and when it is done."""

    button: str
    changes: str
    stands: str
    done: str
    dangerous: bool = False


WORDS = {
    "enable": Words("Enable", "will be enabled", "enabled already", "enabled"),
    "disable": Words("Disable", "will be disabled", "disabled already", "disabled", dangerous=True),
}


class PinActions(PinExports):
    """The list of pins with its actions; who may not write is offered the exports alone."""

    actions = ["enable_chosen", "disable_chosen", "move_chosen", "export_csv", "export_json"]

    def get_urls(self) -> list[URLPattern]:
        return [
            self.route("actions/plan/move/", self.plan_move, "move_plan"),
            self.route("actions/plan/<str:name>/", self.plan, "plan"),
            *super().get_urls(),
        ]

    def has_write_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Enable", permissions=["write"])
    def enable_chosen(self, request: HttpRequest, chosen: QuerySet[Pin]) -> HttpResponse | None:
        return self._begin(request, "enable", chosen)

    @admin.action(description="Disable", permissions=["write"])
    def disable_chosen(self, request: HttpRequest, chosen: QuerySet[Pin]) -> HttpResponse | None:
        return self._begin(request, "disable", chosen)

    @admin.action(description="Move to a revision", permissions=["write"])
    def move_chosen(self, request: HttpRequest, chosen: QuerySet[Pin]) -> HttpResponse | None:
        return self._begin(request, "move", chosen)

    def plan(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the plan for the pins that are sent, or do it where the form holds the plan that was seen."""
        require(request, self.writes)
        if name not in WORDS:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(_list(request))
        if "seen" in request.POST and acts(request):
            return self._apply(request, name)
        return self._show(request, name, request.POST.get("pins", "").split() or list(_seen(request)))

    def plan_move(self, request: HttpRequest) -> HttpResponse:
        """Plan a rollout of the pins that are sent; its page shows what would happen, and starts it."""
        require(request, self.writes)
        if request.method != "POST":
            return HttpResponseRedirect(_list(request))
        if acts(request):
            try:
                return settle(request, partial(_planned, request))
            except Refused as refusal:
                messages.error(request, " ".join(dict.fromkeys([refusal.message, *_messages(refusal)[:REASONS_SHOWN]])))
                return HttpResponseRedirect(_list(request))
        asked_again = self._ask_revision(request, request.POST.get("pins", "").split())
        return asked_again or HttpResponseRedirect(_list(request))

    def _begin(self, request: HttpRequest, name: str, chosen: QuerySet[Pin]) -> HttpResponse | None:
        """The plan, or first the question which revision; None leads back to the list with a message."""
        pins = list(chosen.order_by().values_list("pk", flat=True)[: LIMIT + 1])
        if len(pins) > LIMIT:
            messages.error(
                request,
                f"An action changes at most {LIMIT:,} integrations at once, and you chose {chosen.count():,}. "
                "Nothing has been changed: narrow the list with its filters, then repeat.",
            )
            return None
        if name == "move":
            return self._ask_revision(request, pins)
        return self._show(request, name, pins)

    def _ask_revision(self, request: HttpRequest, pins: list[str]) -> HttpResponse | None:
        used = Pin.objects.in_organisation(organisation_id_of(request)).filter(pk__in=pins).values("template_id")
        templates = list(Template.objects.filter(pk__in=used).order_by("name")[:REASONS_SHOWN])
        if len(templates) != 1:
            names = ", ".join(template.name for template in templates)
            messages.error(
                request, f"A revision belongs to one template. Choose integrations of one; you chose {names}."
            )
            return None
        revisions = Revision.objects.filter(template=templates[0]).with_status().defer("config", "parameters_used")
        return self.page(
            request,
            "actions_revision.html",
            title=f"Move {_count(len(pins))} of {templates[0].name}",
            revisions=revisions.exclude(standing__status=Status.RETIRED).order_by("-number")[:REVISIONS_SHOWN],
            pins=" ".join(pins),
            chosen=request.POST.get("revision", ""),
            filters=_filters(request),
            back=_list(request),
        )

    def _show(self, request: HttpRequest, name: str, pins: list[str]) -> HttpResponse:
        try:
            lines = plan_batch(actor=actor_of(request), pins=pins, enabled=name == "enable")
        except Refused as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(_list(request))
        if not lines:
            raise Http404
        return self.page(request, "actions_plan.html", **_plan(name, lines, len(set(pins))), **_ways(request))

    def _apply(self, request: HttpRequest, name: str) -> HttpResponse:
        """What was shown, or nothing: then the reasons, and the plan as it is now."""
        seen = _seen(request)
        try:
            return settle(request, partial(_changed, request, name, seen))
        except Refused as refusal:
            for reason in list(dict.fromkeys([refusal.message, *_messages(refusal)]))[:REASONS_SHOWN]:
                messages.error(request, reason)
            return self._show(request, name, list(seen))


def _changed(request: HttpRequest, name: str, seen: Mapping[str, str]) -> Done:
    changed = change_batch(actor=actor_of(request), seen=seen, enabled=name == "enable")
    verb = "is" if len(changed) == 1 else "are"
    return Done(_list(request), f"{_count(len(changed))} {verb} {WORDS[name].done}.")


def _planned(request: HttpRequest) -> Done:
    """All at once, those that are off among them: that is what ticking them means. Raises Http404 and Refused."""
    revisions = Revision.objects.in_organisation(organisation_id_of(request))
    revision = revisions.filter(pk=request.POST.get("revision", "")).first()
    if revision is None:
        raise Http404
    ticked = Pin.objects.in_organisation(organisation_id_of(request)).filter(
        pk__in=request.POST.get("pins", "").split()
    )
    pipelines = tuple(ticked.filter(template=revision.template_id).values_list("pipeline_id", flat=True))
    if not pipelines:
        raise Http404
    rollout = plan_rollout(
        actor=actor_of(request),
        template_id=revision.template_id,
        revision=revision.pk,
        selection=Selection(pipelines=pipelines, include_disabled=True),
    )
    return Done(f"{address_of(rollout)}?{urlencode({'back': _list(request)})}", READY)


def _seen(request: HttpRequest) -> dict[str, str]:
    """The tag at which each pin of the plan was seen."""
    return dict(_pair(text) for text in request.POST.get("seen", "").split())


def _plan(name: str, lines: list[Line], asked: int) -> dict[str, Any]:
    """What the page of a plan shows: the blocked first, since they need someone."""
    sorted_lines = {outcome: [line for line in lines if line.outcome is outcome] for outcome in Outcome}
    changing = sorted_lines[Outcome.CHANGES]
    words = WORDS[name]
    return {
        "title": f"{words.button} {_count(len(lines))}?",
        "name": name,
        "words": words,
        "lines": [line for outcome in Outcome for line in sorted_lines[outcome]],
        "counts": {outcome.value: len(found) for outcome, found in sorted_lines.items()},
        "gone": asked - len(lines),
        "button": f"{words.button} {_count(len(changing))}",
        "seen": " ".join(f"{line.pin.pk}:{line.pin.tag}" for line in changing),
    }


def _ways(request: HttpRequest) -> dict[str, str]:
    return {"filters": _filters(request), "back": _list(request)}


def _filters(request: HttpRequest) -> str:
    """What the list was filtered by, as its address had it."""
    filters: str = request.POST.get("filters") or request.GET.urlencode()
    return filters


def _list(request: HttpRequest) -> str:
    filters = _filters(request)
    return reverse("admin:pipelines_pin_changelist") + (f"?{filters}" if filters else "")


def _pair(text: str) -> tuple[str, str]:
    """A pin's id and the tag at which it was seen."""
    key, _, tag = text.partition(":")
    return key, tag


def _messages(refusal: Refused) -> list[str]:
    return [detail.message for detail in refusal.details]


def _count(number: int) -> str:
    return "1 integration" if number == 1 else f"{number:,} integrations"
