"""Markup and script put into every column that keeps text, so that a page that trusted one of them would betray itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone

from accounts.actors import Actor, ActorType
from accounts.ids import IdField
from accounts.models import ApiToken, Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from accounts.users import create_organisation
from integrations.documents import DocumentField
from integrations.models import Template
from integrations.revisions import create_revision, set_status
from integrations.templates import update_template
from pipelines.feed.reports import Delivered, Report, Said, record_report
from pipelines.models import Label, Parameter, Pin, Pipeline, Rollout
from pipelines.parameters import change_parameters
from pipelines.pins import update_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.lifecycle import abort_rollout, pause_rollout, resume_rollout, start_rollout
from pipelines.rollouts.plans import Schedule, plan_rollout
from pipelines.rollouts.waves import parse_waves
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, UserFactory, actor_of, wishes

# Out of an attribute, out of a script, into an element, into a template, and what turns or hides text.
ATTACK = "\"'><img src=x onerror=hit()><svg onload=hit()></script><script>hit()</script>{{7*7}}\u202e\u200b&lt;"
SHORT = "\"'><img src=x onerror=hit()>"
EMAIL = '"<img/src=x/onerror=hit()>"@acme.example'
MARK = "onerror=hit()"

TEXT = (models.CharField, models.TextField, models.JSONField, models.BinaryField, DocumentField)
OURS = "made by Pinion itself"
NARROW = "takes letters, digits and a few signs; put there by force besides"
EXCEPTIONS = {
    "User.password": "a hash",
    "RefreshToken.token_hash": "a hash",
    "LoginGuard.email_hash": "a hash",
    "ApiToken.token_hash": "a hash",
    "IdempotentAnswer.request_hash": "a hash",
    "Rollout.plan_hash": "a hash",
    "ApiToken.hint": "the end of a token that Pinion made; put there by force besides",
    "IdempotentAnswer.key": "shown nowhere",
    "IdempotentAnswer.actor_id": "an id",
    "IdempotentAnswer.headers": OURS,
    "IdempotentAnswer.body": "sealed",
    "SealedValues.box": "sealed",
    "Parameter.sealed": "sealed",
    "Parameter.key": NARROW,
    "Pipeline.slug": NARROW,
    "Label.key": NARROW,
    "Label.value": NARROW,
    "Processor.run": NARROW,
    "Revision.parameters_used": "keys of parameters: letters, digits and underscores",
    "HistoryEntry.subject_id": "an id, or the key of a parameter",
    "Template.vendor": "one of the catalogue",
    "AuditEntry.action": OURS,
    "AuditEntry.resource_type": OURS,
    "AuditEntry.resource_id": "an id",
    "Pipeline.pipeline_key": OURS,
    "ConfigurationHead.epoch": OURS,
    "RunningPin.pin_id": "an id of a pin that is there",
    "DeliveryFigure.pin_id": "an id of a pin that is there",
    "RolloutTarget.pin_id": "an id of a pin that is there",
    "RolloutTarget.reasons": "names what is missing by its key: letters, digits and underscores",
    "Rollout.selection": "ids, and labels that are there",
    "Rollout.waves_asked": "numbers and percents",
    "Rollout.gate": "numbers",
} | {
    f"{model}.{field}": why
    for model in ("AuditEntry", "ConfigurationVersion", "Revision", "Rollout")
    for field, why in (("actor_id", "an id, or a name of the operating system"), ("request_id", "letters and digits"))
}


@dataclass(frozen=True)
class Planted:
    """An organisation full of it, the admin who looks at it, and what stands where by the name of the column."""

    organisation: Organisation
    admin: User
    texts: dict[str, str]
    addresses: dict[str, str]


def text_columns() -> Iterator[tuple[str, type[models.Model], str]]:
    """Every column of ours that keeps text which is neither an id of ours nor one of a few choices."""
    for label in ("accounts", "integrations", "pipelines"):
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.local_concrete_fields:
                if isinstance(field, TEXT) and not isinstance(field, IdField) and not field.choices:
                    yield f"{model.__name__}.{field.name}", model, field.name


def plant() -> Planted:
    """By the services that console, REST and processors use; then by force where those would not take it."""
    texts = {name: f"javascript:hit()//{name}{ATTACK}" for name, _, _ in text_columns()}
    texts |= {
        name: EMAIL for name in texts if name.endswith((".actor_label", ".created_by", ".runs_for", "User.email"))
    }
    texts["AuditEntry.resource_label"] = texts["AuditEntry.changes"] = texts["Template.name"]
    texts["RolloutWave.verdict_reason"] = f"{EMAIL} went on without the gate."
    organisation = create_organisation(name=texts["Organisation.name"])
    admin = UserFactory(organisation=organisation, email=EMAIL, name=texts["User.name"], role=Role.ADMIN)
    actor = actor_of(admin)
    template, pipeline = _template(actor, texts), _pipeline(actor, texts)
    pins = _pins(actor, template, pipeline, texts)
    _report(actor, pins[0], texts)
    rollouts = _rollouts(actor, template, texts)
    _by_force(pipeline)
    return Planted(organisation, admin, texts, _addresses(template, pipeline, pins, rollouts))


def _template(actor: Actor, texts: dict[str, str]) -> Template:
    name, organisation = texts["Template.name"], Organisation.objects.get(pk=actor.organisation_id)
    made: Template = TemplateFactory(organisation=organisation, name="Before", vendor="webhook", revisions=1)
    update_template(actor=actor, template_id=made.pk, name=name, description=texts["Template.description"])
    markup = texts["Revision.config"]
    for number in range(2):
        config = {"url": f"https://x.example/{number}", markup: [markup, {SHORT: f"{number}{markup}"}]}
        summary = texts["Revision.change_summary"]
        create_revision(actor=actor, template_id=made.pk, config=config, change_summary=summary)
    reason = texts["RevisionStanding.reason"]
    set_status(actor=actor, template_id=made.pk, revision="1", status="deprecated", reason=reason)
    made.refresh_from_db()
    return made


def _pipeline(actor: Actor, texts: dict[str, str]) -> Pipeline:
    organisation = Organisation.objects.get(pk=actor.organisation_id)
    made: Pipeline = PipelineFactory(organisation=organisation, name=texts["Pipeline.name"], labels={"team": "web"})
    for value in (texts["HistoryEntry.before_value"], texts["HistoryEntry.after_value"], texts["Parameter.value"]):
        change_parameters(actor=actor, pipeline_id=made.pk, wishes=wishes(text=value, unused=value))
    issue_token(actor=actor, name=texts["ApiToken.name"], scope=Role.VIEWER)
    return made


def _pins(actor: Actor, template: Template, pipeline: Pipeline, texts: dict[str, str]) -> list[Pin]:
    organisation = pipeline.organisation
    more = [
        PipelineFactory(organisation=organisation, name=f"{number} {texts['Pipeline.name']}") for number in range(3)
    ]
    pins: list[Pin] = [
        PinFactory(organisation=organisation, pipeline=each, template=template, number=2) for each in [pipeline, *more]
    ]
    update_pin(actor=actor, pipeline_id=pipeline.pk, pin_id=pins[0].pk, enabled=False)
    update_pin(actor=actor, pipeline_id=pipeline.pk, pin_id=pins[0].pk, enabled=True)
    return pins


def _report(actor: Actor, pin: Pin, texts: dict[str, str]) -> None:
    token, _ = issue_token(actor=actor, name=texts["ApiToken.name"], scope=Role.PROCESSOR)
    reporter = Actor(ActorType.TOKEN, token.pk, token.name, actor.organisation_id, Role.PROCESSOR)
    said = Said(
        pin_id=pin.pk,
        revision_id=pin.revision_id,
        config_hash=f"RunningPin.config_hash{SHORT}",
        claim="kept_last_good",
        refused_hash=f"RunningPin.refused_hash{SHORT}",
        reason=texts["RunningPin.reason"],
    )
    texts["Processor.instance"] = instance = f"Processor.instance{SHORT}"
    texts["RunningPin.config_hash"], texts["RunningPin.refused_hash"] = said.config_hash, said.refused_hash
    delivered = [Delivered(pin.pk, pin.revision_id, 3, 1)]
    report = Report(instance, "run-1", 1, timezone.now(), integrations=[said], deliveries=delivered)
    record_report(actor=reporter, report=report)


def _rollouts(actor: Actor, template: Template, texts: dict[str, str]) -> list[Rollout]:
    """One aborted with a reason, one paused by its gate and taken on, one taken back, and a plan."""
    schedule = Schedule(waves=parse_waves("1,100%"), soak_seconds=600, gate=Gate(max_failure_ratio=0.1))
    made = []
    for reason in (texts["Rollout.reason"], ""):
        rollout = plan_rollout(actor=actor, template_id=template.pk, schedule=schedule)
        start_rollout(actor=actor, rollout_id=rollout.pk)
        advance(rollout.pk)
        pause_rollout(actor=actor, rollout_id=rollout.pk, reason=texts["Rollout.reason"])
        resume_rollout(actor=actor, rollout_id=rollout.pk, skip_gate=True)
        if reason:
            abort_rollout(actor=actor, rollout_id=rollout.pk, reason=reason)
        else:
            pause_rollout(actor=actor, rollout_id=rollout.pk, reason=texts["Rollout.reason"])
        made.append(rollout)
    return [*made, plan_rollout(actor=actor, template_id=template.pk, revision="1")]


def _by_force(pipeline: Pipeline) -> None:
    """As if the rules of these columns had a hole: past the services, where the database lets it."""
    Pipeline.objects.filter(pk=pipeline.pk).update(slug=SHORT)
    Label.objects.filter(pipeline=pipeline).update(key=SHORT, value=SHORT)
    Parameter.objects.filter(pipeline=pipeline, key="unused").update(key=SHORT)
    ApiToken.objects.filter(organisation=pipeline.organisation_id).update(hint="<b>x</b>")


def _addresses(template: Template, pipeline: Pipeline, pins: list[Pin], rollouts: list[Rollout]) -> dict[str, str]:
    """What the address map does not know: pages that ask for something besides."""
    revisions = f"/admin/integrations/template/{template.pk}/"
    return {
        "compare": f"{revisions}compare/?before=2&after=3",
        "compare as run": f"{revisions}compare/?before=2&after=3&pipeline={pipeline.pk}",
        "revise an older one": f"{revisions}revise/?from=2",
        "move": f"/admin/pipelines/pin/{pins[1].pk}/move/?revision=3",
        "plan": f"/admin/pipelines/rollout/new/?template={template.pk}",
        "plan alike": f"/admin/pipelines/rollout/new/?like={rollouts[0].pk}",
        **{f"rollout {place}": f"/admin/pipelines/rollout/{each.pk}/" for place, each in enumerate(rollouts)},
        **{f"targets {place}": f"/admin/pipelines/rollout/{each.pk}/targets/" for place, each in enumerate(rollouts)},
    }


def rows_with(model: Any, column: str) -> list[Any]:
    """What a column holds that has the attack in it."""
    values = model.objects.order_by().values_list(column, flat=True)
    return [value for value in values if MARK in str(value)]
