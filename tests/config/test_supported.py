"""What README.md says of supported versions is what is declared, pinned and tried."""

import re
import sys
import tomllib

import django
import pytest
from django.db import connection

from tests.postgresql import OLDEST, choose, in_the_wheel
from tests.readme import README, ROOT, sections, table

Version = tuple[int, ...]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def supported() -> dict[str, tuple[str, str]]:
    """Oldest and newest, by what README.md calls it."""
    rows = table(sections(README.read_text())["Supported versions"])
    return {name: (oldest, newest) for name, oldest, newest, _ in rows}


def classified(name: str) -> list[str]:
    """The versions that the project declares, in order."""
    marks = [mark.removeprefix(f"{name} :: ") for mark in PROJECT["project"]["classifiers"] if mark.startswith(name)]
    return sorted(marks, key=as_numbers)


def as_numbers(version: str) -> Version:
    return tuple(map(int, version.split(".")))


def test_python_is_declared_as_it_is_named() -> None:
    oldest, newest = supported()["Python"]
    declared = classified("Programming Language :: Python")
    assert (declared[0], declared[-1]) == (oldest, newest)
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert f"--python-version {oldest} --universal" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_django_is_pinned_at_its_oldest_and_at_its_newest(name: str) -> None:
    pinned = re.findall(
        r"^django==(\d+\.\d+)\S* ; python_full_version (\S+) '([\d.]+)'", (ROOT / name).read_text(), re.M
    )
    assert pinned == [("5.2", "<", "3.12"), ("6.1", ">=", "3.12")]
    assert supported()["Django"] == (pinned[0][0], pinned[1][0])
    assert classified("Framework :: Django") == [pinned[0][0], pinned[1][0]]


def test_postgresql_is_tried_at_its_oldest_and_at_its_newest() -> None:
    newest = choose(in_the_wheel()).version().partition(".")[0]
    assert supported()["PostgreSQL"] == (str(OLDEST), newest)


def test_both_ends_are_tried_together() -> None:
    (python, newest_python), (django_, _), (postgresql, _) = (
        supported()[name] for name in ("Python", "Django", "PostgreSQL")
    )
    tried = re.findall(r"^    try (\S+) (\S+) (\S+)$", (ROOT / ".ci" / "versions").read_text(), re.MULTILINE)
    assert tried == [(python, django_, postgresql), (newest_python, "newest", "newest")]


def test_these_tests_run_on_nothing_older_than_what_is_supported(db: None) -> None:
    found: dict[str, Version] = {"Python": sys.version_info[:2], "Django": django.VERSION[:2]}
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            found["PostgreSQL"] = (int(cursor.fetchone()[0]) // 10_000,)
    assert {name for name, version in found.items() if version < as_numbers(supported()[name][0])} == set()
