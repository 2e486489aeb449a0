"""What is pinned, served and running on a pipeline, as REST tells it."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as current
from django.db import connection
from django.utils import timezone

from accounts.models import ApiToken, Organisation
from accounts.roles import Role
from pipelines.api import status as status_api
from pipelines.feed.applied import applied_states, served_of
from pipelines.feed.documents import Documents
from pipelines.feed.hashes import config_hash, fingerprint
from pipelines.feed.reading import heads, rows_named
from pipelines.feed.states import Applied, State
from pipelines.models import Parameter, Pin, Pipeline, RunningPin
from pipelines.parameters import change_parameters
from pipelines.pins import update_pin
from pipelines.registry import update_pipeline
from tests.clients import Api
from tests.conftest import Cast, token
from tests.factories import CONFIGS, PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes
from tests.pipelines.feed.reporting import said, send
from tests.queries import assert_same_queries, count_queries

SECRET = "canary-51f0"


@pytest.fixture
def pin(organisation: Organisation) -> Pin:
    template = TemplateFactory(organisation=organisation, name="Meta CAPI", revisions=2)
    made: Pin = PinFactory(organisation=organisation, template=template)
    return made


@pytest.fixture
def second(organisation: Organisation) -> Api:
    return Api(token(organisation, Role.PROCESSOR)[1])


def runs(pin: Pin, number: int | None = None, config: Any = None, **more: Any) -> dict[str, Any]:
    """As an instance speaks of an integration whose config it got from us."""
    revision = revision_of(pin.template, number)
    made = config_hash(pin_id=pin.pk, revision_id=revision.pk, config=config or CONFIGS[pin.template.vendor])
    return {**said(pin), "revision_id": revision.pk, "config_hash": made, **more}


def status(api: Api, pin: Pin) -> dict[str, Any]:
    """What is told of this pin."""
    shown: list[dict[str, Any]] = api.get(f"pipelines/{pin.pipeline_id}/status").json()["integrations"]
    return next(each for each in shown if each["id"] == pin.pk)


def state(api: Api, pin: Pin) -> tuple[str, int, int]:
    """The state of a pin, which is the same where it is read for one pin and for many."""
    shown = status(api, pin)
    many = applied_states([Pin.objects.get(pk=pin.pk)])[pin.pk]
    told = shown["state"], shown["instances_in_sync"], shown["instances"]
    assert told == (many.state, many.in_sync, many.live)
    return told


@pytest.mark.parametrize(
    ("person", "expected"),
    {"viewer": 200, "editor": 200, "admin": 200, "stranger": 404, "processor": 403, "nobody": 401}.items(),
)
def test_everybody_of_the_organisation_but_a_processor_reads_it(
    cast: Cast, pin: Pin, person: str, expected: int
) -> None:
    assert cast[person].get(f"pipelines/{pin.pipeline_id}/status").status_code == expected


def test_all_that_is_told_of_a_pin(viewer: Api, processor: Api, second: Api, pin: Pin) -> None:
    old, new = revision_of(pin.template, 1), revision_of(pin.template, 2)
    with time_machine.travel("2026-02-25T14:30:00Z", tick=False):
        send(processor, instance="eu-1", integrations=[runs(pin)])
        send(second, instance="eu-2", integrations=[runs(pin, 1, state="kept_last_good", reason="<b>No pixel</b>")])
        shown = viewer.get(f"pipelines/{pin.pipeline_id}/status").json()
    facts = {"last_seen_at": "2026-02-25T14:30:00Z", "reported_at": "2026-02-25T14:30:00Z"}
    now, before = (fingerprint(runs(pin, number)["config_hash"]) for number in (2, 1))
    assert shown == {
        "pipeline_id": pin.pipeline_id,
        "enabled": True,
        "integrations": [
            {
                "id": pin.pk,
                "integration_id": pin.template_id,
                "integration_name": "Meta CAPI",
                "vendor": "meta_capi",
                "state": "rejected",
                "instances": 2,
                "instances_in_sync": 1,
                "pinned": {"revision_id": new.pk, "revision_number": 2, "enabled": True},
                "served": {"state": "ok", "fingerprint": now, "reasons": []},
                "running": [
                    {
                        "instance": "eu-2",
                        "verdict": "rejected",
                        "said": "kept_last_good",
                        "revision_id": old.pk,
                        "revision_number": 1,
                        "fingerprint": before,
                        "reason": "<b>No pixel</b>",
                        **facts,
                    },
                    {
                        "instance": "eu-1",
                        "verdict": "in_sync",
                        "said": "applied",
                        "revision_id": new.pk,
                        "revision_number": 2,
                        "fingerprint": now,
                        "reason": "",
                        **facts,
                    },
                ],
            }
        ],
    }


def test_a_pin_goes_from_unobserved_to_in_sync_and_through_a_change(
    viewer: Api, processor: Api, second: Api, organisation: Organisation, pin: Pin
) -> None:
    assert state(viewer, pin) == ("unobserved", 0, 0)
    send(processor, integrations=[runs(pin)])
    assert state(viewer, pin) == ("in_sync", 1, 1)
    send(second, integrations=[runs(pin)])
    assert state(viewer, pin) == ("in_sync", 2, 2)
    update_pin(
        actor=system(organisation),
        pipeline_id=pin.pipeline_id,
        pin_id=pin.pk,
        revision_id=revision_of(pin.template, 1).pk,
    )
    assert state(viewer, pin) == ("pending", 0, 2)
    send(processor, sequence=2, integrations=[runs(pin, 1)])
    assert state(viewer, pin) == ("partial", 1, 2)
    send(second, sequence=2, integrations=[runs(pin, 1, state="rejected", reason="No.")])
    assert state(viewer, pin) == ("rejected", 1, 2)
    send(second, sequence=3, integrations=[runs(pin, 1, config={"pixel_id": "1"}, state="applied")])
    assert state(viewer, pin) == ("partial", 1, 2)  # a config of ours for this pin, though not the one of now
    send(second, sequence=4, integrations=[{**runs(pin, 1), "config_hash": "f" * 64}])
    assert state(viewer, pin) == ("drift", 1, 2)
    assert status(viewer, pin)["running"][0]["fingerprint"] is None


def test_an_instance_that_speaks_of_the_pipeline_counts_for_each_of_its_pins(
    viewer: Api, processor: Api, organisation: Organisation, pin: Pin
) -> None:
    other = PinFactory(organisation=organisation, pipeline=pin.pipeline)
    elsewhere = PinFactory(organisation=organisation)
    send(processor, integrations=[runs(pin)])
    assert state(viewer, other) == ("pending", 0, 1)
    silent = status(viewer, other)["running"][0]
    assert (silent.pop("instance"), silent.pop("verdict")) == ("eu-1", "pending")
    assert silent.pop("last_seen_at").endswith("Z")
    assert set(silent.values()) == {None}
    assert state(viewer, elsewhere) == ("unobserved", 0, 0)


@pytest.mark.parametrize("off", ["pin", "pipeline"])
def test_what_is_disabled_is_in_sync_only_where_nothing_runs_it_any_more(
    viewer: Api, processor: Api, organisation: Organisation, pin: Pin, off: str
) -> None:
    other = PinFactory(organisation=organisation, pipeline=pin.pipeline, enabled=False)
    send(processor, integrations=[runs(pin), runs(other)])
    actor, pipeline_id = system(organisation), pin.pipeline_id
    if off == "pin":
        update_pin(actor=actor, pipeline_id=pipeline_id, pin_id=pin.pk, enabled=False)
    else:
        update_pipeline(actor=actor, pipeline_id=pipeline_id, fields={"enabled": False})
    assert state(viewer, pin) == ("pending", 0, 1)
    assert status(viewer, pin)["served"] is None
    send(processor, sequence=2, stopped=[pin.pk])
    assert state(viewer, pin) == ("in_sync", 1, 1)


def test_a_pin_that_cannot_be_filled_in_is_never_in_sync(
    viewer: Api, processor: Api, organisation: Organisation
) -> None:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4_measurement_id="G-AAAA"))
    pin = PinFactory(
        organisation=organisation, pipeline=pipeline, template=TemplateFactory(organisation=organisation, vendor="ga4")
    )
    config = {"measurement_id": "G-AAAA", "api_secret": "ga4-secret"}
    send(processor, integrations=[runs(pin, config=config)])
    assert state(viewer, pin) == ("in_sync", 1, 1)
    Parameter.objects.filter(pipeline=pipeline).delete()  # no service lets this happen
    assert state(viewer, pin) == ("pending", 0, 1)
    served = status(viewer, pin)["served"]
    assert (served["state"], served["fingerprint"]) == ("unresolvable", None)
    assert [reason["code"] for reason in served["reasons"]] == ["missing_parameter"]


@pytest.mark.parametrize("sealed", ["secret of the revision", "secret parameter"])
def test_a_secret_that_cannot_be_opened_is_told_of_its_integration_alone(
    viewer: Api, processor: Api, organisation: Organisation, settings: Any, sealed: str
) -> None:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes({"token": SECRET}, secret=True))
    vendor, config = (
        ("meta_capi", CONFIGS["meta_capi"])
        if sealed == "secret of the revision"
        else ("webhook", {"url": "https://{{pipeline_param.token}}.example.com"})
    )
    template = TemplateFactory(organisation=organisation, vendor=vendor, config=config)
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    beside = PinFactory(
        organisation=organisation,
        pipeline=pipeline,
        template=TemplateFactory(organisation=organisation, vendor="webhook"),
    )
    send(processor, integrations=[runs(beside)])
    settings.PINION_SECRET_KEYS = {"another": bytes(range(1, 33))}
    assert state(viewer, beside) == ("in_sync", 1, 1)
    assert state(viewer, pin) == ("pending", 0, 1)
    served = status(viewer, pin)["served"]
    assert (served["state"], [reason["code"] for reason in served["reasons"]]) == ("unresolvable", ["unreadable"])


def test_the_hash_expected_is_the_very_one_that_the_feed_serves(organisation: Organisation) -> None:
    """Secrets of both kinds, a cast value, what is disabled, and what cannot be filled in."""
    pipeline = PipelineFactory(
        organisation=organisation,
        parameters=wishes({"token": SECRET}, secret=True) | wishes(port="8084", host="a.example"),
    )
    configs: list[tuple[str, Any]] = [
        ("meta_capi", None),
        ("webhook", {"url": "https://{{pipeline_param.host}}/{{pipeline_param.token}}", "headers": {"x": "\\{{é}}"}}),
        ("webhook", {"url": "https://{{pipeline_param.host}}", "timeout_seconds": "{{pipeline_param.port}}"}),
        ("ga4", None),
    ]
    pins = [
        PinFactory(
            organisation=organisation,
            pipeline=pipeline,
            template=TemplateFactory(organisation=organisation, vendor=vendor, config=config),
            enabled=vendor != "ga4",
        )
        for vendor, config in configs
    ]
    Pin.objects.filter(pk=pins[3].pk).update(enabled=True)  # its parameter is missing, so no service would
    Parameter.objects.filter(pipeline=pipeline, key="port").update(value="8085")
    off = PinFactory(organisation=organisation, pipeline=pipeline, enabled=False)
    rows = rows_named([pipeline.pk])
    (document,) = Documents().of(heads([organisation.pk]), rows)
    feed = {each["id"]: (each["state"], each["config_hash"]) for each in json.loads(document.line)["integrations"]}
    expected = {key: (served.state, served.config_hash) for key, served in served_of(Pin.objects.all()).items()}
    assert expected == feed
    assert [feed[pin.pk][0] for pin in pins] == ["ok", "ok", "ok", "unresolvable"]
    assert off.pk not in feed


def test_a_changed_parameter_is_a_change_to_what_is_served(
    viewer: Api, processor: Api, organisation: Organisation
) -> None:
    pipeline = PipelineFactory(
        organisation=organisation, parameters=wishes({"ga4_measurement_id": SECRET}, secret=True)
    )
    pin = PinFactory(
        organisation=organisation, pipeline=pipeline, template=TemplateFactory(organisation=organisation, vendor="ga4")
    )
    config = {"measurement_id": SECRET, "api_secret": "ga4-secret"}
    send(processor, integrations=[runs(pin, config=config)])
    assert state(viewer, pin) == ("in_sync", 1, 1)
    change_parameters(actor=system(organisation), pipeline_id=pipeline.pk, wishes=wishes(ga4_measurement_id="G-BBBB"))
    assert state(viewer, pin) == ("pending", 0, 1)


def test_nothing_told_lets_a_secret_be_guessed(viewer: Api, processor: Api, organisation: Organisation) -> None:
    """A digest of the config would let whoever reads it try values until one fits."""
    pipeline = PipelineFactory(
        organisation=organisation, parameters=wishes({"ga4_measurement_id": SECRET}, secret=True)
    )
    pin = PinFactory(
        organisation=organisation, pipeline=pipeline, template=TemplateFactory(organisation=organisation, vendor="ga4")
    )
    served = served_of([pin])[pin.pk].config_hash
    assert served is not None
    send(processor, integrations=[{**said(pin), "config_hash": served}])
    text = viewer.get(f"pipelines/{pipeline.pk}/status").content.decode()
    assert SECRET not in text
    digest, _, seal = served.partition("-")
    assert digest not in text
    assert seal in text
    send(processor, sequence=2, integrations=[said(pin, "rejected", config_hash=f"x-{digest}")])
    assert digest[:8] not in viewer.get(f"pipelines/{pipeline.pk}/status").content.decode()


def test_an_instance_that_falls_silent_leaves_the_count(viewer: Api, processor: Api, second: Api, pin: Pin) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        send(processor, integrations=[runs(pin)])
        send(second, integrations=[runs(pin, 1)])
        assert state(viewer, pin) == ("partial", 1, 2)
    with time_machine.travel(now + current.PROCESSOR_LIVENESS, tick=False):
        send(processor, sequence=2)
        assert state(viewer, pin) == ("in_sync", 1, 1)
    with time_machine.travel(now + 2 * current.PROCESSOR_LIVENESS, tick=False):
        assert state(viewer, pin) == ("unobserved", 0, 0)
        send(second, sequence=2)  # back, and still what it was
        assert state(viewer, pin) == ("pending", 0, 1)


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_an_instance_whose_token_is_closed_leaves_the_count_at_once(
    viewer: Api, processor: Api, pin: Pin, column: str
) -> None:
    send(processor, integrations=[runs(pin)])
    past = timezone.now() - timedelta(seconds=1)
    ApiToken.objects.filter(scope="processor").update(**{column: past})
    assert state(viewer, pin) == ("unobserved", 0, 0)


def test_of_many_instances_some_are_listed_those_first_that_need_someone_and_all_are_counted(
    viewer: Api, processor: Api, pin: Pin, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status_api.SHOWN == 100
    monkeypatch.setattr(status_api, "SHOWN", 3)
    for number in range(5):
        send(processor, instance=f"eu-{number}", integrations=[runs(pin)])
    RunningPin.objects.filter(processor__instance="eu-4").update(claim="rejected")
    RunningPin.objects.filter(processor__instance="eu-3").update(config_hash="f" * 64)
    shown = status(viewer, pin)
    assert (shown["state"], shown["instances"], shown["instances_in_sync"]) == ("drift", 5, 3)
    assert [each["instance"] for each in shown["running"]] == ["eu-3", "eu-4", "eu-0"]


def fleet_of(organisation: Organisation, api: Api, size: int) -> tuple[Pipeline, list[Pin]]:
    """A pipeline with as many pins as said, all of them spoken of by as many instances."""
    pipeline: Pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4_measurement_id="G-AAAA"))
    pins: list[Pin] = [
        PinFactory(
            organisation=organisation,
            pipeline=pipeline,
            template=TemplateFactory(organisation=organisation, vendor="ga4"),
        )
        for _ in range(size)
    ]
    for number in range(size):
        send(api, instance=f"{pipeline.pk}-{number}", integrations=[said(pin) for pin in pins])
    return pipeline, pins


def test_a_status_takes_the_same_statements_for_few_and_for_many(
    viewer: Api, processor: Api, organisation: Organisation
) -> None:
    counts: dict[str, list[Any]] = {"one pipeline": [], "many pins": []}
    for size in (1, 8):
        pipeline, pins = fleet_of(organisation, processor, size)
        with count_queries() as queries:
            viewer.get(f"pipelines/{pipeline.pk}/status")
        counts["one pipeline"].append(queries)
        with count_queries() as queries:
            applied_states(pins)
        counts["many pins"].append(queries)
    for few, many in counts.values():
        assert_same_queries(few, many)
    assert {name: len(many) for name, (_, many) in counts.items()} == {"one pipeline": 7, "many pins": 5}


def test_a_pin_is_not_in_sync_by_an_instance_that_begins_to_speak_while_they_are_counted(
    processor: Api, second: Api, pin: Pin
) -> None:
    send(processor, integrations=[runs(pin)])
    behind = iter([{"instance": "eu-2", "integrations": [runs(pin, 1)]}])

    def between(execute: Callable[..., Any], *statement: Any) -> Any:
        """After the first statement one more instance speaks."""
        found = execute(*statement)
        for report in behind:
            send(second, **report)
        return found

    pins = [Pin.objects.get(pk=pin.pk)]
    with connection.execute_wrapper(between):
        assert applied_states(pins)[pin.pk] == Applied(State.PARTIAL, 2, 1)


def test_usages_tell_where_the_revision_runs(
    viewer: Api, processor: Api, second: Api, organisation: Organisation, pin: Pin
) -> None:
    other = PinFactory(organisation=organisation, template=pin.template)
    send(processor, integrations=[runs(pin), runs(other, state="rejected")])
    send(second, integrations=[runs(pin), runs(other, 1)])
    usages = viewer.get(f"integration-templates/{pin.template_id}/revisions/2/usages").json()["usages"]
    assert {usage["id"]: usage["running"] for usage in usages} == {pin.pk: 2, other.pk: 0}
