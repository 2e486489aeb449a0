"""Pipelines in the console: the list, and the page of one with its pins, parameters, config and history."""

import json
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.console import Question, actor_of, rehearse, require, role_of
from accounts.admin.days import ChangedFilter
from accounts.admin.forms import blame
from accounts.admin.sending import Done, acts, carry_out, settle
from accounts.errors import Refused
from accounts.moments import read_moment
from accounts.roles import Role, allows
from integrations.models import Template
from integrations.revisions import find_revision
from pipelines.admin.exports import PipelineExports
from pipelines.admin.filters import LabelFilter
from pipelines.admin.forms import AssignForm, ParameterForm, PipelineForm
from pipelines.admin.history import HistoryPages, newest
from pipelines.admin.marks import mark_of
from pipelines.admin.pins import pins_link, state_of
from pipelines.configs import config_at, current_config
from pipelines.feed.applied import applied_states
from pipelines.models import Pin, Pipeline
from pipelines.parameters import Wish, change_parameters, delete_parameter
from pipelines.pins import assign_pin
from pipelines.registry import create_pipeline, delete_pipeline, update_pipeline
from pipelines.versions import version_at

HISTORY_SHOWN = 10
TEMPLATES_OFFERED = 200


class PipelineAdmin(PipelineExports, HistoryPages):
    list_display = ["named", "type", "shown_labels", "pins", "behind", "enabled", "changed"]
    list_display_links = None
    list_filter = ["type", "enabled", ChangedFilter, LabelFilter]
    search_fields = ["name", "slug", "id", "pipeline_key"]
    search_help_text = "Name, slug, id or pipeline key"
    ordering = ["name", "id"]
    change_list_template = "console/pipelines.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        pipelines = super().get_queryset(request).filter(deleted_at=None).prefetch_related("labels")
        pins = Pin.objects.filter(pipeline=OuterRef("pk")).order_by()
        late = pins.outdated().values("pipeline").annotate(count=Count("pk")).values("count")
        every = pins.values("pipeline").annotate(count=Count("pk")).values("count")
        counted: QuerySet[Any] = pipelines.annotate(pin_count=Subquery(every), behind_count=Subquery(late))
        return counted

    def get_urls(self) -> list[URLPattern]:
        return [
            self.route("new/", self.create, "new"),
            self.route("<str:key>/edit/", self.edit, "edit"),
            self.route("<str:key>/delete/", self.remove, "remove"),
            self.route("<str:key>/assign/", self.assign, "assign"),
            self.route("<str:key>/parameters/", self.set_parameter, "parameter"),
            self.route("<str:key>/parameters/<str:name>/delete/", self.drop_parameter, "parameter_delete"),
            self.route("<str:key>/config/", self.config, "config"),
            *self.history_routes(),
            self.route("<str:key>/", self.show, "page"),
            *super().get_urls(),
        ]

    @admin.display(description="Pipeline", ordering="name")
    def named(self, pipeline: Pipeline) -> SafeString:
        return format_html('<a href="{}">{}</a>', address_of(pipeline), pipeline.name)

    @admin.display(description="Labels")
    def shown_labels(self, pipeline: Pipeline) -> str:
        return ", ".join(sorted(str(label) for label in pipeline.labels.all()))

    @admin.display(description="Integrations")
    def pins(self, pipeline: Any) -> SafeString | int:
        return (
            pins_link(f"pipeline={pipeline.pk}", pipeline.pin_count, f"on {pipeline.name}") if pipeline.pin_count else 0
        )

    @admin.display(description="Behind")
    def behind(self, pipeline: Any) -> SafeString | str:
        query = f"outdated=true&pipeline={pipeline.pk}"
        return pins_link(query, pipeline.behind_count, f"on {pipeline.name} behind") if pipeline.behind_count else ""

    def show(self, request: HttpRequest, key: str) -> HttpResponse:
        """Everything about one pipeline."""
        pipeline = self.found(request, key)
        pins = list(Pin.objects.filter(pipeline=pipeline).with_needs().order_by("created_at", "pk"))
        states = applied_states(pins)
        lines, is_more = newest(pipeline, HISTORY_SHOWN)
        return self.page(
            request,
            "pipeline.html",
            title=pipeline.name,
            pipeline=pipeline,
            pins=[(pin, *state_of(pin), mark_of(states[pin.pk])) for pin in pins],
            parameters=_parameters(pipeline, pins),
            lines=lines,
            more_history=is_more,
            parameter_form=ParameterForm(),
            may_delete=allows(role_of(request), Role.ADMIN),
        )

    def create(self, request: HttpRequest) -> HttpResponse:
        require(request, self.writes)
        form = PipelineForm(request.POST or None)
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_created, request, form.cleaned_data))
            except Refused as refusal:
                blame(form, refusal)
        return self.page(request, "form.html", form=form, title="New pipeline", button="Add pipeline", back="../")

    def edit(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        pipeline = self.found(request, key)
        form = PipelineForm(request.POST or None, initial=PipelineForm.facts(pipeline))
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_edited, request, pipeline, form.cleaned_data))
            except Refused as refusal:
                blame(form, refusal)
        title = f"Edit {pipeline.name}"
        return self.page(request, "form.html", form=form, title=title, button="Save", back=address_of(pipeline))

    def remove(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, Role.ADMIN)
        pipeline = self.found(request, key)
        actor = actor_of(request)
        if acts(request):
            seen = request.POST.get("tag", "none")
            return carry_out(
                request,
                partial(delete_pipeline, actor=actor, pipeline_id=key, expected=seen),
                done=f"{pipeline.name} is deleted.",
                then=reverse("admin:pipelines_pipeline_changelist"),
                otherwise=address_of(pipeline),
            )
        return self.ask(
            request,
            Question(
                title=f"Delete {pipeline.name}?",
                explanation="Its integrations and parameters go with it, and events are sent nowhere. History stays.",
                button="Delete",
                back=address_of(pipeline),
                problems=rehearse(lambda: delete_pipeline(actor=actor, pipeline_id=key)),
                dangerous=True,
                fields=[("tag", pipeline.tag)],
            ),
        )

    def assign(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        pipeline = self.found(request, key)
        query = request.GET.get("q", "").strip()
        offered = _offered(pipeline, request.POST.get("revision", "").partition(":")[0], query)
        form = AssignForm(request.POST or None, templates=offered)
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_assigned, request, pipeline, offered, form.cleaned_data))
            except Refused as refusal:
                blame(form, refusal)
        return self.page(
            request,
            "assign.html",
            form=form,
            title=f"Add an integration to {pipeline.name}",
            button="Add",
            back=address_of(pipeline),
            query=query,
            none=not offered,
            some=len(offered) == TEMPLATES_OFFERED,
        )

    def set_parameter(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        pipeline = self.found(request, key)
        secret_keys = set(pipeline.parameters.filter(secret=True).values_list("key", flat=True))
        initial = {"key": request.GET.get("key", ""), "tag": pipeline.tag}
        form = ParameterForm(request.POST or None, secret_keys=secret_keys, initial=initial)
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_parameter_set, request, pipeline, form.cleaned_data))
            except Refused as refusal:
                blame(form, refusal)
        title = f"Set a parameter of {pipeline.name}"
        return self.page(request, "form.html", form=form, title=title, button="Set", back=address_of(pipeline))

    def drop_parameter(self, request: HttpRequest, key: str, name: str) -> HttpResponse:
        require(request, self.writes)
        pipeline = self.found(request, key)
        actor = actor_of(request)
        if acts(request):
            seen = request.POST.get("tag", "none")
            drop = partial(delete_parameter, actor=actor, pipeline_id=key, key=name, expected=seen)
            return carry_out(request, drop, done=f"{name} is deleted.", then=address_of(pipeline))
        return self.ask(
            request,
            Question(
                title=f"Delete the parameter {name} of {pipeline.name}?",
                explanation="Its value is gone then; history keeps that it was here.",
                button="Delete",
                back=address_of(pipeline),
                problems=rehearse(lambda: delete_parameter(actor=actor, pipeline_id=key, key=name)),
                dangerous=True,
                fields=[("tag", pipeline.tag)],
            ),
        )

    def config(self, request: HttpRequest, key: str) -> HttpResponse:
        """What a processor loads for this pipeline, now or at a moment."""
        pipeline = self.found(request, key)
        asked = request.GET.get("at", "")
        moment = read_moment(asked if not asked or asked.endswith("Z") or "+" in asked else f"{asked}Z")
        config = (
            config_at(pipeline, version_at(pipeline.organisation_id, moment)) if moment else current_config(pipeline)
        )
        context = {"pipeline": pipeline, "config": config, "asked": asked, "unreadable": bool(asked and not moment)}
        title = f"What {pipeline.name} {'ran then' if moment else 'runs now'}"
        texts = [(pin, _pretty(pin.config)) for pin in config.integrations]
        return self.page(request, "config.html", title=title, pins=texts, **context)


def address_of(pipeline: Pipeline) -> str:
    return reverse("admin:pipelines_pipeline_page", args=[pipeline.pk])


def _created(request: HttpRequest, fields: dict[str, Any]) -> Done:
    wanted = {name: value for name, value in fields.items() if name != "tag"} | {"slug": fields["slug"] or None}
    pipeline = create_pipeline(actor=actor_of(request), **wanted)
    return Done(address_of(pipeline), f"{pipeline.name} is here.")


def _edited(request: HttpRequest, pipeline: Pipeline, said: dict[str, Any]) -> Done:
    fields = said | {"slug": said["slug"] or pipeline.slug}
    labels, seen = fields.pop("labels"), fields.pop("tag") or "none"
    held = dict.fromkeys(pipeline.labels.values_list("key", flat=True))
    update_pipeline(
        actor=actor_of(request), pipeline_id=pipeline.pk, fields=fields, labels=held | labels, expected=seen
    )
    return Done(address_of(pipeline), f"{fields['name']} is saved.")


def _offered(pipeline: Pipeline, chosen: str, query: str) -> list[Template]:
    """The templates that are not on this pipeline yet; also the chosen one, so that the service says what is wrong."""
    used = Pin.objects.filter(pipeline=pipeline).exclude(template=chosen).values("template_id")
    templates = Template.objects.in_organisation(pipeline.organisation_id).exclude(pk__in=used)
    fit = templates.filter(archived=False, latest_number__gt=0, name__icontains=query)
    return list(fit.order_by("name", "pk")[:TEMPLATES_OFFERED])


def _assigned(request: HttpRequest, pipeline: Pipeline, offered: list[Template], said: dict[str, Any]) -> Done:
    template_id, _, number = said["revision"].partition(":")
    template = next(template for template in offered if template.pk == template_id)
    assign_pin(
        actor=actor_of(request),
        pipeline_id=pipeline.pk,
        template_id=template_id,
        revision_id=find_revision(template, number).pk,
        enabled=said["enabled"],
    )
    return Done(address_of(pipeline), f"{template.name} is on {pipeline.name}.")


def _parameter_set(request: HttpRequest, pipeline: Pipeline, said: dict[str, Any]) -> Done:
    wish = Wish(said["value"], secret=said["secret"], verbatim=said["verbatim"])
    seen = said["tag"] or "none"
    change_parameters(actor=actor_of(request), pipeline_id=pipeline.pk, wishes={said["key"]: wish}, expected=seen)
    return Done(address_of(pipeline), f"{said['key']} is set.")


def _parameters(pipeline: Pipeline, pins: list[Pin]) -> list[dict[str, Any]]:
    """Each parameter, held or only needed, with who needs it."""
    held = {parameter.key: parameter for parameter in pipeline.parameters.all()}
    needed = {key for pin in pins for key in pin.revision.parameters_used}
    return [
        {
            "key": key,
            "parameter": held.get(key),
            "needed_by": [pin for pin in pins if key in pin.revision.parameters_used],
        }
        for key in sorted(held.keys() | needed)
    ]


def _pretty(config: Any) -> str:
    return json.dumps(config, indent=2, ensure_ascii=False)
