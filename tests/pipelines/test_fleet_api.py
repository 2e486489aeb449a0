"""All pins of an organisation in one list, with every filter."""

from typing import Any

import pytest

from accounts.models import Organisation
from pipelines.models import Pin
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, wishes
from tests.pipelines.traces import refusal

GA4 = {"measurement_id": "{{pipeline_param.ga4}}", "api_secret": "s"}


@pytest.fixture
def pins(organisation: Organisation, other_organisation: Organisation) -> dict[str, Pin]:
    """Meta at revisions 1 and 2 of 2, GA4 at 1 of 1 on a pipeline that has its parameter, and off on one that has not."""
    PinFactory(organisation=other_organisation)
    meta = TemplateFactory(organisation=organisation, revisions=2)
    ga4 = TemplateFactory(organisation=organisation, vendor="ga4", config=GA4)
    shop = PipelineFactory(
        organisation=organisation, labels={"stage": "live", "team": "a"}, parameters=wishes(ga4="G-1")
    )
    app = PipelineFactory(organisation=organisation, labels={"stage": "live"})
    make: dict[str, dict[str, Any]] = {
        "shop meta 1": {"pipeline": shop, "template": meta, "number": 1},
        "shop ga4": {"pipeline": shop, "template": ga4},
        "app meta 2": {"pipeline": app, "template": meta, "number": 2},
        "app ga4 off": {"pipeline": app, "template": ga4, "enabled": False},
    }
    return {name: PinFactory(organisation=organisation, **given) for name, given in make.items()}


def found(api: Api, pins: dict[str, Pin], **query: Any) -> list[str]:
    names = {pin.pk: name for name, pin in pins.items()}
    answer = api.get("pipeline-integrations", query)
    assert list(answer.json()) == ["integrations", "next_cursor", "has_more"]
    return [names[shown["id"]] for shown in answer.json()["integrations"]]


def test_without_a_filter_it_lists_all_pins_oldest_first(viewer: Api, pins: dict[str, Pin]) -> None:
    assert found(viewer, pins) == ["shop meta 1", "shop ga4", "app meta 2", "app ga4 off"]


def test_it_shows_the_same_object_as_the_pipeline_does(viewer: Api, pins: dict[str, Pin]) -> None:
    pin = pins["shop meta 1"]
    shown = viewer.get("pipeline-integrations").json()["integrations"][0]
    assert shown == viewer.get(f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}").json()


def test_every_filter_finds_just_its_own(viewer: Api, pins: dict[str, Pin]) -> None:
    meta1, ga4 = pins["shop meta 1"], pins["shop ga4"]
    assert found(viewer, pins, template=meta1.template_id) == ["shop meta 1", "app meta 2"]
    assert found(viewer, pins, revision=meta1.revision_id) == ["shop meta 1"]
    assert found(viewer, pins, revision=ga4.revision_id) == ["shop ga4", "app ga4 off"]
    assert found(viewer, pins, vendor="ga4") == ["shop ga4", "app ga4 off"]
    assert found(viewer, pins, pipeline=meta1.pipeline_id) == ["shop meta 1", "shop ga4"]
    assert found(viewer, pins, label="stage:live") == list(pins)
    assert found(viewer, pins, label=["stage:live", "team:a"]) == ["shop meta 1", "shop ga4"]
    assert found(viewer, pins, label=["team:a", "team:b"]) == []
    assert found(viewer, pins, enabled="false") == ["app ga4 off"]
    assert found(viewer, pins, enabled="true") == ["shop meta 1", "shop ga4", "app meta 2"]
    assert found(viewer, pins, outdated="true") == ["shop meta 1"]
    assert found(viewer, pins, outdated="false") == ["shop ga4", "app meta 2", "app ga4 off"]
    assert found(viewer, pins, state="unresolvable") == ["app ga4 off"]
    assert found(viewer, pins, state="ok") == ["shop meta 1", "shop ga4", "app meta 2"]


def test_filters_narrow_one_another(viewer: Api, pins: dict[str, Pin]) -> None:
    query = {"vendor": "meta_capi", "label": "stage:live", "outdated": "false", "enabled": "true", "state": "ok"}
    assert found(viewer, pins, **query) == ["app meta 2"]


@pytest.mark.parametrize("name", ["template", "revision", "vendor", "pipeline"])
def test_what_is_not_there_has_no_pins(viewer: Api, pins: dict[str, Pin], name: str) -> None:
    assert found(viewer, pins, **{name: "nothere"}) == []


def test_another_organisations_pins_are_not_found_by_their_ids(
    viewer: Api, stranger: Api, pins: dict[str, Pin]
) -> None:
    pin = pins["shop meta 1"]
    assert stranger.get("pipeline-integrations", {"revision": pin.revision_id}).json()["integrations"] == []
    assert stranger.get("pipeline-integrations", {"pipeline": pin.pipeline_id}).json()["integrations"] == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("outdated=maybe", ("outdated", "not_a_flag")),
        ("state=running", ("state", "invalid_choice")),
        ("label=live", ("label", "invalid")),
        ("templat=x", ("templat", "unknown_filter")),
        ("page=2", ("page", "unknown_filter")),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(viewer: Api, query: str, detail: tuple[str, str]) -> None:
    assert refusal(viewer.get(f"pipeline-integrations?{query}")) == (400, "BAD_REQUEST", [detail])


def test_pages_keep_the_filters(viewer: Api, pins: dict[str, Pin]) -> None:
    query = {"label": "stage:live", "limit": 3}
    first = viewer.get("pipeline-integrations", query).json()
    second = viewer.get("pipeline-integrations", {**query, "cursor": first["next_cursor"]}).json()
    ids = [shown["id"] for page in (first, second) for shown in page["integrations"]]
    assert (ids, first["has_more"], second["has_more"]) == ([pin.pk for pin in pins.values()], True, False)
