from pathlib import Path

import pytest

from tests.benchmarks.last_run import MARKS, LastRun
from tests.benchmarks.page import PAGE, write_between

ROWS = "| What | Figure | Bound |\n| --- | --- | --- |\n| moving a pin | 0.8 × | ≤ 1.0 × |\n| starting | 2 s |  |"


def test_a_run_becomes_a_table_between_the_marks_of_the_page(tmp_path: Path) -> None:
    last = LastRun(conditions="Python 3.11")
    last.record("moving a pin", "0.8 ×", "≤ 1.0 ×")
    last.record("starting", "2 s")
    assert last.table() == ROWS

    page = tmp_path / "page.md"
    page.write_text(f"Before\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\nAfter\n")
    for _ in range(2):
        write_between(MARKS, f"{last.conditions}\n\n{last.table()}", page)
        assert page.read_text() == f"Before\n\n{MARKS[0]}\n\nPython 3.11\n\n{ROWS}\n\n{MARKS[1]}\n\nAfter\n"


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Nothing here\n")
    with pytest.raises(AssertionError, match="lost its marks"):
        write_between(MARKS, "inner", page)
    assert page.read_text() == "Nothing here\n"


def test_the_page_has_room_for_the_last_run() -> None:
    text = PAGE.read_text()
    assert [text.count(mark) for mark in MARKS] == [1, 1]
