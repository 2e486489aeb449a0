"""What the console shows of processors: whether what is pinned is running, and what was delivered."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from playwright.sync_api import expect

from accounts.models import Organisation, User
from accounts.roles import Role
from pipelines.feed.applied import served_of
from pipelines.models import Pin
from pipelines.pins import update_pin
from tests.clients import Api
from tests.conftest import token
from tests.console.browsers import picture, violations
from tests.console.conftest import Person
from tests.console.people import at_console
from tests.factories import OrganisationFactory, PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.pipelines.feed.reporting import delivered, said, send
from tests.queries import assert_same_queries, count_queries

META = "/admin/pipelines/pin/pi_abc123/"
HOSTILE = "<script>alert(1)</script> & “quoted”"
NOON = datetime(2026, 2, 25, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def console(viewer_user: User) -> Client:
    return at_console(viewer_user)


@pytest.fixture
def pin(organisation: Organisation) -> Pin:
    template = TemplateFactory(organisation=organisation, name="Meta", revisions=2)
    made: Pin = PinFactory(organisation=organisation, template=template, number=1)
    return made


def runs(pin: Pin, **more: Any) -> dict[str, Any]:
    """What is served, as an instance says that it runs it."""
    return {**said(pin), "config_hash": served_of([pin])[pin.pk].config_hash, **more}


def page_of(pin: Pin) -> str:
    return f"/admin/pipelines/pin/{pin.pk}/"


def marks(page: str) -> list[str]:
    """The words of the marks on a page, in order."""
    found = re.findall(r'<span class="mark mark-(\w+)"><span aria-hidden="true">\S+</span> ([^<]+)</span>', page)
    return [f"{kind}: {text}" for kind, text in found]


def test_the_state_stands_on_the_pin_the_pipeline_and_the_fleet(
    console: Client, processor: Api, organisation: Organisation, pin: Pin
) -> None:
    other = Api(token(organisation, Role.PROCESSOR)[1])

    def shown() -> tuple[str, str, str]:
        """On the page of the pin, on that of its pipeline, and in its cell of the fleet."""
        on_pipeline = console.get(f"/admin/pipelines/pipeline/{pin.pipeline_id}/").content.decode()
        (cells,) = [cells for row, cells in console.get("/admin/fleet/").context["rows"] if row.pk == pin.pipeline_id]
        return marks(console.get(page_of(pin)).content.decode())[0], marks(on_pipeline)[0], cells[0].label

    where = f"Meta on {pin.pipeline.name}: revision 1, 1 behind"
    assert shown() == (*["unknown: unobserved"] * 2, f"{where}, unobserved")
    send(processor, integrations=[runs(pin)])
    assert shown() == (*["good: in sync"] * 2, f"{where}, in sync")
    send(other, integrations=[{**runs(pin), "id": pin.pk, "state": "rejected"}])
    assert shown() == (*["bad: rejected"] * 2, f"{where}, rejected")
    send(other, sequence=2, stopped=[pin.pk], integrations=[])
    send(processor, instance="eu-2", integrations=[runs(pin)])
    assert shown() == (*["good: in sync"] * 2, f"{where}, in sync")
    update_pin(
        actor=system(organisation),
        pipeline_id=pin.pipeline_id,
        pin_id=pin.pk,
        revision_id=revision_of(pin.template, 2).pk,
    )
    moved = f"Meta on {pin.pipeline.name}: revision 2, Current"
    assert shown() == (*["waiting: pending"] * 2, f"{moved}, pending")
    send(processor, instance="eu-2", sequence=2, integrations=[runs(Pin.objects.get(pk=pin.pk))])
    assert shown() == (*["waiting: 1 of 2 in sync"] * 2, f"{moved}, 1 of 2 in sync")
    send(processor, sequence=2, integrations=[{**said(pin), "config_hash": "f" * 64}])
    assert shown() == (*["bad: drift"] * 2, f"{moved}, drift")


def test_what_a_processor_writes_is_shown_as_text(console: Client, processor: Api, pin: Pin) -> None:
    send(processor, instance="<b>eu</b>", integrations=[runs(pin, state="rejected", reason=HOSTILE)])
    page = console.get(page_of(pin)).content.decode()
    assert "<bdi>&lt;script&gt;alert(1)&lt;/script&gt; &amp; “quoted”</bdi>" in page
    assert "<bdi>&lt;b&gt;eu&lt;/b&gt;</bdi>" in page
    assert "<script>alert" not in page


@time_machine.travel(NOON, tick=False)
def test_a_chart_shows_each_step_and_when_the_revision_changed(
    console: Client, processor: Api, organisation: Organisation
) -> None:
    """Sixty bars of a minute are 720 wide, so that a minute is 12; the highest bar is as high as there is room."""
    pin = PinFactory(
        organisation=organisation, template=TemplateFactory(organisation=organisation, revisions=2), number=1
    )
    with time_machine.travel(NOON - timedelta(minutes=59), tick=False):
        send(processor, deliveries=[delivered(pin, 30, 10)])
    update_pin(
        actor=system(organisation),
        pipeline_id=pin.pipeline_id,
        pin_id=pin.pk,
        revision_id=revision_of(pin.template, 2).pk,
    )
    moved = Pin.objects.get(pk=pin.pk)
    send(processor, sequence=2, deliveries=[delivered(pin, 10), delivered(moved, 10)])

    chart = console.get(page_of(pin)).context["chart"]

    assert (chart.totals.delivered, chart.totals.failed, chart.most) == (50, 10, 40)
    first, last = chart.bars
    assert (first.x, first.width, first.text) == (1.2, 9.6, "2026-02-25 11:01: 30 delivered, 10 failed")
    assert (first.delivered_y, first.delivered_height) == (48.5, 91.5)
    assert (first.failed_y, first.failed_height) == (18.0, 30.5)
    assert (last.x, last.delivered_y, last.delivered_height, last.failed_height) == (709.2, 79.0, 61.0, 0.0)
    moments = [(moment.x, moment.text, moment.named) for moment in chart.moments]
    assert moments == [(714.0, "none → v1", False), (714.0, "v1 → v2", True)]
    assert [(point.revision_number, point.totals.delivered) for point in chart.rows] == [(2, 10), (1, 10), (1, 30)]


@pytest.mark.parametrize(
    ("span", "ago", "steps"),
    [("hour", timedelta(minutes=59), 60), ("day", timedelta(hours=23), 24), ("week", timedelta(days=6), 7)],
)
def test_the_chart_reaches_back_an_hour_a_day_or_a_week(
    console: Client, processor: Api, pin: Pin, span: str, ago: timedelta, steps: int
) -> None:
    for sequence, moment in enumerate((NOON - ago - ago / (steps - 1), NOON - ago, NOON), start=1):
        with time_machine.travel(moment, tick=False):
            send(processor, sequence=sequence, deliveries=[delivered(pin, 10**sequence)])
    with time_machine.travel(NOON, tick=False):
        answer = console.get(page_of(pin), {"span": span})
    chart = answer.context["chart"]
    assert (chart.totals.delivered, len(chart.bars)) == (1100, 2)
    assert [round(bar.x) for bar in chart.bars] == [round(720 / steps * (place + 0.1)) for place in (0, steps - 1)]
    assert f'<span class="button plain" aria-current="true">Last {span}</span>' in answer.content.decode()


def test_a_span_that_is_none_is_the_hour(console: Client, pin: Pin) -> None:
    answer = console.get(page_of(pin), {"span": "<year>"})
    assert answer.context["span"] == "hour"
    assert "&lt;year&gt;" not in answer.content.decode()


def test_the_pages_take_the_same_statements_however_much_is_reported(
    console: Client, processor: Api, organisation: Organisation
) -> None:
    counts: dict[str, list[Any]] = {"pin": [], "pipeline": [], "fleet": []}
    for size in (1, 6):
        pipeline = PipelineFactory(organisation=organisation)
        pins = [
            PinFactory(
                organisation=organisation, pipeline=pipeline, template=TemplateFactory(organisation=organisation)
            )
            for _ in range(size)
        ]
        for number in range(size):
            sent = {"integrations": [runs(pin) for pin in pins], "deliveries": [delivered(pin, 1) for pin in pins]}
            send(processor, instance=f"{pipeline.pk}-{number}", **sent)
        addresses = (page_of(pins[0]), f"/admin/pipelines/pipeline/{pipeline.pk}/", "/admin/fleet/")
        for name, address in zip(counts, addresses, strict=True):
            with count_queries() as queries:
                assert console.get(address).status_code == 200
            counts[name].append(queries)
    for few, many in counts.values():
        assert_same_queries(few, many)
        assert len(many) <= 20, str(many)


def test_another_organisations_figures_and_instances_are_not_shown(console: Client, pin: Pin) -> None:
    elsewhere = OrganisationFactory()
    foreign = PinFactory(organisation=elsewhere)
    send(Api(token(elsewhere, Role.PROCESSOR)[1]), integrations=[runs(foreign)], deliveries=[delivered(foreign, 5)])
    assert console.get(page_of(foreign)).status_code == 404
    assert marks(console.get(page_of(pin)).content.decode()) == ["unknown: unobserved"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_pages_full_of_reports(person: Person, theme: str) -> None:
    pin = Pin.objects.get(pk="pi_abc123")
    api = Api(token(pin.organisation, Role.PROCESSOR)[1])
    now = datetime.now(UTC)
    for sequence in range(1, 13):
        with time_machine.travel(now - timedelta(minutes=4 * (13 - sequence)), tick=False):
            send(api, sequence=sequence, deliveries=[delivered(pin, 60 + sequence * 7 % 30, sequence % 5)])
    update_pin(
        actor=system(pin.organisation),
        pipeline_id=pin.pipeline_id,
        pin_id=pin.pk,
        revision_id=revision_of(pin.template, 4).pk,
    )
    pin.refresh_from_db()
    send(api, sequence=13, integrations=[runs(pin)], deliveries=[delivered(pin, 70, 2)])
    for name, more in (("eu-2", {"state": "rejected", "reason": "The pixel is not known."}), ("eu-3", {})):
        send(api, instance=name, integrations=[runs(pin, **more)])
    page = person(Role.VIEWER, theme=theme)
    found = {}
    for name, address in {
        "running": META,
        "running pipeline": "/admin/pipelines/pipeline/pip_xyz789/",
        "running fleet": "/admin/fleet/",
    }.items():
        page.goto(address)
        if name == "running":
            page.get_by_text("The same as a table").click()
            expect(page.get_by_text("The pixel is not known.")).to_be_visible()
        picture(page, f"{theme} {name}")
        if broken := violations(page):
            found[name] = broken
    assert found == {}
