"""Every file for spreadsheets, with formulas in whatever people may write: none is one in the file, and no text is lost."""

import csv
import io
import json
from typing import Any

import pytest

from accounts.actors import Actor, ActorType
from accounts.admin.downloads import FORMULA, cell
from accounts.models import Organisation, User
from accounts.roles import Role
from integrations.templates import update_template
from pipelines.parameters import Wish
from tests.console.people import at_console, streamed
from tests.console.test_roles import ADDRESSES, address, rows_in
from tests.factories import PinFactory, PipelineFactory, TemplateFactory

SIGNS = "=+-@\uff1d\uff0b\uff0d\u2212\uff20"  # the last five as wide as other letters of East Asia, and a minus
COMMAND = "cmd|'/c calc'!A0"
FORMULAS = [
    *(f"{sign}{COMMAND}" for sign in SIGNS),
    f" ={COMMAND}",
    f"\u00a0={COMMAND}",
    f"\u200b\ufeff={COMMAND}",
    f"\u202e={COMMAND}",
    f"'={COMMAND}",
    f"''={COMMAND}",
    "\t=1",
    "\r=1",
    "\n=1",
    "\tx",
    "'\tx",
]
HARMLESS = ["a=1", "x;=1+1", 'x","=1+1', "x\n=1+1", "it's", "'quoted'", "", "1-1", "<b>=1</b>", "x" * 100_000]


def read_back(text: str) -> str:
    """The exact text of a cell, as the documentation of the files has it."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("text", FORMULAS)
def test_what_looks_like_a_formula_is_none_in_a_cell_and_the_text_is_not_lost(text: str) -> None:
    assert cell(text) == f"'{text}"
    assert read_back(cell(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text
    assert read_back(text) == text


def files(client: Any, organisation: Organisation) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Each list as CSV, and as JSON, which has the exact values; the lists are those of the address map."""
    rows = rows_in(organisation)
    lists = [address(name, rows) for name in ADDRESSES if name.endswith("_export")]
    return {
        where: (streamed(client.get(where)), json.loads(streamed(client.get(where.replace("/csv/", "/json/")))))
        for where in lists
    }


def test_no_file_of_any_list_holds_a_formula_and_each_says_what_json_says(
    organisation: Organisation, admin_user: User
) -> None:
    names = [text for text in FORMULAS if text == text.strip() and not text.startswith("'\t")]
    actor = Actor(ActorType.OPERATOR, "=1+1", "@SUM(A1)", organisation.pk, Role.ADMIN, "-request")
    for number, name in enumerate(names):
        template = TemplateFactory(organisation=organisation, name=name)
        description = f"{FORMULAS[number]};=1\n=2,=3"
        update_template(actor=actor, template_id=template.pk, description=description)
        pipeline = PipelineFactory(organisation=organisation, name=name, parameters={"p": Wish(name)})
        PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    found = files(at_console(admin_user), organisation)
    assert len(found) == 4
    planted = 0
    for where, (text, exact) in found.items():
        cells = read(text)
        assert len(cells) == len(exact) >= len(names), where
        for row, line in zip(exact, cells, strict=True):
            assert list(line) == list(row)
            for column, value in row.items():
                assert not FORMULA.match(line[column]) or line[column].startswith("'"), (where, column)
                planted += line[column].startswith("'")
                assert read_back(line[column]) == (value if isinstance(value, str) else as_text(value)), (where, column)
    assert planted > 5 * len(names)


def as_text(value: Any) -> str:
    """What is no text, as a cell has it."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def test_a_cell_with_the_separator_of_another_country_is_in_quotes(
    organisation: Organisation, admin_user: User
) -> None:
    TemplateFactory(organisation=organisation, name="x;=1+1")
    text = streamed(at_console(admin_user).get("/admin/integrations/template/export/csv/"))
    assert '"x;=1+1"' in text
    assert [row["name"] for row in read(text)] == ["x;=1+1"]
