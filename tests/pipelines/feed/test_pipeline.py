"""`GET /v1/runtime/pipelines/{pid}`: what one pipeline runs, secrets and all, and nothing again that is known."""

from typing import Any

from accounts.models import Organisation
from pipelines.feed.hashes import config_hash
from pipelines.models import ConfigurationHead
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, wishes
from tests.pipelines.feed.clients import FeedReader


def test_a_processor_reads_what_a_pipeline_runs(organisation: Organisation, reader: FeedReader) -> None:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4_measurement_id="G-1"))
    template = TemplateFactory(organisation=organisation, vendor="ga4")
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    head = ConfigurationHead.objects.get()
    config: Any = {"measurement_id": "G-1", "api_secret": "ga4-secret"}
    answer = reader.pipeline(pipeline.pk)
    assert (answer.status, answer.body) == (
        200,
        {
            "epoch": head.epoch,
            "version": 2,
            "pipeline_id": pipeline.pk,
            "pipeline_key": pipeline.pipeline_key,
            "enabled": True,
            "integrations": [
                {
                    "id": pin.pk,
                    "integration_id": template.pk,
                    "vendor": "ga4",
                    "revision_id": pin.revision_id,
                    "revision_number": 1,
                    "delivery_mode": "server_side",
                    "state": "ok",
                    "config": config,
                    "config_hash": config_hash(pin_id=pin.pk, revision_id=pin.revision_id, config=config),
                }
            ],
        },
    )
    assert answer.headers["ETag"] == f'"{head.epoch}.2"'
    assert answer.headers["Cache-Control"] == "no-store"
