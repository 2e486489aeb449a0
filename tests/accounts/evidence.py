"""What is in the tables of accounts, to show that a refused request left them as they were."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Model, QuerySet

from accounts.models import ApiToken, AuditEntry, IdempotentAnswer, LoginGuard, Organisation, RefreshToken, User
from pipelines.models import TokenPipeline
from tests.conftest import Cast

TABLES: tuple[type[Model], ...] = (
    Organisation,
    User,
    ApiToken,
    TokenPipeline,
    RefreshToken,
    LoginGuard,
    IdempotentAnswer,
    AuditEntry,
)


def everything() -> dict[str, list[Any]]:
    """Every row of every table."""
    return {table.__name__: list(QuerySet(table).order_by("pk").values()) for table in TABLES}


def denials(cast: Cast, names: Iterable[str], ask: Callable[[Any], Any]) -> dict[str, tuple[int, str]]:
    """Status and code that each of these got, who all changed nothing."""
    before = everything()
    answers = {name: ask(cast[name]) for name in names}
    assert everything() == before
    return {name: (answer.status_code, code_of(answer)) for name, answer in answers.items()}


def code_of(answer: Any) -> str:
    code: str = answer.json()["error"]["code"]
    return code


def audited() -> list[tuple[str, str]]:
    """Every entry of the audit log as (action, who), oldest first."""
    return list(AuditEntry.objects.order_by("pk").values_list("action", "actor_label"))
