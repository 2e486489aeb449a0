"""Lists of the console: narrowed to days, taken away as files as they are filtered, every number a link."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organisation, User
from integrations.models import Template
from pipelines.models import Pin, Pipeline
from tests.console.people import at_console, streamed, told
from tests.factories import PinFactory, PipelineFactory, TemplateFactory

PINS = "/admin/pipelines/pin/"
PIPELINES = "/admin/pipelines/pipeline/"
TEMPLATES = "/admin/integrations/template/"
MODELS: dict[str, Any] = {PINS: Pin, PIPELINES: Pipeline, TEMPLATES: Template}


@pytest.fixture
def viewer(viewer_user: User) -> Client:
    return at_console(viewer_user)


@pytest.fixture
def three(organisation: Organisation) -> None:
    """Three of everything, last changed at the very end of a day in March, at the start of the next, and in April."""
    moments = [datetime(2026, 3, 1, 23, 59, 59, 999999), datetime(2026, 3, 2), datetime(2026, 4, 1, 12)]  # noqa: DTZ001  # UTC below
    for moment in moments:
        pin = PinFactory(organisation=organisation)
        for row in (pin, pin.pipeline, pin.template):
            type(row).objects.filter(pk=row.pk).update(updated_at=moment.replace(tzinfo=UTC))


def days(response: Any) -> list[str]:
    return sorted(f"{row.updated_at:%m-%d}" for row in response.context["cl"].result_list)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("address", MODELS)
@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"since": "2026-03-01", "until": "2026-03-01"}, ["03-01"]),
        ({"since": "2026-03-02"}, ["03-02", "04-01"]),
        ({"until": "2026-03-31"}, ["03-01", "03-02"]),
        ({"since": "2026-03-02", "until": "2026-03-31"}, ["03-02"]),
    ],
)
def test_a_list_and_its_file_are_narrowed_to_days_of_the_last_change(
    viewer: Client, address: str, chosen: dict[str, str], found: list[str]
) -> None:
    page = viewer.get(address, chosen)
    assert days(page) == found
    [link] = re.findall(rf'href="({address}export/json/[^"]*)"', page.content.decode())
    rows = json.loads(streamed(viewer.get(link.replace("&amp;", "&"))))
    assert sorted(row["updated_at"][5:10] for row in rows) == found


@pytest.mark.parametrize("address", MODELS)
def test_days_stay_in_the_address_beside_the_other_filters_and_the_search(viewer: Client, address: str) -> None:
    page = viewer.get(address, {"since": "2026-03-02", "q": "Shop"}).content.decode()
    assert '<input type="date" id="since" name="since" value="2026-03-02">' in page
    assert '<input type="hidden" name="since" value="2026-03-02">' in page  # in the form of the search
    assert '<input type="hidden" name="q" value="Shop">' in page  # in the form of the days
    assert f'href="{address}export/csv/?since=2026-03-02&amp;q=Shop"' in page


@pytest.mark.parametrize("address", MODELS)
def test_a_day_that_cannot_be_read_is_said_to_be_none(viewer: Client, address: str) -> None:
    response = viewer.get(address, {"until": "2026-02-30"})
    assert told(response) == ["Write a day such as 2026-02-20. What cannot be read is left out."]


def test_a_far_page_leads_to_the_file_of_the_whole_list(viewer: Client, organisation: Organisation) -> None:
    PipelineFactory.create_batch(51, organisation=organisation)
    page = viewer.get(PIPELINES, {"p": "2"})
    assert len(page.context["cl"].result_list) == 1
    assert f'href="{PIPELINES}export/json/"' in page.content.decode()
    assert len(json.loads(streamed(viewer.get(f"{PIPELINES}export/json/")))) == 51


def test_every_number_of_the_lists_leads_to_the_integrations_it_counts(
    viewer: Client, organisation: Organisation
) -> None:
    pipeline, template = (
        PipelineFactory(organisation=organisation),
        TemplateFactory(organisation=organisation, revisions=3),
    )
    PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1)
    PinFactory(organisation=organisation, pipeline=pipeline)
    PinFactory(organisation=organisation)
    for address, row in ((PIPELINES, pipeline), (TEMPLATES, template)):
        page = viewer.get(address).content.decode()
        [line] = [line for line in page.split("<tr>") if f">{row.name}<" in line]
        links = re.findall(rf'<a href="({PINS}\?[^"]+)">(\d+)<', line)
        assert links
        for link, number in links:
            counted = viewer.get(link.replace("&amp;", "&")).context["cl"].result_count
            assert counted == int(number), link


@pytest.mark.parametrize(
    ("words", "found"),
    [("shop", ["GA4", "Meta"]), ("META", ["Meta", "Meta"]), ("web shop", ["GA4", "Meta"]), ("x", [])],
)
def test_integrations_are_found_by_pipeline_and_by_template(
    viewer: Client,
    organisation: Organisation,
    other_organisation: Organisation,
    words: str,
    found: list[str],
) -> None:
    shop, blog = (PipelineFactory(organisation=organisation, name=name) for name in ("Web Shop", "Blog"))
    meta, ga4 = (TemplateFactory(organisation=organisation, name=name) for name in ("Meta", "GA4"))
    for pipeline, template in ((shop, meta), (shop, ga4), (blog, meta)):
        PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    theirs = PipelineFactory(organisation=other_organisation, name="Web Shop of theirs")
    PinFactory(organisation=other_organisation, pipeline=theirs)
    rows = viewer.get(PINS, {"q": words}).context["cl"].result_list
    assert sorted(pin.template.name for pin in rows) == found
