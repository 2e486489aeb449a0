"""Rollouts to look at: pins to move, and rollouts at every stage, made by the services."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import Organisation
from integrations.models import Template
from pipelines.models import Pin, Rollout, RolloutWave
from pipelines.rollouts.driving import advance
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import Schedule, plan_rollout
from pipelines.rollouts.waves import parse_waves
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, system

ROLLOUTS = "/admin/pipelines/rollout/"
SOAK = 600  # seconds


def pinned(organisation: Organisation, template: Template, count: int, number: int = 1) -> list[Pin]:
    """So many pins at a revision, on pipelines named Shop 1, Shop 2 …"""
    made = Pin.objects.filter(template=template).count()
    return [
        PinFactory(
            organisation=organisation,
            pipeline=PipelineFactory(organisation=organisation, name=f"Shop {made + place}"),
            template=template,
            number=number,
        )
        for place in range(1, count + 1)
    ]


def fleet_of(organisation: Organisation, count: int = 4) -> Template:
    """A template of three revisions with pins at the first."""
    template: Template = TemplateFactory(organisation=organisation, name="Meta", revisions=3)
    pinned(organisation, template, count)
    return template


def planned(template: Template, waves: str = "1,100%", gate: Gate | None = None, revision: str = "latest") -> Rollout:
    schedule = Schedule(waves=parse_waves(waves), soak_seconds=SOAK, gate=gate)
    actor = system(template.organisation)
    return plan_rollout(actor=actor, template_id=template.pk, revision=revision, schedule=schedule)


def running(template: Template, waves: str = "1,100%", gate: Gate | None = None, revision: str = "latest") -> Rollout:
    """Started, and its first wave applied."""
    rollout = planned(template, waves, gate, revision)
    start_rollout(actor=system(template.organisation), rollout_id=rollout.pk)
    return advance(rollout.pk)


def next_step(rollout: Rollout) -> Rollout:
    """What a worker does once the soak is over."""
    applied = RolloutWave.objects.filter(rollout=rollout, applied_at__isnull=False)
    applied.update(watched_from=timezone.now() - timedelta(seconds=SOAK))
    Rollout.objects.filter(pk=rollout.pk).update(next_at=timezone.now())
    return advance(rollout.pk)


def page_of(rollout: Rollout) -> str:
    return f"{ROLLOUTS}{rollout.pk}/"


def numbers(template: Template) -> list[int]:
    """At which revision each pin of the template stands, in the order of their pipelines' names."""
    pins = Pin.objects.filter(template=template).order_by("pipeline__name")
    return list(pins.values_list("revision__number", flat=True))
