"""The whole history of a pipeline: page after page, narrowed by what was changed, by whom and when."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts.models import Organisation, User
from pipelines.admin.history import LINES
from pipelines.models import HistoryEntry, Pipeline
from pipelines.parameters import Wish, change_parameters
from tests.console.people import at_console, told
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, actor_of, system
from tests.queries import assert_same_queries, count_queries


@pytest.fixture
def viewer(viewer_user: User) -> Client:
    return at_console(viewer_user)


@pytest.fixture
def pipeline(organisation: Organisation) -> Pipeline:
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        made: Pipeline = PipelineFactory(organisation=organisation, name="Shop")
    return made


def address(pipeline: Pipeline) -> str:
    return f"/admin/pipelines/pipeline/{pipeline.pk}/history/"


def sentences(page: Any) -> list[str]:
    return [text for _, text in page.context["lines"]]


def change(organisation: Organisation, pipeline: Pipeline, count: int) -> None:
    """One change a day, from the second of March on."""
    for number in range(1, count + 1):
        with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=number), tick=False):
            wishes = {"host": Wish(f"host-{number}")}
            change_parameters(actor=system(organisation), pipeline_id=pipeline.pk, wishes=wishes)


def test_every_line_is_on_one_page_and_on_one_only(
    viewer: Client, organisation: Organisation, pipeline: Pipeline
) -> None:
    change(organisation, pipeline, 2 * LINES)
    page = viewer.get(address(pipeline))
    pages = [[entry.pk for entry, _ in page.context["lines"]]]
    while older := page.context["stretch"].older:
        page = viewer.get(f"{address(pipeline)}{older}")
        pages.append([entry.pk for entry, _ in page.context["lines"]])
    assert [len(page) for page in pages] == [LINES, LINES, 1]
    everything = HistoryEntry.objects.filter(pipeline=pipeline).order_by("-pk").values_list("pk", flat=True)
    assert [key for page in pages for key in page] == list(everything)
    back = viewer.get(f"{address(pipeline)}{page.context['stretch'].newer}")
    assert [entry.pk for entry, _ in back.context["lines"]] == pages[1]
    front = viewer.get(f"{address(pipeline)}{back.context['stretch'].newer}")
    assert [entry.pk for entry, _ in front.context["lines"]] == pages[0]
    assert front.context["stretch"].newer == ""


def test_history_is_narrowed_by_kind_person_and_day_and_the_pages_keep_that(
    viewer: Client, organisation: Organisation, pipeline: Pipeline, editor_user: User
) -> None:
    change(organisation, pipeline, 3)
    with time_machine.travel(datetime(2026, 4, 1, tzinfo=UTC), tick=False):
        wishes = {"host": Wish("theirs")}
        change_parameters(actor=actor_of(editor_user), pipeline_id=pipeline.pk, wishes=wishes)
    template = TemplateFactory(organisation=organisation, name="Meta")
    PinFactory(organisation=organisation, pipeline=pipeline, template=template)

    def found(**asked: str) -> list[str]:
        return sentences(viewer.get(address(pipeline), asked))

    assert found(kind="pin") == ["Meta assigned at v1, enabled"]
    assert found(kind="pipeline") == ["Pipeline created"]
    assert found(who="EDITOR@") == ["Parameter host changed to “theirs”"]
    assert found(since="2026-03-03", until="2026-03-03") == ["Parameter host changed to “host-2”"]
    assert found(kind="parameter", until="2026-03-02") == ["Parameter host set to “host-1”"]
    assert found(who="nobody") == []
    change(organisation, pipeline, LINES + 1)
    page = viewer.get(address(pipeline), {"kind": "parameter", "who": "tests"})
    assert "kind=parameter&who=tests&before=" in page.context["stretch"].older
    assert "kind=parameter&amp;who=tests&amp;before=" in page.content.decode()


@pytest.mark.parametrize("asked", [{"since": "yesterday"}, {"before": "x"}, {"after": "9" * 30}, {"kind": "nothing"}])
def test_what_cannot_be_read_is_left_out(viewer: Client, pipeline: Pipeline, asked: dict[str, str]) -> None:
    page = viewer.get(address(pipeline), asked)
    assert sentences(page) == ["Pipeline created"]
    assert told(page) == (
        ["Write a day such as 2026-02-20. What cannot be read is left out."] if "since" in asked else []
    )


def test_the_page_of_a_pipeline_shows_the_last_lines_and_leads_to_all(
    viewer: Client, organisation: Organisation, pipeline: Pipeline
) -> None:
    change(organisation, pipeline, 12)
    page = viewer.get(f"/admin/pipelines/pipeline/{pipeline.pk}/")
    assert sentences(page) == [f"Parameter host changed to “host-{number}”" for number in range(12, 2, -1)]
    assert f'<a class="button plain" href="{address(pipeline)}">All of the history</a>' in page.content.decode()
    days = re.findall(r'<h3 class="day"><time datetime="([\d-]+)">', page.content.decode())
    assert days == [f"2026-03-{day:02}" for day in range(13, 3, -1)]


def test_a_secret_stays_a_secret_in_the_whole_history(
    viewer: Client, organisation: Organisation, pipeline: Pipeline
) -> None:
    for wish in (Wish("canary-7f3a"), Wish("canary-2", secret=True)):
        change_parameters(actor=system(organisation), pipeline_id=pipeline.pk, wishes={"token": wish})
    assert "canary" not in viewer.get(address(pipeline)).content.decode()


def test_history_takes_the_same_statements_for_many_lines_as_for_few(
    viewer: Client, organisation: Organisation, pipeline: Pipeline
) -> None:
    change(organisation, pipeline, 2)
    with count_queries() as few:
        viewer.get(address(pipeline))
    change(organisation, pipeline, 20)
    with count_queries() as many:
        viewer.get(address(pipeline))
    assert_same_queries(few, many)
    assert len(many) <= 20


def test_another_organisations_history_is_not_there(viewer: Client, other_organisation: Organisation) -> None:
    theirs = PipelineFactory(organisation=other_organisation)
    assert viewer.get(address(theirs)).status_code == 404
