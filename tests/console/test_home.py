"""The home page and the fleet matrix: every number is right and leads to the list behind it."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Organisation, User
from integrations.revisions import create_revision, set_status
from integrations.templates import create_template, delete_template, update_template
from pipelines.models import Pipeline
from pipelines.pins import remove_pin
from pipelines.registry import delete_pipeline
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, actor_of, system
from tests.queries import assert_same_queries, count_queries


@pytest.fixture
def console(viewer_user: User) -> Client:
    client = Client()
    client.force_login(viewer_user)
    return client


def tiles(client: Client) -> dict[str, Any]:
    context = client.get("/admin/").context
    return {"counts": dict(context["counts"]), "unresolved": context["unresolved"]}


def test_home_counts_what_is_behind_and_what_lacks_parameters(console: Client, organisation: Organisation) -> None:
    meta = TemplateFactory(organisation=organisation, revisions=3)
    ga4 = TemplateFactory(organisation=organisation, vendor="ga4")
    PinFactory(organisation=organisation, template=meta, number=1)
    PinFactory(organisation=organisation, template=meta, number=3)
    PinFactory(organisation=organisation, template=ga4, enabled=False)
    assert tiles(console) == {"counts": {"all": 3, "enabled": 2, "behind": 1}, "unresolved": 1}
    behind = console.get("/admin/pipelines/pin/?outdated=true").context["cl"].result_count
    lacking = console.get("/admin/pipelines/pin/?unresolved=true").context["cl"].result_count
    assert (behind, lacking) == (1, 1)


def test_home_and_fleet_show_nothing_of_another_organisation(
    console: Client, organisation: Organisation, other_organisation: Organisation
) -> None:
    pin: Any = PinFactory(organisation=other_organisation)
    assert tiles(console) == {"counts": {"all": 0, "enabled": 0, "behind": 0}, "unresolved": 0}
    fleet = console.get("/admin/fleet/").content.decode()
    assert pin.pipeline.name not in fleet
    assert pin.template.name not in fleet


@pytest.mark.parametrize("address", ["/admin/", "/admin/fleet/", "/admin/pipelines/pin/", "/admin/pipelines/pipeline/"])
def test_a_page_takes_the_same_statements_with_ten_times_the_pipelines(
    console: Client, organisation: Organisation, address: str
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    PinFactory(organisation=organisation, template=template, number=1)
    with count_queries() as few:
        console.get(address)
    for _ in range(10):
        pipeline = PipelineFactory(organisation=organisation, labels={"environment": "production"})
        PinFactory(organisation=organisation, template=template, pipeline=pipeline, number=1)
    with count_queries() as many:
        console.get(address)
    assert_same_queries(few, many)
    assert len(many) <= 20


def test_a_cell_of_the_fleet_says_where_its_pin_stands(console: Client, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, name="Meta", revisions=2)
    for number, enabled in ((1, True), (2, True), (2, False)):
        PinFactory(organisation=organisation, template=template, number=number, enabled=enabled)
    PipelineFactory(organisation=organisation)
    rows = console.get("/admin/fleet/").context["rows"]
    assert [[(cell.kind, cell.text) for cell in cells] for _, cells in rows] == [
        [("behind", "v1")],
        [("current", "v2")],
        [("off", "v2")],
        [("none", "–")],
    ]


def test_the_fleet_can_be_narrowed_to_what_is_behind(console: Client, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    old = PinFactory(organisation=organisation, template=template, number=1)
    PinFactory(organisation=organisation, template=template, number=2)
    rows = console.get("/admin/fleet/?behind=true").context["rows"]
    assert [pipeline.pk for pipeline, _ in rows] == [old.pipeline_id]


def test_every_age_of_a_vendor_leads_to_its_pins(console: Client, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=3)
    for number in (3, 3, 2, 1, 1, 1):
        PinFactory(organisation=organisation, template=template, number=number)
    other = TemplateFactory(organisation=organisation, vendor="ga4")
    PinFactory(organisation=organisation, template=other, enabled=False)
    home = console.get("/admin/")
    page = home.content.decode()
    (age,) = [age for age in home.context["ages"] if age.address.endswith("?vendor=meta_capi")]
    leads = {
        address.partition("&")[2]: console.get(address).context["cl"].result_count
        for address in (age.latest_address, age.one_behind_address, age.further_address)
    }
    assert leads == {"outdated=false": 2, "outdated=one": 1, "outdated=more": 3}
    for number, name in ((2, "at the latest revision"), (1, "one revision behind"), (3, "further behind")):
        assert f'{number}<span class="sr-only"> of {age.name} {name}</span></a>' in page


def changes(client: Client) -> list[tuple[str, str, str, str]]:
    recent = client.get("/admin/").context["recent"]
    return [(change.name, change.text, change.who, change.address) for change in recent]


def test_home_says_what_changed_last_and_by_whom_also_of_templates_and_revisions(
    console: Client, organisation: Organisation, editor_user: User
) -> None:
    actor, there = actor_of(editor_user), "/admin/integrations/template/"
    template = create_template(actor=actor, name="Meta", vendor="meta_capi")
    config = {"pixel_id": "1", "access_token": "secret"}
    create_revision(actor=actor, template_id=template.pk, config=config, change_summary="First")
    set_status(actor=actor, template_id=template.pk, revision="1", status="deprecated", reason="Old")
    update_template(actor=actor, template_id=template.pk, name="Meta CAPI")
    update_template(actor=actor, template_id=template.pk, archived=True)
    PipelineFactory(organisation=organisation, name="Shop")
    page, editor = f"{there}{template.pk}/", "editor@acme.example"
    pipeline = Pipeline.objects.get()
    assert changes(console) == [
        ("Shop", "Pipeline created", "tests", f"/admin/pipelines/pipeline/{pipeline.pk}/"),
        ("Meta CAPI", "Template archived", editor, page),
        ("Meta CAPI", "Template renamed from “Meta”", editor, page),
        ("Meta v1", "Revision is deprecated now", editor, f"{page}revisions/1/"),
        ("Meta v1", "Revision made: First", editor, f"{page}revisions/1/"),
        ("Meta", "Template created", editor, page),
    ]
    assert all(console.get(address).status_code == 200 for *_, address in changes(console))


def test_a_change_to_an_integration_leads_to_it_and_what_is_gone_leads_nowhere(
    console: Client, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, name="Meta")
    kept, removed, deleted = (
        PinFactory(organisation=organisation, template=template, pipeline=pipeline)
        for pipeline in PipelineFactory.create_batch(3, organisation=organisation)
    )
    actor = system(organisation)
    remove_pin(actor=actor, pipeline_id=removed.pipeline_id, pin_id=removed.pk)
    delete_pipeline(actor=actor, pipeline_id=deleted.pipeline_id)
    unused = TemplateFactory(organisation=organisation, name="Unused", revisions=0)
    delete_template(actor=actor, template_id=unused.pk)
    found = {(name, text): address for name, text, _, address in changes(console)}
    assert found["Unused", "Template deleted"] == ""
    assert found[deleted.pipeline.name, "Pipeline deleted"] == ""
    assert found[kept.pipeline.name, "Meta assigned at v1, enabled"] == f"/admin/pipelines/pin/{kept.pk}/"
    pipeline = f"/admin/pipelines/pipeline/{removed.pipeline_id}/"
    assert found[removed.pipeline.name, "Meta removed (was v1)"] == pipeline


def test_what_changed_last_takes_the_same_statements_for_many_changes_as_for_few(
    console: Client, organisation: Organisation
) -> None:
    PinFactory(organisation=organisation)
    with count_queries() as few:
        console.get("/admin/")
    PinFactory.create_batch(10, organisation=organisation)
    with count_queries() as many:
        console.get("/admin/")
    assert_same_queries(few, many)
    assert len(many) <= 20
    assert len(changes(console)) == 10
