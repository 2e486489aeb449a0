"""Planning a rollout in the console: the form, the plan that it makes, and what becomes of a plan."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse

from accounts.actors import Actor
from accounts.admin.console import ConsoleAdmin, actor_of, organisation_id_of, require
from accounts.admin.forms import blame
from accounts.admin.sending import Done, acts, carry_out, settle
from accounts.errors import Conflict, Refused
from integrations.models import Template
from pipelines.admin.pins import safe_back
from pipelines.admin.revisions import Comparison, comparison_of
from pipelines.admin.rollout_forms import PlanForm, choices_again, schedule_of
from pipelines.admin.rollout_words import (
    ON_FAILURE,
    ON_INCONCLUSIVE,
    PLANNED_STANDINGS,
    READY,
    address_of,
    choices_of,
    count,
    counted,
    summary,
)
from pipelines.models import Outcome, Rollout, RolloutState
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import discard_plan, start_rollout
from pipelines.rollouts.plans import plan_rollout
from pipelines.rollouts.progress import Path, count_targets, paths_of, targets_of
from pipelines.rollouts.selection import Selection

TEMPLATES_OFFERED = 200
BLOCKED_SHOWN = 10
CHANGES_SHOWN = 20
AT_ONCE = 1000  # pins that a start moves by itself, where they are all there is to move


@dataclass(frozen=True)
class Route:
    """So many integrations go from one revision to another, and what that changes."""

    pins: int
    comparison: Comparison


class PlanPages(ConsoleAdmin):
    """From the form to the start; a plan that is not started has changed nothing."""

    def plan_routes(self) -> list[URLPattern]:
        return [
            self.route("new/", self.create, "new"),
            self.route("<str:key>/start/", self.start, "start"),
            self.route("<str:key>/again/", self.plan_again, "again"),
            self.route("<str:key>/discard/", self.discard, "discard"),
        ]

    def create(self, request: HttpRequest) -> HttpResponse:
        """The form for the template of the address, or first the question which template."""
        require(request, self.writes)
        like = self.found(request, request.GET["like"]) if request.GET.get("like") else None
        template = like.template if like else self._template(request)
        if template is None:
            return self._ask_template(request)
        initial = choices_again(like) if like else {"revision": request.GET.get("revision", "")}
        form = PlanForm(request.POST or None, template=template, initial=initial)
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_planned, actor_of(request), template.pk, form.wish))
            except Refused as refusal:
                blame(form, refusal)
        title = f"Roll out {template.name}"
        back = reverse("admin:integrations_template_page", args=[template.pk])
        return self.page(request, "rollout_form.html", title=title, form=form, integration=template, back=back)

    def show_plan(self, request: HttpRequest, rollout: Rollout, changes: tuple[str, ...] = ()) -> HttpResponse:
        """What would happen; `changes` says what is no longer as it was planned."""
        counts = count_targets(rollout)
        blocked = targets_of(rollout, Outcome.BLOCKED)[:BLOCKED_SHOWN] if counts[Outcome.BLOCKED] else []
        told = summary(rollout)
        return self.page(
            request,
            "rollout_plan.html",
            title=told.name,
            summary=told,
            rollout=rollout,
            counts=counted(counts, PLANNED_STANDINGS),
            total=sum(counts.values()),
            moves=counts["waiting"],
            blocked=blocked,
            blocked_count=counts[Outcome.BLOCKED],
            routes=routes_of(rollout),
            choices=choices_of(rollout),
            on_failure=ON_FAILURE[rollout.on_failure],  # type: ignore[index]  # the field holds one of them
            on_inconclusive=ON_INCONCLUSIVE[rollout.on_inconclusive],  # type: ignore[index]  # the same
            button=f"Start: move {count(counts['waiting'], 'integration')}",
            changes=changes,
            back=safe_back(request, ""),
        )

    def start(self, request: HttpRequest, key: str) -> HttpResponse:
        """Exactly what was shown, or nothing: then what stands in the way, on the plan's page."""
        require(request, self.writes)
        rollout = self.found(request, key)
        if not acts(request):
            return HttpResponseRedirect(address_of(rollout))
        try:
            answer = settle(request, partial(_started, request, rollout))
        except Conflict as refusal:
            return self._refused(request, rollout, refusal)
        apply_small(rollout)
        return answer

    def plan_again(self, request: HttpRequest, key: str) -> HttpResponse:
        """A new plan with the choices of this one, which goes."""
        require(request, self.writes)
        rollout = self.found(request, key)
        if not acts(request):
            return HttpResponseRedirect(address_of(rollout))
        try:
            return settle(request, partial(_planned_again, actor_of(request), rollout))
        except Refused as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(f"{reverse('admin:pipelines_rollout_new')}?like={rollout.pk}")

    def discard(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        rollout = self.found(request, key)
        if not acts(request):
            return HttpResponseRedirect(address_of(rollout))
        throw_away = partial(discard_plan, actor=actor_of(request), rollout_id=rollout.pk)
        template = reverse("admin:integrations_template_page", args=[rollout.template_id])
        done, back = "The plan is discarded. Nothing has been moved.", safe_back(request, template)
        return carry_out(request, throw_away, done=done, then=back, otherwise=address_of(rollout))

    def _refused(self, request: HttpRequest, rollout: Rollout, refusal: Conflict) -> HttpResponse:
        rollout = self.found(request, rollout.pk)
        reasons = tuple(dict.fromkeys(detail.message for detail in refusal.details))
        if rollout.state == RolloutState.PLANNED and refusal.code == "PLAN_CHANGED":
            return self.show_plan(request, rollout, reasons or (refusal.message,))
        messages.error(request, " ".join(dict.fromkeys([refusal.message, *reasons])))
        return HttpResponseRedirect(address_of(rollout))

    def _template(self, request: HttpRequest) -> Template | None:
        """The one that the address names, if any. Raises Http404."""
        asked = request.GET.get("template", "")
        if not asked:
            return None
        template = Template.objects.in_organisation(organisation_id_of(request)).filter(pk=asked).first()
        if template is None:
            raise Http404
        return template

    def _ask_template(self, request: HttpRequest) -> HttpResponse:
        templates = Template.objects.in_organisation(organisation_id_of(request))
        offered = templates.filter(archived=False, latest_number__gt=0).order_by("name", "pk")
        return self.page(
            request,
            "rollout_template.html",
            title="Plan a rollout",
            templates=offered[:TEMPLATES_OFFERED],
            back=reverse("admin:pipelines_rollout_changelist"),
        )


def apply_small(rollout: Rollout) -> None:
    """Apply the only wave of a rollout that has just been started and committed, if it has so few pins.

    Whoever moved three pins by hand need not wait for a worker then. Everything else is the workers'; one that was
    faster leaves nothing to do here.
    """
    waves = list(rollout.waves.all())
    if len(waves) == 1 and waves[0].size <= AT_ONCE:
        advance(rollout.pk)


def routes_of(rollout: Rollout) -> list[Route]:
    return [Route(path.pins, comparison_of(_title(path), path.difference)) for path in paths_of(rollout)]


def _title(path: Path) -> str:
    return f"{count(path.pins, 'integration')} from v{path.before.number} to v{path.after.number}"


def _planned(actor: Actor, template_id: str, wish: dict[str, Any]) -> Done:
    rollout = plan_rollout(actor=actor, template_id=template_id, **wish)
    return Done(address_of(rollout), READY)


def _started(request: HttpRequest, rollout: Rollout) -> Done:
    start_rollout(
        actor=actor_of(request),
        rollout_id=rollout.pk,
        plan_hash=request.POST.get("plan_hash", "none"),
        skip_blocked="skip_blocked" in request.POST,
    )
    return Done(address_of(rollout), "Started.")


@transaction.atomic
def _planned_again(actor: Actor, rollout: Rollout) -> Done:
    if rollout.revision_id is None:
        raise Conflict("What takes another rollout back is not planned: take that one back again.")
    done = _planned(
        actor,
        rollout.template_id,
        {
            "revision": rollout.revision_id,
            "selection": Selection.from_json(rollout.selection),
            "schedule": schedule_of(rollout),
        },
    )
    discard_plan(actor=actor, rollout_id=rollout.pk)
    return done
