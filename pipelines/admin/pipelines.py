"""Pipelines in the console: the list, and the page of one with its pins, parameters, config and history."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.console import Question, actor_of, rehearse, require, role_of, told
from accounts.admin.forms import blame
from accounts.errors import Refused
from accounts.moments import read_moment
from accounts.roles import Role, allows
from integrations.models import Template
from integrations.revisions import find_revision
from pipelines.admin.exports import PipelineExports
from pipelines.admin.filters import LabelFilter
from pipelines.admin.forms import AssignForm, ParameterForm, PipelineForm
from pipelines.admin.marks import mark_of
from pipelines.admin.pins import state_of
from pipelines.admin.timeline import sentence_of
from pipelines.configs import config_at, current_config
from pipelines.feed.applied import applied_states
from pipelines.models import HistoryEntry, Pin, Pipeline
from pipelines.parameters import Wish, change_parameters, delete_parameter
from pipelines.pins import assign_pin
from pipelines.registry import create_pipeline, delete_pipeline, update_pipeline
from pipelines.versions import version_at

HISTORY_SHOWN = 50


class PipelineAdmin(PipelineExports):
    list_display = ["named", "type", "shown_labels", "pins", "behind", "enabled", "updated_at"]
    list_display_links = None
    list_filter = ["type", "enabled", LabelFilter]
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
    def pins(self, pipeline: Any) -> int:
        return int(pipeline.pin_count or 0)

    @admin.display(description="Behind")
    def behind(self, pipeline: Any) -> str:
        return str(pipeline.behind_count or "")

    def show(self, request: HttpRequest, key: str) -> HttpResponse:
        """Everything about one pipeline."""
        pipeline = self.found(request, key)
        pins = list(Pin.objects.filter(pipeline=pipeline).with_needs().order_by("created_at", "pk"))
        states = applied_states(pins)
        secret = HistoryEntry.objects.filter(pipeline=pipeline).last_secret_lines()
        history = HistoryEntry.objects.filter(pipeline=pipeline).with_names().order_by("-pk")[: HISTORY_SHOWN + 1]
        return self.page(
            request,
            "pipeline.html",
            title=pipeline.name,
            pipeline=pipeline,
            pins=[(pin, *state_of(pin), mark_of(states[pin.pk])) for pin in pins],
            parameters=_parameters(pipeline, pins),
            history=[(entry, sentence_of(entry, secret)) for entry in history[:HISTORY_SHOWN]],
            parameter_form=ParameterForm(),
            may_delete=allows(role_of(request), Role.ADMIN),
        )

    def create(self, request: HttpRequest) -> HttpResponse:
        require(request, self.writes)
        form = PipelineForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            fields = {name: value for name, value in form.cleaned_data.items() if name != "tag"}
            fields["slug"] = fields["slug"] or None
            try:
                pipeline = create_pipeline(actor=actor_of(request), **fields)
            except Refused as refusal:
                blame(form, refusal)
            else:
                with told(request, f"{pipeline.name} is here."):
                    return HttpResponseRedirect(address_of(pipeline))
        return self.page(request, "form.html", form=form, title="New pipeline", button="Add pipeline", back="../")

    def edit(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        pipeline = self.found(request, key)
        form = PipelineForm(request.POST or None, initial=PipelineForm.facts(pipeline))
        if request.method == "POST" and form.is_valid():
            fields = dict(form.cleaned_data)
            held = dict.fromkeys(pipeline.labels.values_list("key", flat=True))
            labels, tag = held | fields.pop("labels"), fields.pop("tag")
            fields["slug"] = fields["slug"] or pipeline.slug
            try:
                update_pipeline(
                    actor=actor_of(request), pipeline_id=key, fields=fields, labels=labels, expected=tag or "none"
                )
            except Refused as refusal:
                blame(form, refusal)
            else:
                with told(request, f"{fields['name']} is saved."):
                    return HttpResponseRedirect(address_of(pipeline))
        title = f"Edit {pipeline.name}"
        return self.page(request, "form.html", form=form, title=title, button="Save", back=address_of(pipeline))

    def remove(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, Role.ADMIN)
        pipeline = self.found(request, key)
        actor = actor_of(request)
        if request.method == "POST":
            with told(request, f"{pipeline.name} is deleted."):
                delete_pipeline(actor=actor, pipeline_id=key, expected=request.POST.get("tag", "none"))
            return HttpResponseRedirect(reverse("admin:pipelines_pipeline_changelist"))
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
        used = Pin.objects.filter(pipeline=pipeline).values("template_id")
        templates = Template.objects.in_organisation(pipeline.organisation_id).exclude(pk__in=used)
        free = list(templates.filter(archived=False, latest_number__gt=0).order_by("name")[:200])
        form = AssignForm(request.POST or None, templates=free)
        if request.method == "POST" and form.is_valid():
            template_id, _, number = form.cleaned_data["revision"].partition(":")
            template = next(template for template in free if template.pk == template_id)
            try:
                pin = assign_pin(
                    actor=actor_of(request),
                    pipeline_id=key,
                    template_id=template_id,
                    revision_id=find_revision(template, number).pk,
                    enabled=form.cleaned_data["enabled"],
                )
            except Refused as refusal:
                blame(form, refusal)
            else:
                with told(request, f"{pin.template.name} is on {pipeline.name}."):
                    return HttpResponseRedirect(address_of(pipeline))
        title = f"Add an integration to {pipeline.name}"
        return self.page(request, "form.html", form=form, title=title, button="Add", back=address_of(pipeline))

    def set_parameter(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        pipeline = self.found(request, key)
        secret_keys = set(pipeline.parameters.filter(secret=True).values_list("key", flat=True))
        initial = {"key": request.GET.get("key", ""), "tag": pipeline.tag}
        form = ParameterForm(request.POST or None, secret_keys=secret_keys, initial=initial)
        if request.method == "POST" and form.is_valid():
            said = form.cleaned_data
            wish = Wish(said["value"], secret=said["secret"], verbatim=said["verbatim"])
            try:
                change_parameters(
                    actor=actor_of(request),
                    pipeline_id=key,
                    wishes={said["key"]: wish},
                    expected=said["tag"] or "none",
                )
            except Refused as refusal:
                blame(form, refusal)
            else:
                with told(request, f"{form.cleaned_data['key']} is set."):
                    return HttpResponseRedirect(address_of(pipeline))
        title = f"Set a parameter of {pipeline.name}"
        return self.page(request, "form.html", form=form, title=title, button="Set", back=address_of(pipeline))

    def drop_parameter(self, request: HttpRequest, key: str, name: str) -> HttpResponse:
        require(request, self.writes)
        pipeline = self.found(request, key)
        actor = actor_of(request)
        if request.method == "POST":
            with told(request, f"{name} is deleted."):
                delete_parameter(actor=actor, pipeline_id=key, key=name, expected=request.POST.get("tag", "none"))
            return HttpResponseRedirect(address_of(pipeline))
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
