"""Pages by keyset: every row once, in order, whatever is asked, forged or deleted meanwhile."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.signing import Signer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Organisation
from pipelines.models import Pipeline
from tests.clients import Api
from tests.factories import PipelineFactory, TemplateFactory
from tests.queries import assert_same_queries, count_queries

START = datetime(2026, 2, 20, 10, tzinfo=UTC)


def make(organisation: Organisation, moments: list[int]) -> None:
    """A pipeline for each moment, in microseconds after the start."""
    Pipeline.objects.bulk_create(
        Pipeline(
            organisation=organisation,
            name=f"Pipeline {number}",
            slug=f"pipeline-{number}",
            created_at=START + timedelta(microseconds=moment),
        )
        for number, moment in enumerate(moments)
    )


def walk(api: Api, path: str, name: str, limit: int) -> list[list[Any]]:
    """All pages, each as its rows."""
    pages: list[list[Any]] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = api.get(path, query).json()
        assert page.keys() == {name, "next_cursor", "has_more"}
        assert page["has_more"] is (page["next_cursor"] is not None)
        pages.append(page[name])
        if not page["has_more"]:
            return pages
        query["cursor"] = page["next_cursor"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=st.lists(st.integers(0, 2), max_size=12), limit=st.integers(1, 5))
def test_rows_of_the_same_moment_are_neither_skipped_nor_shown_twice(
    moments: list[int], limit: int, viewer: Api, organisation: Organisation
) -> None:
    Pipeline.objects.all().delete()
    make(organisation, moments)
    pages = walk(viewer, "pipelines", "pipelines", limit)
    shown = [row["id"] for page in pages for row in page]
    assert shown == list(Pipeline.objects.order_by("created_at", "id").values_list("id", flat=True))
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len(pages[-1]) <= limit


def test_lists_that_begin_with_the_newest_are_walked_backwards(
    viewer: Api, admin: Api, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=5)
    pages = walk(viewer, f"integration-templates/{template.pk}/revisions", "revisions", 2)
    assert [[row["revision_number"] for row in page] for page in pages] == [[5, 4], [3, 2], [1]]
    entries = [row["id"] for page in walk(admin, "audit-log", "entries", 3) for row in page]
    assert entries == sorted(entries, key=int, reverse=True)
    assert len(entries) == len(set(entries))


def test_a_page_has_50_rows_unless_told_and_100_at_most(viewer: Api, organisation: Organisation) -> None:
    make(organisation, [0] * 101)
    assert len(viewer.get("pipelines").json()["pipelines"]) == 50
    assert len(viewer.get("pipelines?limit=100").json()["pipelines"]) == 100


def test_what_is_deleted_or_added_meanwhile_moves_nothing_else(viewer: Api, organisation: Organisation) -> None:
    make(organisation, [1, 2, 3, 4])
    first = viewer.get("pipelines?limit=2").json()
    Pipeline.objects.filter(slug="pipeline-1").update(deleted_at=START)
    Pipeline.objects.create(organisation=organisation, name="Earlier", slug="earlier", created_at=START)
    second = viewer.get("pipelines", {"cursor": first["next_cursor"]}).json()
    assert [row["name"] for row in second["pipelines"]] == ["Pipeline 2", "Pipeline 3"]


def test_a_cursor_is_good_for_the_same_list_with_another_filter(viewer: Api, organisation: Organisation) -> None:
    make(organisation, [1, 2, 3])
    cursor = viewer.get("pipelines?limit=1").json()["next_cursor"]
    assert [row["name"] for row in viewer.get("pipelines", {"cursor": cursor, "q": "3"}).json()["pipelines"]] == []
    assert len(viewer.get("pipelines", {"cursor": cursor, "q": "2"}).json()["pipelines"]) == 1


FORGED = [
    "x",
    "a:b",
    "😀",
    urlsafe_b64encode(b'["2026-02-20T10:00:00Z", "pip_0"]').decode(),
    Signer(key="guessed").sign_object(["2026-02-20T10:00:00Z", "pip_0"]),
]


@pytest.mark.parametrize("cursor", FORGED)
def test_a_cursor_that_we_did_not_make_is_refused(cursor: str, viewer: Api) -> None:
    answer = viewer.get("pipelines", {"cursor": cursor})
    message = "This cursor is not one of this list. Take next_cursor from the page before."
    detail = {"field": "cursor", "code": "invalid_cursor", "message": message}
    assert answer.status_code == 400
    assert answer.json() == {"error": {"code": "BAD_REQUEST", "message": message, "details": [detail]}}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
    salted=st.booleans(),
)
def test_no_forged_cursor_is_more_than_a_bad_request(values: Any, salted: bool, viewer: Api) -> None:
    body = urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    cursor = Signer(key="guessed", salt="pinion.cursor:pipelines.Pipeline:created_at,id").sign(body) if salted else body
    answer = viewer.get("pipelines", {"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["details"][0]["code"]) == (400, "invalid_cursor")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_cursor_of_ours_that_somebody_changed_is_refused(
    data: st.DataObject, viewer: Api, organisation: Organisation
) -> None:
    Pipeline.objects.all().delete()
    make(organisation, [0, 1])
    cursor = viewer.get("pipelines?limit=1").json()["next_cursor"]
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("abcXYZ019-_:").filter(lambda character: character != cursor[place]))
    answer = viewer.get("pipelines", {"cursor": cursor[:place] + other + cursor[place + 1 :]})
    assert answer.status_code == 400


def test_a_cursor_of_another_list_is_refused(viewer: Api, organisation: Organisation) -> None:
    make(organisation, [0, 1])
    cursor = viewer.get("pipelines?limit=1").json()["next_cursor"]
    assert viewer.get("integration-templates", {"cursor": cursor}).status_code == 400


def test_the_last_page_takes_as_many_statements_as_the_first(viewer: Api, organisation: Organisation) -> None:
    make(organisation, list(range(30)))
    cursor = viewer.get("pipelines?limit=20").json()["next_cursor"]
    with count_queries() as first:
        viewer.get("pipelines?limit=10")
    with count_queries() as later:
        viewer.get("pipelines", {"limit": 10, "cursor": cursor})
    assert_same_queries(first, later)


def test_the_pins_of_one_pipeline_come_all_at_once(viewer: Api, organisation: Organisation) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    assert viewer.get(f"pipelines/{pipeline.pk}/integrations").json() == {"integrations": []}
    for query in ("limit=1", "cursor=x", "enabled=true"):
        assert viewer.get(f"pipelines/{pipeline.pk}/integrations?{query}").status_code == 400
