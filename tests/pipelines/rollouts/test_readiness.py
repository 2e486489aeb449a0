"""Preflight of many: the database and the resolver together say exactly what the resolver says of each alone."""

import random
from itertools import chain
from typing import Any

import pytest

from accounts.models import Organisation
from integrations.models import Revision
from integrations.revisions import compiled
from pipelines.models import Parameter, Pipeline, RolloutTarget
from pipelines.preflight import problems_on
from pipelines.rollouts.readiness import ready_pipelines, unready_targets
from pipelines.rollouts.sql import rows, sql
from tests.factories import TemplateFactory, wishes
from tests.pipelines.rollouts.fleets import Fleet, fleet_of
from tests.queries import count_queries

TYPED: dict[str, Any] = {
    "url": "https://{{pipeline_param.host}}/{{pipeline_param.path}}",
    "timeout_seconds": "{{pipeline_param.timeout}}",
    "batch": "{{pipeline_param.batch}}",
}
VALUES = {
    "host": ["a.example", "x", "", None],
    "path": ["events", "ü" * 50, "", None],
    "timeout": ["30", "007", "-0", "9007199254740991", "9007199254740992", "12.0", "abc", "", None],
    "batch": ["true", "false", "True", "1", "", None],
}


def casting(revision: Revision) -> set[str]:
    return {kind for need in compiled(revision).needs for kind in need.types}


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_for_many_is_the_answer_for_each(organisation: Organisation, seed: int) -> None:
    """Any mix of values, plain and secret, against the one-by-one preflight that pins go through."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    template = TemplateFactory(organisation=organisation, vendor="webhook", config=TYPED)
    fleet = Fleet(organisation, template)
    revision = fleet.revision()
    for _ in range(25):
        secret = chance.random() < 0.3
        values = {key: chance.choice(choices) for key, choices in VALUES.items()}
        held = {key: value for key, value in values.items() if value is not None}
        fleet.add(enabled=False, parameters=wishes(held, secret=secret))
    rollout = fleet.plan()
    targets = RolloutTarget.objects.filter(rollout=rollout)

    chunks = unready_targets(revision, targets)
    found = {subject.pipeline_id: problems for subject, problems in chain.from_iterable(chunks)}

    expected = {pin.pipeline_id: details for pin in fleet.pins if (details := problems_on(pin.pipeline, revision))}
    assert found == expected
    assert 0 < len(expected) < len(fleet.pins)


def test_who_is_surely_ready_is_told_by_the_database_alone(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation)
    ready = fleet.add(parameters=wishes(ga4="G-1"))
    secret = fleet.add(parameters=wishes(secret=True, ga4="G-123"))
    fleet.add(enabled=False, parameters=wishes(ga4=""))
    fleet.add(enabled=False)
    everyone = Pipeline.objects.values("pk")
    surely = ready_pipelines(compiled(fleet.revision()), everyone)
    found = {row[0] for row in rows(sql("SELECT pipeline_id FROM ({ready}) ready", ready=surely))}
    assert found == {ready.pipeline_id, secret.pipeline_id}


def test_values_that_together_are_too_large_are_found(organisation: Organisation) -> None:
    config = {"url": "https://a.example", "headers": {f"x-{n}": "{{pipeline_param.big}}" * 3 for n in range(60)}}
    template = TemplateFactory(organisation=organisation, vendor="webhook", config=config)
    fleet = Fleet(organisation, template)
    fleet.add(enabled=False, parameters=wishes(big="x" * 8000))
    fleet.add(enabled=False, parameters=wishes(big="x" * 10))
    targets = RolloutTarget.objects.filter(rollout=fleet.plan())
    found = {
        subject.pipeline_id: [detail.code for detail in problems]
        for subject, problems in chain.from_iterable(unready_targets(fleet.revision(), targets))
    }
    assert found == {fleet.pins[0].pipeline_id: ["too_large"]}


def test_a_config_without_placeholders_asks_nothing(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation, config={"measurement_id": "G-9", "api_secret": "s"})
    targets = RolloutTarget.objects.filter(rollout=fleet.plan())
    revision = fleet.revision()
    with count_queries() as queries:
        assert list(unready_targets(revision, targets)) == []
    assert queries.statements == []
    assert Parameter.objects.count() == 2
