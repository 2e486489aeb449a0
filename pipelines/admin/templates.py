"""Templates in the console: the list, and the page of one with its revisions and who uses them."""

from collections import Counter
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.console import Question, actor_of, rehearse, require, role_of
from accounts.admin.days import ChangedFilter
from accounts.admin.forms import blame
from accounts.admin.sending import Done, acts, carry_out, settle
from accounts.errors import Refused
from accounts.roles import Role, allows
from integrations.admin.forms import NewTemplateForm, TemplateForm, vendor_name
from integrations.models import Template
from integrations.templates import create_template, update_template
from integrations.vendors import VENDORS
from pipelines.admin.exports import TemplateExports
from pipelines.admin.filters import VendorFilter
from pipelines.admin.pins import pins_link
from pipelines.admin.revisions import RevisionPages
from pipelines.admin.rollout_words import of_template
from pipelines.models import Pin
from pipelines.usages import remove_template

REVISIONS_SHOWN = 50
ROLLOUTS_SHOWN = 5


class OwnVendorFilter(VendorFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(vendor=self.value()) if self.value() else queryset


class CountedList(ChangeList):
    """Templates with how often each is pinned, counted for the page that is shown and no other."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        pins = Pin.objects.filter(template__in=rows).values_list("template_id", "revision_id")
        counts = {(template, revision): count for template, revision, count in pins.annotate(count=Count("pk"))}
        totals: Counter[str] = Counter()
        for (template, _), count in counts.items():
            totals[template] += count
        for row in rows:
            row.pin_count = totals[row.pk]
            row.behind_count = totals[row.pk] - counts.get((row.pk, row.latest_revision_id), 0)
        self.result_list = rows


class TemplateAdmin(TemplateExports, RevisionPages):
    list_display = ["named", "vendor_named", "latest", "pinned", "behind", "shelved", "changed"]
    list_display_links = None
    list_filter = [OwnVendorFilter, "archived", ChangedFilter]
    search_fields = ["name", "vendor", "id"]
    search_help_text = "Name, vendor or id"
    ordering = ["name", "id"]
    change_list_template = "console/templates.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        templates: Any = super().get_queryset(request).filter(deleted_at=None)
        found: QuerySet[Template] = templates.with_latest()
        return found

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CountedList

    def get_urls(self) -> list[URLPattern]:
        return [
            self.route("new/", self.create, "new"),
            *self.revision_routes(),
            self.route("<str:key>/edit/", self.edit, "edit"),
            self.route("<str:key>/archive/", self.archive, "archive"),
            self.route("<str:key>/delete/", self.remove, "remove"),
            self.route("<str:key>/", self.show, "page"),
            *super().get_urls(),
        ]

    @admin.display(description="Template", ordering="name")
    def named(self, template: Template) -> SafeString:
        return format_html('<a href="{}">{}</a>', address_of(template), template.name)

    @admin.display(description="Vendor", ordering="vendor")
    def vendor_named(self, template: Template) -> str:
        return vendor_name(template.vendor)

    @admin.display(description="Latest", ordering="latest_number")
    def latest(self, template: Template) -> str:
        return f"v{template.latest_number}" if template.latest_number else ""

    @admin.display(description="Pinned")
    def pinned(self, template: Any) -> SafeString:
        return pins_link(f"template={template.pk}", template.pin_count, f"of {template.name}")

    @admin.display(description="Behind")
    def behind(self, template: Any) -> SafeString | str:
        if not template.behind_count:
            return ""
        query = f"outdated=true&template={template.pk}"
        return pins_link(query, template.behind_count, f"of {template.name} behind")

    @admin.display(description="Archived", ordering="archived")
    def shelved(self, template: Template) -> SafeString | str:
        return format_html('<span class="state state-off">{}</span>', "Archived") if template.archived else ""

    def show(self, request: HttpRequest, key: str) -> HttpResponse:
        """One template: every revision, newest first, with how often it is pinned."""
        template: Any = self.found(request, key)
        revisions = template.revisions.with_status().defer("config").order_by("-number")
        page = Paginator(revisions, REVISIONS_SHOWN).get_page(request.GET.get("page"))
        pins = Pin.objects.filter(template=template).values_list("revision_id")
        counts = dict(pins.annotate(count=Count("pk")).values_list("revision_id", "count"))
        total = sum(counts.values())
        return self.page(
            request,
            "template.html",
            title=template.name,
            integration=template,
            vendor=vendor_name(template.vendor),
            is_known=template.vendor in VENDORS,
            page=page,
            revisions=[(revision, counts.get(revision.pk, 0)) for revision in page],
            pin_count=total,
            behind_count=total - counts.get(template.latest_revision_id, 0),
            rollouts=of_template(template, ROLLOUTS_SHOWN),
            may_delete=allows(role_of(request), Role.ADMIN),
        )

    def create(self, request: HttpRequest) -> HttpResponse:
        require(request, self.writes)
        form = NewTemplateForm(request.POST or None)
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_created, request, form.cleaned_data))
            except Refused as refusal:
                blame(form, refusal)
        return self.page(request, "form.html", form=form, title="New template", button="Add template", back="../")

    def edit(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        template = self.found(request, key)
        form = TemplateForm(request.POST or None, initial=TemplateForm.facts(template))
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_edited, request, template, form.cleaned_data))
            except Refused as refusal:
                blame(form, refusal)
        title = f"Edit {template.name}"
        return self.page(request, "form.html", form=form, title=title, button="Save", back=address_of(template))

    def archive(self, request: HttpRequest, key: str) -> HttpResponse:
        """Put it away, or take it out again: whichever it is not."""
        require(request, self.writes)
        template = self.found(request, key)
        actor, archived = actor_of(request), request.POST.get("archived") == "true"
        if acts(request):
            seen = request.POST.get("tag", "none")
            return carry_out(
                request,
                partial(update_template, actor=actor, template_id=key, archived=archived, expected=seen),
                done=f"{template.name} is {'archived' if archived else 'no longer archived'}.",
                then=address_of(template),
            )
        archived = not template.archived
        text = "Nobody can pin it anew or add a revision. Pins that stand keep delivering, and you can take it back."
        return self.ask(
            request,
            Question(
                title=f"{'Archive' if archived else 'Unarchive'} {template.name}?",
                explanation=text if archived else "It can be pinned and revised again.",
                button="Archive" if archived else "Unarchive",
                back=address_of(template),
                problems=rehearse(lambda: update_template(actor=actor, template_id=key, archived=archived)),
                fields=[("tag", template.tag), ("archived", "true" if archived else "false")],
            ),
        )

    def remove(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, Role.ADMIN)
        template = self.found(request, key)
        actor = actor_of(request)
        if acts(request):
            seen = request.POST.get("tag", "none")
            return carry_out(
                request,
                partial(remove_template, actor=actor, template_id=key, expected=seen),
                done=f"{template.name} is deleted.",
                then=reverse("admin:integrations_template_changelist"),
                otherwise=address_of(template),
            )
        return self.ask(
            request,
            Question(
                title=f"Delete {template.name}?",
                explanation="It leaves the lists and its name becomes free. Its revisions stay for history.",
                button="Delete",
                back=address_of(template),
                problems=rehearse(lambda: remove_template(actor=actor, template_id=key)),
                dangerous=True,
                fields=[("tag", template.tag)],
            ),
        )


def address_of(template: Template) -> str:
    return reverse("admin:integrations_template_page", args=[template.pk])


def _created(request: HttpRequest, fields: dict[str, Any]) -> Done:
    template = create_template(actor=actor_of(request), **fields)
    first_revision = reverse("admin:integrations_template_revise", args=[template.pk])
    return Done(first_revision, f"{template.name} is here. Give it its first revision.")


def _edited(request: HttpRequest, template: Template, said: dict[str, Any]) -> Done:
    fields = {name: value for name, value in said.items() if name != "tag"}
    update_template(actor=actor_of(request), template_id=template.pk, **fields, expected=said["tag"] or "none")
    return Done(address_of(template), f"{fields['name']} is saved.")
