"""The page that keeps the figures, each kind between two marks of its own."""

import os
import platform
import re
from pathlib import Path

import django
from django.db import connection

PAGE = Path(__file__).with_name("README.md")

Marks = tuple[str, str]


def write_between(marks: Marks, inner: str, page: Path = PAGE) -> None:
    page.write_text(replaced(page.read_text(), inner, marks))


def replaced(text: str, inner: str, marks: Marks) -> str:
    """The page with this between its two marks."""
    begin, end = map(re.escape, marks)
    pattern = rf"(?<={begin}\n).*(?={end})"
    assert re.search(pattern, text, re.DOTALL), "The page has lost its marks."
    return re.sub(pattern, lambda _: f"\n{inner}\n\n", text, flags=re.DOTALL)


def conditions() -> str:
    """What it was measured on, and how busy that was: a load above 3 on two cores makes every figure worse."""
    with connection.cursor() as cursor:
        version = "sqlite_version()" if connection.vendor == "sqlite" else "current_setting('server_version')"
        cursor.execute(f"SELECT {version}")
        database = f"{connection.display_name} {cursor.fetchone()[0].split()[0]}"
    machine = f"{os.cpu_count()} cores, load average {os.getloadavg()[2]:.0f}"
    return f"Python {platform.python_version()}, Django {django.__version__}, {database}, {machine}."
