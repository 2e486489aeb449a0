"""People at Django's test client, each logged in, and what stands in the database."""

from collections.abc import Iterable
from typing import Any

from django.test import Client, RequestFactory

from accounts.admin.console import CHOSEN_ORGANISATION
from accounts.admin.sending import new_form_key
from accounts.models import User
from tests.committed import Rows, rows_of, tables

PASSING = {"django_session", "accounts_user"}  # a login writes both: the session and when it was


class Console(Client):
    """Someone at the console. Each form they send carries the key of a page that was just opened, or the one given."""

    def __init__(self, user: User, **options: Any) -> None:
        super().__init__(**options)
        self.user = user
        self.force_login(user)

    def post(self, path: str, data: Any = None, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]  # as is
        if data is None or isinstance(data, dict):
            data = {"form_key": key_for(self.user)} | (data or {})
        return super().post(path, data, *args, **kwargs)


def at_console(user: User) -> Client:
    return Console(user)


def key_for(user: User, organisation_id: str = "") -> str:
    """The key of a form that was opened by this person just now."""
    request = RequestFactory().get("/admin/")
    request.user = user
    request.session = {CHOSEN_ORGANISATION: organisation_id}  # type: ignore[assignment]  # all that is asked of it
    return new_form_key(request)


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
