"""Revisions in the console: one revision's page, two side by side, a new one, and whether one may still be pinned."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse

from accounts.actors import Actor
from accounts.admin.console import ConsoleAdmin, actor_of, require
from accounts.admin.pages import IdsFirst
from accounts.admin.sending import Done, acts, carry_out, settle
from accounts.errors import Detail, NotFound, PreflightFailed, Refused, Stale
from integrations.admin.forms import MODES, STATUS_TEXTS, RevisionForm, StatusForm, vendor_name
from integrations.admin.json_text import written
from integrations.models import DeliveryMode, Revision, Template
from integrations.revisions import create_revision, find_revision, set_status
from integrations.templates import lock_template
from integrations.vendors import VENDORS
from pipelines.admin.pins import shown
from pipelines.admin.readiness import Readiness, readiness
from pipelines.differences import Difference, compare
from pipelines.models import Pin, Pipeline

USERS_SHOWN = 50
OFFERED = 200  # revisions in a list to choose from
SUGGESTED = 20  # pipelines


@dataclass(frozen=True)
class Comparison:
    """A difference as a table: pointer, before, after, and what is special about the line."""

    title: str
    lines: list[tuple[str, str, str, str]]
    newly_needed: tuple[str, ...]
    no_longer_used: tuple[str, ...]


@dataclass(frozen=True)
class Review:
    """What saving would do: the differences, what looks unusual, and which pipelines could not run it."""

    comparisons: list[Comparison]
    warnings: tuple[Detail, ...]
    readiness: Readiness
    fingerprint: str


class RevisionPages(ConsoleAdmin):
    """The pages of revisions, below their template's address."""

    def revision_routes(self) -> list[URLPattern]:
        return [
            self.route("<str:key>/revise/", self.revise, "revise"),
            self.route("<str:key>/compare/", self.compare, "compare"),
            self.route("<str:key>/revisions/<str:number>/", self.show_revision, "revision"),
            self.route("<str:key>/revisions/<str:number>/status/<str:status>/", self.change_status, "status"),
        ]

    def show_revision(self, request: HttpRequest, key: str, number: str) -> HttpResponse:
        """One revision: what it holds, what it needs, and who uses it."""
        template = self.found(request, key)
        revision = _found(template, number)
        pins = Pin.objects.filter(revision=revision).select_related("pipeline").order_by("pipeline__name", "pk")
        return self.page(
            request,
            "revision.html",
            title=f"{template.name} v{revision.number}",
            integration=template,
            revision=revision,
            config=written(revision.config),
            pins=IdsFirst(pins, USERS_SHOWN).get_page(request.GET.get("page")),
            deeds=[(status, text) for status, (text, _) in STATUS_TEXTS.items() if status != revision.status],
        )

    def compare(self, request: HttpRequest, key: str) -> HttpResponse:
        """Any two revisions, as written or as one pipeline would run them."""
        template = self.found(request, key)
        numbers = list(template.revisions.order_by("-number").values_list("number", flat=True)[:OFFERED])
        if not numbers:
            raise Http404
        after = _found(template, request.GET.get("after") or str(numbers[0]))
        before = _found(template, request.GET.get("before") or str(max(1, after.number - 1)))
        asked = request.GET.get("pipeline", "").strip()
        pipeline, refusal = _pipeline(template, asked)
        comparison = None
        try:
            difference = None if refusal else compare(before, after, pipeline)
        except PreflightFailed as failure:
            refusal = " ".join([failure.message, *(detail.message for detail in failure.details)])
        else:
            comparison = comparison_of(_from_to(before, after, pipeline), difference) if difference else None
        return self.page(
            request,
            "revision_compare.html",
            title=f"Compare revisions of {template.name}",
            integration=template,
            before=before,
            after=after,
            numbers=sorted({*numbers, before.number, after.number}, reverse=True),
            asked=asked,
            refusal=refusal,
            comparison=comparison,
            suggested=Pin.objects.filter(template=template).select_related("pipeline").order_by("revision")[:SUGGESTED],
        )

    def change_status(self, request: HttpRequest, key: str, number: str, status: str) -> HttpResponse:
        """Ask first, with what it means for those who use it."""
        require(request, self.writes)
        template = self.found(request, key)
        revision = _found(template, number)
        if status not in STATUS_TEXTS:
            raise Http404
        address = address_of(revision)
        form = StatusForm(request.POST or None, initial={"tag": revision.tag})
        if acts(request) and form.is_valid():
            seen, reason = form.cleaned_data["tag"] or "none", form.cleaned_data["reason"]
            change: dict[str, Any] = {"template_id": key, "revision": revision.pk, "status": status, "reason": reason}
            return carry_out(
                request,
                partial(set_status, actor=actor_of(request), **change, expected=seen),
                done=f"{template.name} v{revision.number} is {status}.",
                then=address,
            )
        button, explanation = STATUS_TEXTS[status]
        return self.page(
            request,
            "revision_status.html",
            title=f"{button}: {template.name} v{revision.number}?",
            form=form,
            button=button,
            explanation=explanation,
            revision=revision,
            pin_count=Pin.objects.filter(revision=revision).count(),
            dangerous=status == "retired",
            back=address,
        )

    def revise(self, request: HttpRequest, key: str) -> HttpResponse:
        """A new revision: first the difference it makes, then the button that saves exactly that."""
        require(request, self.writes)
        template = self.found(request, key)
        if refusal := _unfit(template):
            messages.error(request, refusal)
            return HttpResponseRedirect(reverse("admin:integrations_template_page", args=[key]))
        actor = actor_of(request)
        base = _base(template, request)
        data = request.POST if request.method == "POST" else None
        owner = f"revision-form:{actor.id}:{template.pk}"
        form = RevisionForm(data, template=template, vendor=VENDORS[template.vendor], base=base, owner=owner)
        review = None
        if form.is_bound and form.is_valid():
            try:
                if form.wants_to_save and acts(request):
                    return settle(request, partial(_create, actor, template, form))
                review = _review(actor, template, form)
            except Stale:
                template = self.found(request, key)
                review = _review(actor, template, form)
            except Refused as refused:
                form.take(refused)
        return self._form(request, template, base, form, review)

    def _form(
        self, request: HttpRequest, template: Template, base: Revision | None, form: RevisionForm, review: Review | None
    ) -> HttpResponse:
        is_stale = form.newest_seen != template.latest_number
        changed_since = form.data.get("do") == "save" and review is not None and not is_stale
        number = template.latest_number + 1
        return self.page(
            request,
            "revision_form.html",
            title=f"{template.name}: new revision",
            integration=template,
            vendor=vendor_name(template.vendor),
            base=base,
            form=form,
            review=review,
            number=number,
            newest=_newest(template) if is_stale else None,
            changed_since=changed_since,
            mode_change=_mode_change(base, form) if review else None,
        )


def address_of(revision: Revision) -> str:
    return reverse("admin:integrations_template_revision", args=[revision.template_id, revision.number])


def _found(template: Template, reference: str) -> Revision:
    """Raises Http404."""
    try:
        return find_revision(template, reference)
    except NotFound as refusal:
        raise Http404(refusal.message) from None


def _newest(template: Template) -> Revision | None:
    return find_revision(template, str(template.latest_number)) if template.latest_number else None


def _base(template: Template, request: HttpRequest) -> Revision | None:
    """What the form starts from: the revision asked for, else the latest; a first revision starts from nothing."""
    sent = request.POST if request.method == "POST" else request.GET
    reference = sent.get("base", "")
    return _found(template, reference) if reference else None if request.method == "POST" else _newest(template)


def _unfit(template: Template) -> str:
    """Why there can be no new revision, if so."""
    if template.vendor not in VENDORS:
        return f"This build no longer knows the vendor {template.vendor}, so no revision can be added."
    return "This template is archived. Unarchive it before you add a revision." if template.archived else ""


def _create(actor: Actor, template: Template, form: RevisionForm) -> Done:
    """Save, unless somebody else saved a revision since the form was opened. Raises Stale."""
    with transaction.atomic():
        current = lock_template(actor=actor, template_id=template.pk)
        if current.latest_number != form.newest_seen:
            raise Stale("Somebody saved a revision since you opened this form.", current)
        created = create_revision(actor=actor, template_id=template.pk, **form.wish)
    warnings = tuple(warning.message for warning in created.warnings)
    said = f"{created.revision} is saved. It runs nowhere until it is pinned."
    return Done(address_of(created.revision), said, warnings)


def _review(actor: Actor, template: Template, form: RevisionForm) -> Review:
    """Save, look, and take it all back. Raises Refused."""
    with transaction.atomic():
        created = create_revision(actor=actor, template_id=template.pk, **form.wish)
        revision, base = created.revision, form.base
        comparisons = [comparison_of(_title(base), compare(base, revision))]
        newest = _newest(template)
        if newest and newest != base:
            comparisons.append(
                comparison_of(f"What changes from the latest, v{newest.number}", compare(newest, revision))
            )
        review = Review(
            comparisons, created.warnings, readiness(template, revision), form.fingerprint(template.latest_number)
        )
        transaction.set_rollback(True)
    return review


def _from_to(before: Revision, after: Revision, pipeline: Pipeline | None) -> str:
    run = f", as {pipeline.name} would run them" if pipeline else ""
    return f"From v{before.number} to v{after.number}{run}"


def _mode_change(base: Revision | None, form: RevisionForm) -> tuple[str, str] | None:
    chosen = form.cleaned_data["delivery_mode"]
    return (
        (MODES[DeliveryMode(base.delivery_mode)], MODES[DeliveryMode(chosen)])
        if base and base.delivery_mode != chosen
        else None
    )


def _title(base: Revision | None) -> str:
    return f"What changes from v{base.number}" if base else "What the first revision holds"


def comparison_of(title: str, difference: Difference) -> Comparison:
    lines = [
        (
            change.pointer or "(all of it)",
            "" if change.op == "added" else shown(change.before),
            "" if change.op == "removed" else shown(change.after),
            "a secret, hidden" if change.secret else "another type" if change.type_changed else "",
        )
        for change in difference.changes
    ]
    return Comparison(title, lines, difference.newly_needed, difference.no_longer_used)


def _pipeline(template: Template, asked: str) -> tuple[Pipeline | None, str]:
    """The pipeline by name, slug or id, or why there is none."""
    if not asked:
        return None, ""
    pipelines = Pipeline.objects.in_organisation(template.organisation_id)
    found = list(pipelines.filter(Q(pk=asked) | Q(slug=asked) | Q(name=asked)).order_by("pk")[:2])
    if len(found) == 1:
        return found[0], ""
    return None, f"More than one pipeline is called “{asked}”. Write its slug." if found else (
        f"There is no pipeline “{asked}”. Write its name, slug or id."
    )
