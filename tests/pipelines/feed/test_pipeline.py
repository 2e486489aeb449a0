"""`GET /v1/runtime/pipelines/{pid}`: what one pipeline runs, secrets and all, and nothing again that is known."""

from typing import Any

import pytest

from accounts.models import Organisation
from pipelines.feed.hashes import config_hash
from pipelines.models import ConfigurationHead, Parameter, Pin, Pipeline
from pipelines.parameters import change_parameters
from pipelines.pins import remove_pin, update_pin
from pipelines.registry import delete_pipeline, update_pipeline
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, system, wishes
from tests.pipelines.feed.clients import FeedReader


@pytest.fixture
def pin(committed_db: str, organisation: Organisation) -> Pin:
    """GA4, which needs a parameter, on a pipeline that has it."""
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4_measurement_id="G-1"))
    template = TemplateFactory(organisation=organisation, vendor="ga4")
    made: Pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    return made


def integration(pin: Pin, config: Any) -> dict[str, Any]:
    """As the feed shows it."""
    return {
        "id": pin.pk,
        "integration_id": pin.template_id,
        "vendor": pin.template.vendor,
        "revision_id": pin.revision_id,
        "revision_number": pin.revision.number,
        "delivery_mode": "server_side",
        "state": "ok",
        "config": config,
        "config_hash": config_hash(pin_id=pin.pk, revision_id=pin.revision_id, config=config),
    }


def test_a_processor_reads_what_a_pipeline_runs_with_its_secrets(pin: Pin, reader: FeedReader) -> None:
    head = ConfigurationHead.objects.get()
    answer = reader.pipeline(pin.pipeline_id)
    expected = {
        "epoch": head.epoch,
        "version": 2,
        "pipeline_id": pin.pipeline_id,
        "pipeline_key": pin.pipeline.pipeline_key,
        "enabled": True,
        "integrations": [integration(pin, {"measurement_id": "G-1", "api_secret": "ga4-secret"})],
    }
    assert (answer.status, answer.body) == (200, expected)
    assert answer.headers["ETag"] == f'"{head.epoch}.2"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert reader.pipeline(pin.pipeline.pipeline_key).body == expected


def test_secret_parameters_are_filled_in(pin: Pin, organisation: Organisation, reader: FeedReader) -> None:
    change_parameters(
        actor=system(organisation), pipeline_id=pin.pipeline_id, wishes=wishes(ga4_measurement_id="G-2", secret=True)
    )
    [shown] = reader.pipeline(pin.pipeline_id).body["integrations"]
    assert shown == integration(pin, {"measurement_id": "G-2", "api_secret": "ga4-secret"})


@pytest.mark.parametrize("written", ["{}", 'W/{}, "another"', '"another",{}', "*"])
def test_what_is_known_is_not_sent_again(written: str, pin: Pin, reader: FeedReader) -> None:
    etag = reader.pipeline(pin.pipeline_id).headers["ETag"]
    answer = reader.pipeline(pin.pipeline_id, If_None_Match=written.format(etag))
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)


def test_a_process_that_never_read_a_pipeline_knows_its_tag_too(pin: Pin, reader: FeedReader) -> None:
    etag = f'"{ConfigurationHead.objects.get().epoch}.2"'
    assert reader.pipeline(pin.pipeline_id, If_None_Match=etag).status == 304
    assert reader.pipeline(pin.pipeline_id, If_None_Match='"other"').body["version"] == 2


def test_every_change_of_what_runs_has_its_own_tag(pin: Pin, organisation: Organisation, reader: FeedReader) -> None:
    actor, pipeline_id = system(organisation), pin.pipeline_id
    versions = [reader.pipeline(pipeline_id).body["version"]]
    for change in (
        lambda: change_parameters(actor=actor, pipeline_id=pipeline_id, wishes=wishes(ga4_measurement_id="G-3")),
        lambda: update_pin(actor=actor, pipeline_id=pipeline_id, pin_id=pin.pk, enabled=False),
        lambda: update_pin(actor=actor, pipeline_id=pipeline_id, pin_id=pin.pk, enabled=True),
        lambda: update_pipeline(actor=actor, pipeline_id=pipeline_id, fields={"enabled": False}),
        lambda: remove_pin(actor=actor, pipeline_id=pipeline_id, pin_id=pin.pk),
    ):
        change()
        answer = reader.comes_to(pipeline_id, lambda said: said.body["version"] != versions[-1])
        versions.append(answer.body["version"])
    assert versions == [2, 3, 4, 5, 6, 7]


def test_a_pin_that_is_off_does_not_run(pin: Pin, organisation: Organisation, reader: FeedReader) -> None:
    update_pin(actor=system(organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=False)
    body = reader.pipeline(pin.pipeline_id).body
    assert (body["enabled"], body["integrations"]) == (True, [])


def test_a_pipeline_that_is_off_runs_nothing(pin: Pin, organisation: Organisation, reader: FeedReader) -> None:
    update_pipeline(actor=system(organisation), pipeline_id=pin.pipeline_id, fields={"enabled": False})
    body = reader.pipeline(pin.pipeline_id).body
    assert (body["enabled"], body["integrations"]) == (False, [])


def test_one_integration_that_cannot_run_is_marked_and_the_others_run(
    pin: Pin, organisation: Organisation, reader: FeedReader
) -> None:
    other = PinFactory(organisation=organisation, pipeline=pin.pipeline)
    Parameter.objects.all().delete()  # what no service of ours allows
    unresolvable, running = reader.pipeline(pin.pipeline_id).body["integrations"]
    assert running == integration(other, {"pixel_id": "1234567890", "access_token": "EAAB-secret"})
    assert unresolvable == {
        **integration(pin, None),
        "state": "unresolvable",
        "reason": "Set the parameter ga4_measurement_id on this pipeline: the config needs it.",
        "config": None,
        "config_hash": None,
    }


def test_a_removed_pipeline_is_not_found(pin: Pin, organisation: Organisation, reader: FeedReader) -> None:
    assert reader.pipeline(pin.pipeline_id).status == 200
    delete_pipeline(actor=system(organisation), pipeline_id=pin.pipeline_id)
    assert reader.comes_to(pin.pipeline_id, lambda said: said.status != 200).code == (404, "NOT_FOUND")


def test_what_is_not_there_is_not_found(reader: FeedReader) -> None:
    for name in ("pip_nothing", "pk_nothing", "%F0%9F%98%80", "a%00b", "x" * 5000):
        assert reader.pipeline(name).code == (404, "NOT_FOUND"), name


def test_pipelines_of_another_organisation_are_not_found(reader: FeedReader, other_organisation: Organisation) -> None:
    foreign: Pipeline = PipelineFactory(organisation=other_organisation)
    for name in (foreign.pk, foreign.pipeline_key):
        assert reader.pipeline(name).code == (404, "NOT_FOUND")
