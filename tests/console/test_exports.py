"""Lists as files: the chosen rows, no formulas for spreadsheets, no secrets, and no more statements for more rows."""

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from accounts.admin.downloads import as_csv, as_json, cell
from accounts.models import Organisation, User
from pipelines.admin.exports import PinExports
from pipelines.models import Pin
from pipelines.parameters import Wish, change_parameters
from tests.console.people import at_console, streamed
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, system
from tests.queries import assert_same_queries, count_queries

PINS = "/admin/pipelines/pin/"
PIPELINES = "/admin/pipelines/pipeline/"
TEMPLATES = "/admin/integrations/template/"


@pytest.fixture
def viewer(viewer_user: User) -> Client:
    """Whoever may read a list may have it as a file."""
    return at_console(viewer_user)


def ticked(client: Client, address: str, kind: str, keys: list[str]) -> Any:
    return client.post(address, {"action": f"export_{kind}", "index": "0", "_selected_action": keys})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("a=1", "a=1"),
        (" =1", "' =1"),
        ("", ""),
        (None, ""),
        (-1, -1),
        (True, "true"),
        ({"=k": "-v"}, '{"=k": "-v"}'),
    ],
)
def test_no_cell_is_a_formula(value: Any, shown: Any) -> None:
    assert cell(value) == shown


def test_a_file_is_the_same_in_both_kinds_and_json_keeps_the_text_as_it_is() -> None:
    columns = {"name": lambda row: row[0], "count": lambda row: row[1]}
    rows = [("=danger", 1), ('quoted "and", parted\nin lines', 2), ("Ünïcode", 3)]
    assert "".join(as_csv(rows, columns)) == (
        '"name","count"\r\n"\'=danger",1\r\n"quoted ""and"", parted\nin lines",2\r\n"Ünïcode",3\r\n'
    )
    assert json.loads("".join(as_json(rows, columns))) == [{"name": name, "count": count} for name, count in rows]
    assert json.loads("".join(as_json([], columns))) == []


def test_the_ticked_integrations_are_exported_and_no_others(viewer: Client, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, name="=Meta", revisions=2)
    shop, blog = (PipelineFactory(organisation=organisation, name=name) for name in ("Shop", "Blog"))
    pin = PinFactory(organisation=organisation, pipeline=shop, template=template, number=1)
    PinFactory(organisation=organisation, pipeline=blog, template=template)
    response = ticked(viewer, PINS, "csv", [pin.pk])
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="integrations-20')
    assert list(csv.DictReader(io.StringIO(streamed(response)))) == [
        {
            "id": pin.pk,
            "pipeline_id": shop.pk,
            "pipeline_name": "Shop",
            "integration_id": template.pk,
            "integration_name": "'=Meta",
            "vendor": "meta_capi",
            "revision_id": pin.revision_id,
            "revision_number": "1",
            "latest_revision": "2",
            "enabled": "true",
            "created_at": pin.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "updated_at": pin.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    ]
    [row] = json.loads(streamed(ticked(viewer, PINS, "json", [pin.pk])))
    assert (row["integration_name"], row["revision_number"], row["enabled"]) == ("=Meta", 1, True)


def test_all_that_is_filtered_is_exported_by_address(viewer: Client, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    behind = PinFactory(organisation=organisation, template=template, number=1)
    PinFactory(organisation=organisation, template=template)
    rows = json.loads(streamed(viewer.get(f"{PINS}export/json/", {"outdated": "true"})))
    assert [row["id"] for row in rows] == [behind.pk]
    rows = json.loads(streamed(viewer.get(f"{PINS}export/json/")))
    assert len(rows) == 2


def test_a_ticked_row_of_another_organisation_is_not_exported(viewer: Client, other_organisation: Organisation) -> None:
    theirs = PinFactory(organisation=other_organisation)
    assert json.loads(streamed(ticked(viewer, PINS, "json", [theirs.pk]))) == []
    assert json.loads(streamed(viewer.get(f"{PINS}export/json/"))) == []


def test_there_is_no_other_kind_of_file_and_no_other_filter(viewer: Client) -> None:
    assert viewer.get(f"{PINS}export/xlsx/").status_code == 404
    assert viewer.get(f"{PINS}export/csv/", {"nonsense": "1"}).status_code == 400


def test_pipelines_are_exported_with_labels_and_parameters_secrets_masked(
    viewer: Client, organisation: Organisation
) -> None:
    labels = {"team": "marketing", "environment": "production"}
    shop = PipelineFactory(organisation=organisation, name="Shop", labels=labels)
    blog = PipelineFactory(organisation=organisation, name="Blog")
    wishes = {"plain": Wish("value"), "hidden": Wish("hunter2-hunter2", secret=True)}
    change_parameters(actor=system(organisation), pipeline_id=shop.pk, wishes=wishes)
    PinFactory(organisation=organisation, pipeline=shop)
    text = streamed(viewer.get(f"{PIPELINES}export/json/"))
    assert "hunter2" not in text
    first, second = json.loads(text)
    assert (first["name"], first["labels"], first["parameters"], first["integrations"]) == ("Blog", {}, {}, 0)
    assert first["id"] == blog.pk
    assert second["labels"] == {"environment": "production", "team": "marketing"}
    assert second["parameters"] == {"hidden": "***", "plain": "value"}
    assert second["integrations"] == 1
    [row] = csv.DictReader(io.StringIO(streamed(ticked(viewer, PIPELINES, "csv", [shop.pk]))))
    assert row["labels"] == '{"environment": "production", "team": "marketing"}'
    assert row["parameters"] == '{"hidden": "***", "plain": "value"}'


def test_templates_are_exported_with_how_often_they_are_pinned(viewer: Client, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, name="Meta", revisions=2)
    for _ in range(2):
        PinFactory(organisation=organisation, template=template)
    text = streamed(ticked(viewer, TEMPLATES, "json", [template.pk]))
    assert "EAAB-secret" not in text
    [row] = json.loads(text)
    shown = (row["name"], row["vendor"], row["latest_revision"], row["integrations"], row["archived"])
    assert shown == ("Meta", "meta_capi", 2, 2, False)


@pytest.mark.parametrize("address", [PINS, PIPELINES, TEMPLATES])
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_file_takes_as_many_statements_for_many_rows_as_for_few(
    viewer: Client, organisation: Organisation, address: str, kind: str
) -> None:
    def make(count: int) -> None:
        for _ in range(count):
            pipeline = PipelineFactory(organisation=organisation, labels={"team": "marketing"})
            PinFactory(organisation=organisation, pipeline=pipeline)

    make(1)
    with count_queries() as few:
        streamed(viewer.get(f"{address}export/{kind}/"))
    make(9)
    with count_queries() as many:
        rows = streamed(viewer.get(f"{address}export/{kind}/"))
    assert_same_queries(few, many)
    assert len(few) <= 20
    assert rows.count("\n") >= 10


def test_rows_are_read_as_they_are_sent(organisation: Organisation, db: None) -> None:
    """Nothing is read before the first piece is asked for, and no config ever."""
    PinFactory(organisation=organisation)
    exports = PinExports.rows
    with count_queries() as queries:
        rows = iter(exports(PinExports.__new__(PinExports), Pin.objects.all()))
        assert len(queries) == 0
        next(rows)
    [statement] = queries.statements
    assert '"config"' not in statement
