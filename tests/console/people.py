"""People at Django's test client, each logged in, and what stands in the database."""

from collections.abc import Iterable
from typing import Any

from django.test import Client

from accounts.models import User
from tests.committed import Rows, rows_of, tables

PASSING = {"django_session", "accounts_user"}  # a login writes both: the session and when it was


def at_console(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def everything() -> Rows:
    """Every row that a denied request must not have touched."""
    rows = rows_of(table for table in tables() if table not in PASSING)
    users = User.objects.order_by("pk").values_list("pk", "name", "role", "is_active", "row_version")
    return rows | {"accounts_user": list(users)}


def told(response: Any) -> list[str]:
    """The messages that this answer shows."""
    return [str(message) for message in response.context["messages"]]


def problems(response: Any) -> list[str]:
    """What a question says stands in the way."""
    return list(response.context["question"].problems)


def errors(response: Any) -> dict[str, list[str]]:
    """What a form says is wrong, by field."""
    found: dict[str, list[str]] = {name: list(lines) for name, lines in response.context["form"].errors.items()}
    return found


def streamed(response: Any) -> str:
    pieces: Iterable[bytes] = response.streaming_content
    return b"".join(pieces).decode()
