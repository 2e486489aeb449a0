"""`GET /v1/runtime/changes` and `/snapshot`: all that runs at one version, and all that changed after another."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from accounts.models import Organisation
from pipelines.feed import changes as feed_changes
from pipelines.feed.changes import Question, changes, snapshot
from pipelines.feed.documents import Documents
from pipelines.feed.reading import BATCH, Place
from pipelines.models import ConfigurationHead, ConfigurationVersion, Pipeline
from pipelines.registry import delete_pipeline, update_pipeline
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, system, wishes
from tests.pipelines.feed.clients import FeedReader
from tests.queries import assert_same_queries, count_queries


def fleet(organisation: Organisation, count: int) -> list[Pipeline]:
    return [PipelineFactory(organisation=organisation) for _ in range(count)]


def in_one_version(pipelines: list[Pipeline]) -> int:
    """What a bulk change leaves: all of them changed in the newest version."""
    newest = ConfigurationVersion.objects.latest("number")
    Pipeline.objects.filter(pk__in=[pipeline.pk for pipeline in pipelines]).update(changed_in=newest)
    return newest.number


def shown(answer: Any) -> list[tuple[int, str]]:
    return [(each["version"], each["pipeline_id"]) for each in answer["changes"]]


def walked(reader: FeedReader, limit: int, since: int = 0) -> Iterator[dict[str, Any]]:
    """Page by page, as a client goes."""
    after = None
    while True:
        answer = reader.changes(since=since, after=after, limit=limit)
        assert answer.status == 200, answer.body
        yield answer.body
        if not answer.body["has_more"]:
            return
        since, after = answer.body["to_version"], answer.body["after"]


def test_what_changed_is_told_in_the_order_of_the_versions(organisation: Organisation, reader: FeedReader) -> None:
    first, second, third = fleet(organisation, 3)
    update_pipeline(actor=system(organisation), pipeline_id=first.pk, fields={"enabled": False})
    delete_pipeline(actor=system(organisation), pipeline_id=third.pk)
    epoch = ConfigurationHead.objects.get().epoch
    answer = reader.changes(since=1, epoch=epoch)
    nothing: dict[str, Any] = {"enabled": True, "integrations": []}
    named = [
        {"epoch": epoch, "version": number, "pipeline_id": each.pk, "pipeline_key": each.pipeline_key}
        for number, each in ((2, second), (4, first), (5, third))
    ]
    assert (answer.status, answer.body) == (
        200,
        {
            "epoch": epoch,
            "since": 1,
            "to_version": 5,
            "after": None,
            "has_more": False,
            "changes": [
                {**named[0], **nothing},
                {**named[1], **nothing, "enabled": False},
                {**named[2], "removed": True},
            ],
        },
    )
    assert reader.changes(since=5).body["changes"] == []
    assert reader.pipeline(second.pk).body == answer.body["changes"][0]


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_split_a_version_and_skip_nothing(limit: int, organisation: Organisation, reader: FeedReader) -> None:
    pipelines = fleet(organisation, 7)
    number = in_one_version(pipelines[1:6])
    later = PipelineFactory(organisation=organisation)
    expected = [(1, pipelines[0].pk), *sorted((number, each.pk) for each in pipelines[1:]), (8, later.pk)]
    pages = list(walked(reader, limit))
    assert [pair for page in pages for pair in shown(page)] == expected
    for page in pages[:-1]:
        known = {pair for each in pages[: pages.index(page) + 1] for pair in shown(each)}
        assert {pair for pair in expected if pair[0] <= page["to_version"]} <= known
        assert (page["after"] is None) == (known == {pair for pair in expected if pair[0] <= page["to_version"]})
    assert (pages[-1]["to_version"], pages[-1]["after"]) == (8, None)


def test_what_changes_while_pages_are_read_comes_again(organisation: Organisation, reader: FeedReader) -> None:
    pipelines = sorted(fleet(organisation, 4), key=lambda each: each.pk)
    in_one_version(pipelines)
    pages = walked(reader, limit=2)
    assert shown(next(pages)) == [(4, pipelines[0].pk), (4, pipelines[1].pk)]
    for index in (0, 3):
        update_pipeline(actor=system(organisation), pipeline_id=pipelines[index].pk, fields={"enabled": False})
    assert [pair for page in pages for pair in shown(page)] == [
        (4, pipelines[2].pk),
        (5, pipelines[0].pk),
        (6, pipelines[3].pk),
    ]


def test_a_page_of_large_pipelines_holds_fewer(
    committed_db: str, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet(organisation, 3)
    monkeypatch.setattr(feed_changes, "PAGE_BYTES", 300)
    page = json.loads(changes(Question(organisation.pk, 0), Documents()))
    assert (len(page["changes"]), page["to_version"], page["has_more"]) == (2, 2, True)
    monkeypatch.setattr(feed_changes, "PAGE_BYTES", 1)
    page = json.loads(changes(Question(organisation.pk, 0), Documents()))
    assert (len(page["changes"]), page["to_version"], page["has_more"]) == (1, 1, True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "since"),
        ({"since": "-1"}, "since"),
        ({"since": "one"}, "since"),
        ({"since": "9" * 30}, "since"),
        ({"since": "٣"}, "since"),
        ({"since": 0, "limit": 0}, "limit"),
        ({"since": 0, "limit": 1001}, "limit"),
        ({"since": 0, "after": "nonsense"}, "after"),
        ({"since": 0, "after": "5.a\0b"}, "after"),
        ({"since": 5, "after": "5.pip_a"}, "after"),
        ({"since": 0, "epoch": ""}, "epoch"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(query: dict[str, Any], field: str, reader: FeedReader) -> None:
    answer = reader.changes(**query)
    assert answer.code == (400, "BAD_REQUEST")
    assert [detail["field"] for detail in answer.body["error"]["details"]] == [field]


def test_who_is_too_far_behind_begins_anew(organisation: Organisation, reader: FeedReader) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=31)):
        fleet(organisation, 2)
    fleet(organisation, 1)
    assert reader.changes(since=1).code == (410, "GONE")
    assert reader.changes(since=2).status == 200
    assert reader.changes(since=3).status == 200


def test_who_is_of_another_epoch_or_ahead_begins_anew(organisation: Organisation, reader: FeedReader) -> None:
    fleet(organisation, 2)
    assert reader.changes(since=2, epoch=ConfigurationHead.objects.get().epoch).status == 200
    assert reader.changes(since=2, epoch="ep_another").code == (410, "GONE")
    assert reader.changes(since=3).code == (410, "GONE")


def test_a_snapshot_is_every_pipeline_between_its_version_and_its_count(
    organisation: Organisation, reader: FeedReader
) -> None:
    pipelines = fleet(organisation, 3)
    PinFactory(organisation=organisation, pipeline=pipelines[1])
    delete_pipeline(actor=system(organisation), pipeline_id=pipelines[2].pk)
    head = ConfigurationHead.objects.get()
    there = sorted(pipeline.pk for pipeline in pipelines[:2])
    assert reader.snapshot() == [
        {"epoch": head.epoch, "version": 5},
        *(reader.pipeline(key).body for key in there),
        {"count": 2},
    ]


def test_an_organisation_in_which_nothing_happened_has_an_empty_feed(reader: FeedReader) -> None:
    assert reader.snapshot() == [{"epoch": "", "version": 0}, {"count": 0}]
    assert reader.changes(since=0).body == {
        "epoch": "",
        "since": 0,
        "to_version": 0,
        "after": None,
        "has_more": False,
        "changes": [],
    }


def test_a_snapshot_is_one_view_while_writes_go_on(committed_db: str, organisation: Organisation) -> None:
    first: Pipeline = PipelineFactory(organisation=organisation)
    many = [Pipeline(organisation=organisation, name=f"Shop {n}", slug=f"shop-{n}") for n in range(BATCH + 20)]
    Pipeline.objects.bulk_create(many)
    lines = snapshot(organisation.pk, None, Documents())
    head = json.loads(next(lines))
    with ThreadPoolExecutor(1) as thread:
        thread.submit(change_everything, organisation, first).result()
    *shown, end = [json.loads(line) for line in b"".join(lines).splitlines()]
    assert (head["version"], end) == (1, {"count": len(many) + 1})
    assert [each["pipeline_id"] for each in shown] == sorted(each.pk for each in [first, *many])
    assert [each["enabled"] for each in shown] == [True] * (len(many) + 1)
    assert ConfigurationHead.objects.get().number == 3


def change_everything(organisation: Organisation, pipeline: Pipeline) -> None:
    update_pipeline(actor=system(organisation), pipeline_id=pipeline.pk, fields={"enabled": False})
    PipelineFactory(organisation=organisation)
    Pipeline.objects.update(enabled=False)
    connection.close()


@pytest.mark.parametrize("read", ["changes", "snapshot"])
def test_ten_times_the_pipelines_take_no_more_statements(
    read: str, committed_db: str, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, vendor="ga4")
    documents = Documents()

    def run() -> int:
        if read == "changes":
            return len(json.loads(changes(Question(organisation.pk, 0), documents))["changes"])
        return len(b"".join(snapshot(organisation.pk, None, documents)).splitlines()) - 2

    def grow(count: int) -> None:
        for _ in range(count):
            pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4_measurement_id="G-1"))
            PinFactory(organisation=organisation, pipeline=pipeline, template=template)

    grow(2)
    run()
    with count_queries() as few:
        assert run() == 2
    grow(18)
    with count_queries() as many:
        assert run() == 20
    assert_same_queries(few, many)
    assert len(few) <= 7


def test_a_place_reads_back() -> None:
    assert feed_changes.read_place("12.pip_a") == Place(12, "pip_a")
