"""The real client against a real server, which an operator changes by REST."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from accounts.models import ApiToken, Organisation
from accounts.roles import Role
from pipelines.client import Client, PipelineConfig
from pipelines.models import ConfigurationHead, DeliveryFigure, Parameter, Pin, Pipeline
from pipelines.tokens import issue_limited_token
from pipelines.versions import publish
from tests.factories import CONFIGS, PinFactory, revision_of, system
from tests.pipelines.client.conftest import Connect
from tests.pipelines.client.planes import until
from tests.pipelines.client.servers import KillableServer, Operator

NOWHERE = "http://127.0.0.1:9"
NEVER = 300.0  # seconds between polls: what is seen sooner was seen by the stream
AT_ONCE = 1.0  # seconds, on a machine that does much else; 50 ms are usual


def runs(client: Client, pipeline: Pipeline) -> dict[str, int]:
    """The pins that deliver, and at which revision."""
    config = client.config(pipeline.pk)
    return {entry.id: entry.revision_number for entry in config.integrations} if config else {}


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    until(condition)
    return time.monotonic() - began


def followed(client: Client) -> None:
    """Wait until the client has everything and its stream stands, so that it hears of what comes next."""
    until(lambda: client.status.synced_at is not None)
    time.sleep(0.2)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "pipelines/{pipeline}/integrations/{pin}", None),
        ("PUT", "pipelines/{pipeline}/integrations/{pin}", {"enabled": False}),
        ("PATCH", "pipelines/{pipeline}", {"enabled": False}),
        ("DELETE", "pipelines/{pipeline}", None),
    ],
    ids=["a pin is removed", "a pin is disabled", "a pipeline is disabled", "a pipeline is removed"],
)
def test_what_an_operator_stops_stops_at_once(
    method: str, path: str, body: object, operator: Operator, connect: Connect, meta: Pin
) -> None:
    with connect(poll_seconds=NEVER) as client:
        followed(client)
        assert runs(client, meta.pipeline) == {meta.pk: 1}
        operator.send(method, path.format(pipeline=meta.pipeline_id, pin=meta.pk), body)
        assert seconds_until(lambda: runs(client, meta.pipeline) == {}) < AT_ONCE
        assert client.status.held == 0
    with connect(NOWHERE) as client:  # nor does it begin again for who starts with no control plane there
        assert client.status.epoch
        assert runs(client, meta.pipeline) == {}


def test_only_what_was_stopped_stops(operator: Operator, connect: Connect, meta: Pin, ga4: Pin) -> None:
    with connect(poll_seconds=NEVER) as client:
        followed(client)
        assert runs(client, meta.pipeline) == {meta.pk: 1, ga4.pk: 1}
        operator.send("DELETE", f"pipelines/{meta.pipeline_id}/integrations/{meta.pk}")
        until(lambda: runs(client, meta.pipeline) == {ga4.pk: 1})


def test_a_change_is_seen_by_polling_alone(operator: Operator, connect: Connect, meta: Pin) -> None:
    with connect() as client:
        followed(client)
        client._stream.shut()  # type: ignore[union-attr]  # noqa: SLF001  # as a proxy does that cuts it
        operator.send("DELETE", f"pipelines/{meta.pipeline_id}/integrations/{meta.pk}")
        assert seconds_until(lambda: runs(client, meta.pipeline) == {}) < 1 + AT_ONCE


def test_a_new_revision_and_a_new_parameter_reach_the_processor_with_their_secrets(
    operator: Operator, connect: Connect, meta: Pin, ga4: Pin
) -> None:
    pins = f"pipelines/{meta.pipeline_id}/integrations"
    with connect(poll_seconds=NEVER) as client:
        followed(client)
        operator.send("PUT", f"{pins}/{meta.pk}", {"revision_id": revision_of(meta.template, 2).pk})
        operator.send("PUT", f"pipelines/{meta.pipeline_id}/parameters/ga4_measurement_id", {"value": "G-2"})
        until(lambda: client.status.version == ConfigurationHead.objects.get().number)
        config = client.config(meta.pipeline.pipeline_key)
    assert config is not None
    assert [(entry.revision_number, entry.config) for entry in config.integrations] == [
        (2, CONFIGS["meta_capi"]),
        (1, {"measurement_id": "G-2", "api_secret": "ga4-secret"}),
    ]
    assert not config.troubled


def test_what_the_control_plane_can_no_longer_resolve_goes_on_and_is_reported_so(
    operator: Operator, connect: Connect, organisation: Organisation, ga4: Pin
) -> None:
    with connect(instance="edge-1", poll_seconds=NEVER) as client:
        followed(client)
        # No door lets an operator do this; a fault of the control plane could.
        with transaction.atomic():
            Parameter.objects.all().delete()
            publish(actor=system(organisation), entries=[], pipelines=[ga4.pipeline_id])
        until(lambda: config_of(client, ga4).troubled)
        (kept,) = config_of(client, ga4).integrations
        assert kept.config == {"measurement_id": "G-1", "api_secret": "ga4-secret"}
        assert "ga4_measurement_id" in kept.kept
        until(lambda: said(operator, ga4) == "kept_last_good")
        operator.send("PUT", f"pipelines/{ga4.pipeline_id}/parameters/ga4_measurement_id", {"value": "G-3"})
        until(lambda: config_of(client, ga4).integrations[0].config["measurement_id"] == "G-3")
        until(lambda: said(operator, ga4) == "applied")
        assert shown(operator, ga4)["state"] == "in_sync"


def test_an_operator_sees_what_runs_and_what_was_delivered(
    operator: Operator, connect: Connect, meta: Pin, ga4: Pin
) -> None:
    with connect(instance="edge-1", poll_seconds=NEVER) as client:
        until(lambda: [shown(operator, pin)["state"] for pin in (meta, ga4)] == ["in_sync", "in_sync"])
        client.count(config_of(client, meta).integrations[0], delivered=5, failed=2)
        operator.send("PUT", f"pipelines/{meta.pipeline_id}/integrations/{meta.pk}", {"enabled": False})
        until(lambda: said(operator, meta) == "" and shown(operator, meta)["state"] == "in_sync")
    figures = DeliveryFigure.objects.values_list("pin_id", "revision_id", "delivered", "failed")
    assert list(figures) == [(meta.pk, meta.revision_id, 5, 2)]


def test_a_token_reads_the_pipelines_that_it_names_and_no_others(
    operator: Operator, organisation: Organisation, server: KillableServer, meta: Pin
) -> None:
    other: Pin = PinFactory(organisation=organisation)
    limit = [meta.pipeline_id]
    scope = {"actor": system(organisation), "name": "limited", "scope": Role.PROCESSOR}
    _, secret = issue_limited_token(**scope, pipelines=limit)  # type: ignore[arg-type]  # a mapping of several types
    with Client(server.url, secret, store=None, instance=None, poll_seconds=NEVER) as client:
        followed(client)
        assert [config.pipeline_id for config in client.pipelines()] == limit
        operator.send("PATCH", f"pipelines/{other.pipeline_id}", {"enabled": False})
        operator.send("DELETE", f"pipelines/{meta.pipeline_id}/integrations/{meta.pk}")
        until(lambda: runs(client, meta.pipeline) == {})
        assert client.config(other.pipeline_id) is None


def test_a_token_that_is_revoked_leaves_what_runs(operator: Operator, connect: Connect, meta: Pin) -> None:
    with connect(poll_seconds=0.5) as client:
        followed(client)
        operator.send("DELETE", f"tokens/{ApiToken.objects.get().pk}")
        until(lambda: client.status.refused)
        assert runs(client, meta.pipeline) == {meta.pk: 1}


def test_a_new_epoch_is_followed(operator: Operator, connect: Connect, meta: Pin, ga4: Pin) -> None:
    with connect(poll_seconds=0.5) as client:
        followed(client)
        ConfigurationHead.objects.update(epoch="ep_after_a_restore")
        operator.send("PUT", f"pipelines/{meta.pipeline_id}/integrations/{meta.pk}", {"enabled": False})
        until(lambda: client.status.epoch == "ep_after_a_restore")
        until(lambda: runs(client, meta.pipeline) == {ga4.pk: 1})
        assert (client.status.trouble, client.status.held) == ("", 0)


def test_a_backup_from_before_the_pins_were_made_ends_nothing_until_somebody_changes_them(
    operator: Operator, connect: Connect, meta: Pin
) -> None:
    with connect(poll_seconds=0.5) as client:
        followed(client)
        Pin.objects.filter(pk=meta.pk).update(enabled=False)  # unseen by the feed, as what a backup has not
        ConfigurationHead.objects.update(epoch="ep_after_a_restore")
        until(lambda: client.status.epoch == "ep_after_a_restore")
        assert (runs(client, meta.pipeline), client.status.held) == ({meta.pk: 1}, 1)
        operator.send("PUT", f"pipelines/{meta.pipeline_id}/integrations/{meta.pk}", {"enabled": True})
        until(lambda: client.status.held == 0)
        assert runs(client, meta.pipeline) == {meta.pk: 1}


def config_of(client: Client, pin: Pin) -> PipelineConfig:
    config = client.config(pin.pipeline_id)
    assert config is not None
    return config


def shown(operator: Operator, pin: Pin) -> dict[str, Any]:
    """What REST tells of a pin."""
    status = operator.send("GET", f"pipelines/{pin.pipeline_id}/status")["integrations"]
    found: dict[str, Any] = next(entry for entry in status if entry["id"] == pin.pk)
    return found


def said(operator: Operator, pin: Pin) -> str:
    """What the one instance says of it, nothing where it does not run it."""
    running: list[dict[str, str | None]] = shown(operator, pin)["running"]
    return running[0]["said"] or "" if running else ""
