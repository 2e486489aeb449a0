"""Who uses a revision, and taking away a template that somebody is about to use."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection

from accounts.errors import Refused
from accounts.models import Organisation
from integrations.models import Template
from pipelines.models import Pin
from pipelines.pins import assign_pin
from pipelines.rollouts.driving import advance
from pipelines.usages import remove_template
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.pipelines.rollouts.rest_fleets import fleet
from tests.queries import assert_same_queries, count_queries


def test_usages_tell_every_pin_of_this_very_revision_oldest_first(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    shop = PipelineFactory(organisation=organisation, name="Shop")
    blog = PipelineFactory(organisation=organisation, name="Blog")
    first = PinFactory(organisation=organisation, template=template, pipeline=shop, number=1)
    second = PinFactory(organisation=organisation, template=template, pipeline=blog, number=1, enabled=False)
    PinFactory(organisation=organisation, template=template, number=2)
    PinFactory(organisation=organisation)

    answer = viewer.get(f"integration-templates/{template.pk}/revisions/1/usages").json()

    assert (answer["next_cursor"], answer["has_more"]) == (None, False)
    for usage in answer["usages"]:
        assert usage.pop("updated_at").endswith("Z")
    assert answer["usages"] == [
        {
            "id": first.pk,
            "pipeline_id": shop.pk,
            "pipeline_name": "Shop",
            "enabled": True,
            "running": 0,
            "rollout": None,
        },
        {
            "id": second.pk,
            "pipeline_id": blog.pk,
            "pipeline_name": "Blog",
            "enabled": False,
            "running": 0,
            "rollout": None,
        },
    ]


def test_a_revision_that_nobody_uses_has_no_usages(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    path = f"integration-templates/{template.pk}/revisions/{revision_of(template).pk}/usages"
    assert viewer.get(path).json() == {"usages": [], "next_cursor": None, "has_more": False}


def test_usages_are_paged_and_know_no_filter(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    pins = [PinFactory(organisation=organisation, template=template).pk for _ in range(3)]
    path = f"integration-templates/{template.pk}/revisions/1/usages"
    first = viewer.get(path, {"limit": "2"}).json()
    second = viewer.get(path, {"limit": "2", "cursor": first["next_cursor"]}).json()
    assert [usage["id"] for usage in first["usages"] + second["usages"]] == pins
    assert viewer.get(path, {"enabled": "true"}).status_code == 400


def test_usages_tell_which_active_rollout_is_moving_a_pin(viewer: Api, editor: Api, organisation: Organisation) -> None:
    shops = fleet(organisation, 4)
    shops.add("Bare 4", host=None)
    apart = shops.pins[3]
    body = {"waves": "1,100%", "exclude": [shops.pins[2].pipeline_id]}
    rollout_id = shops.plan(editor, **body).json()["id"]

    def told(number: int) -> dict[str, str | None]:
        path = f"integration-templates/{shops.template.pk}/revisions/{number}/usages"
        return {usage["pipeline_name"]: usage["rollout"] for usage in viewer.get(path).json()["usages"]}

    assert set(told(1).values()) == {None}  # a plan moves nothing
    assert editor.post(f"rollouts/{rollout_id}/start", {"skip_blocked": True}).status_code == 200
    advance(rollout_id)
    editor.put(f"pipelines/{apart.pipeline_id}/integrations/{apart.pk}", {"enabled": False})
    assert told(1) == {"Shop 1": rollout_id, "Shop 2": None, "Shop 3": None, "Bare 4": None}
    assert told(2) == {"Shop 0": rollout_id}
    assert editor.post(f"rollouts/{rollout_id}/abort").status_code == 200
    assert {*told(1).values(), *told(2).values()} == {None}


def test_usages_take_the_same_statements_for_few_and_for_many(viewer: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)
    path = f"integration-templates/{template.pk}/revisions/1/usages"
    PinFactory(organisation=organisation, template=template)
    with count_queries() as few:
        assert len(viewer.get(path).json()["usages"]) == 1
    for _ in range(9):
        PinFactory(organisation=organisation, template=template)
    with count_queries() as many:
        assert len(viewer.get(path).json()["usages"]) == 10
    assert_same_queries(few, many)


def test_a_template_used_by_very_many_names_the_first_twenty(admin: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation)

    def pin(*numbers: int) -> None:
        for number in numbers:
            pipeline = PipelineFactory(organisation=organisation, name=f"Shop {number}")
            PinFactory(organisation=organisation, template=template, pipeline=pipeline)

    pin(0)
    with count_queries() as few:
        alone = admin.delete(f"integration-templates/{template.pk}").json()["error"]
    pin(*range(1, 22))
    with count_queries() as many:
        error = admin.delete(f"integration-templates/{template.pk}").json()["error"]
    assert alone["message"] == "1 pipeline uses this template. Remove it from it first, or archive it instead."
    assert error["message"] == "22 pipelines use this template. Remove it from them first, or archive it instead."
    assert [detail["message"] for detail in error["details"]] == [f"Used by “Shop {number}”." for number in range(20)]
    assert_same_queries(few, many)


def test_a_template_is_never_both_deleted_and_pinned(committed_db: str, organisation: Organisation) -> None:
    actor = system(organisation)
    for _ in range(5):
        template = TemplateFactory(organisation=organisation)
        revision = revision_of(template)
        pipelines = [PipelineFactory(organisation=organisation) for _ in range(3)]
        start = Barrier(4)

        def act(
            number: int,
            template: Template = template,
            revision_id: str = revision.pk,
            pipelines: list[Any] = pipelines,
            start: Barrier = start,
        ) -> str:
            try:
                start.wait(timeout=30)
                if number == 3:
                    remove_template(actor=actor, template_id=template.pk)
                    return "removed"
                assign_pin(
                    actor=actor, pipeline_id=pipelines[number].pk, template_id=template.pk, revision_id=revision_id
                )
            except Refused as refusal:
                return refusal.code
            else:
                return "pinned"
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            answers = sorted(pool.map(act, range(4)))
        template.refresh_from_db()
        pinned = Pin.objects.filter(template=template).count()
        assert answers in (
            ["TEMPLATE_IN_USE", "pinned", "pinned", "pinned"],
            ["VALIDATION_ERROR", "VALIDATION_ERROR", "VALIDATION_ERROR", "removed"],
        )
        assert (template.deleted_at is None, pinned) in ((True, 3), (False, 0))
