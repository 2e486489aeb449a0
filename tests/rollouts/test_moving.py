"""A rollout from its plan to its end: what moves, what does not, and what is kept of it."""

from accounts.models import Organisation
from pipelines.models import Pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import Schedule, plan_counts, plan_rollout
from pipelines.rollouts.reverts import revert_rollout
from pipelines.rollouts.selection import Selection
from pipelines.rollouts.waves import parse_waves
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes

GA4 = {"measurement_id": "{{pipeline_param.ga4}}", "api_secret": "s"}


def test_smoke(organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, vendor="ga4", config=GA4, revisions=2)
    pins = []
    for _number in range(5):
        pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4="G-1"), labels={"env": "p"})
        pins.append(PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1))
    bare = PipelineFactory(organisation=organisation)
    off = PinFactory(organisation=organisation, pipeline=bare, template=template, number=1, enabled=False)
    actor = system(organisation)
    rollout = plan_rollout(
        actor=actor,
        template_id=template.pk,
        selection=Selection(include_disabled=True),
        schedule=Schedule(waves=parse_waves("1,50%,100%")),
    )
    assert plan_counts(rollout) == {"moves": 6}
    started = start_rollout(actor=actor, rollout_id=rollout.pk, plan_hash=rollout.plan_hash)
    states = [advance(started.pk).state for _ in range(3)]
    assert states == ["running", "running", "done"]
    assert {pin.revision_id for pin in Pin.objects.all()} == {revision_of(template, 2).pk}
    off.refresh_from_db()
    assert off.resolvable is False
    revert = revert_rollout(actor=actor, rollout_id=rollout.pk)
    assert advance(revert.pk).state == "done"
    assert {pin.revision_id for pin in Pin.objects.all()} == {revision_of(template, 1).pk}
