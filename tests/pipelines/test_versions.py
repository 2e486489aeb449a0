"""The configuration version: one for each change, none without its audit row, and never back in time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import IntegrityError

from accounts.actors import Actor
from accounts.models import Organisation
from integrations.models import Template
from pipelines.models import ConfigurationHead, ConfigurationVersion, Pin, Pipeline
from pipelines.parameters import change_parameters, delete_parameter
from pipelines.pins import assign_pin, remove_pin, update_pin
from pipelines.registry import create_pipeline, delete_pipeline, update_pipeline
from pipelines.versions import version_at
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes
from tests.pipelines.traces import kept, version_of


@dataclass(frozen=True)
class Stage:
    """What the changes are made to: a pin on a pipeline with a parameter, and a template that is not there yet."""

    pin: Pin
    free: Template

    @property
    def pipeline_id(self) -> str:
        return str(self.pin.pipeline_id)


def create(actor: Actor, stage: Stage) -> None:
    create_pipeline(actor=actor, name=f"Beside {stage.pipeline_id}", parameters=wishes(a="1"))


def turn_off(actor: Actor, stage: Stage) -> None:
    fields = {"enabled": False, "name": "New"}
    update_pipeline(actor=actor, pipeline_id=stage.pipeline_id, fields=fields, parameters=wishes(a="2"))


def delete(actor: Actor, stage: Stage) -> None:
    delete_pipeline(actor=actor, pipeline_id=stage.pipeline_id)


def set_parameters(actor: Actor, stage: Stage) -> None:
    change_parameters(actor=actor, pipeline_id=stage.pipeline_id, wishes=wishes(a="2", b="3"))


def take_parameter(actor: Actor, stage: Stage) -> None:
    delete_parameter(actor=actor, pipeline_id=stage.pipeline_id, key="a")


def turn_pin_off(actor: Actor, stage: Stage) -> None:
    update_pin(actor=actor, pipeline_id=stage.pipeline_id, pin_id=stage.pin.pk, enabled=False)


def remove(actor: Actor, stage: Stage) -> None:
    remove_pin(actor=actor, pipeline_id=stage.pipeline_id, pin_id=stage.pin.pk)


def assign(actor: Actor, stage: Stage) -> None:
    revision = revision_of(stage.free)
    assign_pin(actor=actor, pipeline_id=stage.pipeline_id, template_id=stage.free.pk, revision_id=revision.pk)


CHANGES: list[Callable[[Actor, Stage], None]] = [
    create,
    turn_off,
    delete,
    set_parameters,
    take_parameter,
    turn_pin_off,
    remove,
    assign,
]


@pytest.fixture
def stage(organisation: Organisation) -> Stage:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(a="1"))
    return Stage(PinFactory(organisation=organisation, pipeline=pipeline), TemplateFactory(organisation=organisation))


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_one_version_that_names_the_pipeline(
    organisation: Organisation, stage: Stage, change: Callable[[Actor, Stage], None]
) -> None:
    before = version_of(organisation)
    change(system(organisation), stage)
    assert version_of(organisation) == before + 1
    newest = ConfigurationVersion.objects.get(organisation=organisation, number=before + 1)
    assert newest.entries.count() >= 1
    assert Pipeline.objects.filter(changed_in=newest).count() == 1


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_whose_audit_row_cannot_be_written_does_not_happen(
    organisation: Organisation, stage: Stage, change: Callable[[Actor, Stage], None]
) -> None:
    nameless = replace(system(organisation), label="")  # which the audit log's own constraint refuses
    before = kept()
    with pytest.raises(IntegrityError, match="audit_entry_names_its_actor"):
        change(nameless, stage)
    assert kept() == before


def test_each_organisation_counts_for_itself(organisation: Organisation, other_organisation: Organisation) -> None:
    PipelineFactory(organisation=organisation)
    PipelineFactory(organisation=organisation)
    PipelineFactory(organisation=other_organisation)
    assert (version_of(organisation), version_of(other_organisation)) == (2, 1)
    assert len(set(ConfigurationHead.objects.values_list("epoch", flat=True))) == 2


def test_times_of_versions_never_run_backwards_even_if_the_clock_does(organisation: Organisation) -> None:
    start = datetime(2030, 1, 1, 12, tzinfo=UTC)
    for minutes in (0, -60, 5, -1, -1, 10):
        with time_machine.travel(start + timedelta(minutes=minutes), tick=False):
            PipelineFactory(organisation=organisation)
    times = ConfigurationVersion.objects.order_by("number").values_list("created_at", flat=True)
    assert [(time - start).total_seconds() / 60 for time in times] == [0, 0, 5, 5, 5, 10]
    assert version_at(organisation.pk, start - timedelta(minutes=30)) == 0
    assert version_at(organisation.pk, start) == 2
    assert version_at(organisation.pk, start + timedelta(minutes=7)) == 5
    assert version_at(organisation.pk, start + timedelta(minutes=10)) == 6
