"""Fleets to roll out over: a template with revisions, and pipelines that have it."""

from dataclasses import dataclass, field
from typing import Any

from accounts.actors import Actor
from accounts.models import Organisation
from integrations.models import Revision, Template
from integrations.revisions import create_revision
from pipelines.models import Pin, Pipeline, Rollout, RolloutTarget
from pipelines.pins import update_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import ALL_NOW, EVERYTHING, Schedule, plan_rollout
from pipelines.rollouts.selection import Selection
from pipelines.rollouts.waves import parse_waves
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes

GA4 = {"measurement_id": "{{pipeline_param.ga4}}", "api_secret": "s"}


@dataclass
class Fleet:
    """One template and its pins, in the order in which they were made."""

    organisation: Organisation
    template: Template
    pins: list[Pin] = field(default_factory=list)

    @property
    def actor(self) -> Actor:
        return system(self.organisation)

    def add(self, *, number: int = 1, enabled: bool = True, name: str | None = None, **pipeline: Any) -> Pin:
        """One more pipeline with a pin at this revision; all else is said of the pipeline."""
        named = {"name": name} if name else {}
        made: Pipeline = PipelineFactory(organisation=self.organisation, **{**named, **pipeline})
        pin: Pin = PinFactory(
            organisation=self.organisation, pipeline=made, template=self.template, number=number, enabled=enabled
        )
        self.pins.append(pin)
        return pin

    def revision(self, number: int | None = None) -> Revision:
        """By its number, or the latest."""
        self.template.refresh_from_db()
        return revision_of(self.template, number)

    def revise(self, config: Any) -> str:
        """The number of a new revision with this config."""
        return str(create_revision(actor=self.actor, template_id=self.template.pk, config=config).revision.number)

    def plan(
        self, selection: Selection = EVERYTHING, schedule: Schedule = ALL_NOW, revision: str = "latest"
    ) -> Rollout:
        return plan_rollout(
            actor=self.actor,
            template_id=self.template.pk,
            revision=revision,
            selection=selection,
            schedule=schedule,
        )

    def start(self, rollout: Rollout, **how: Any) -> Rollout:
        return start_rollout(actor=self.actor, rollout_id=rollout.pk, **how)

    def run(self, selection: Selection = EVERYTHING, **how: Any) -> Rollout:
        """Plan, start and apply at once."""
        return advance(self.start(self.plan(selection), **how).pk)

    def change(self, pin: Pin, **how: Any) -> Pin:
        """Somebody changes a pin by hand."""
        return update_pin(actor=self.actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk, **how)

    def numbers(self) -> list[int]:
        """At which revision each pin stands now, in the order in which they were made."""
        standing = dict(Pin.objects.filter(template=self.template).values_list("pk", "revision__number"))
        return [standing[pin.pk] for pin in self.pins]


def fleet_of(
    size: int, organisation: Organisation, *, revisions: int = 2, config: Any = None, **pipeline: Any
) -> Fleet:
    """So many pipelines at revision 1 of a template that needs the parameter `ga4`, which they have."""
    template = TemplateFactory(organisation=organisation, vendor="ga4", config=config or GA4, revisions=revisions)
    fleet = Fleet(organisation, template)
    for _ in range(size):
        fleet.add(**{"parameters": wishes(ga4="G-1"), **pipeline})
    return fleet


def in_waves(text: str, **how: Any) -> Schedule:
    return Schedule(waves=parse_waves(text), **how)


def outcomes(rollout: Rollout) -> dict[str, tuple[str, list[str]]]:
    """For each pipeline by name what the plan says of it, and the codes of its reasons."""
    targets = RolloutTarget.objects.filter(rollout=rollout).select_related("pipeline")
    return {
        target.pipeline.name: (str(target.outcome), [reason["code"] for reason in target.reasons]) for target in targets
    }
