"""What a write leaves behind, to show that a refused one leaves nothing."""

from typing import Any

from accounts.models import AuditEntry, Organisation
from pipelines.models import ConfigurationHead, ConfigurationVersion, HistoryEntry
from tests.committed import rows_of

TABLES = [
    "pipelines_pipeline",
    "pipelines_label",
    "pipelines_parameter",
    "pipelines_pin",
    "pipelines_historyentry",
    "pipelines_configurationversion",
    "pipelines_configurationhead",
    "accounts_auditentry",
]


def kept() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that a change to a pipeline writes."""
    return {table: sorted(rows, key=repr) for table, rows in rows_of(TABLES).items()}


def counts() -> dict[str, int]:
    """How many lines of history, audit entries and versions there are."""
    return {
        "history": HistoryEntry.objects.count(),
        "audit": AuditEntry.objects.count(),
        "versions": ConfigurationVersion.objects.count(),
    }


def grown(before: dict[str, int]) -> dict[str, int]:
    """What has come to be since."""
    return {name: count - before[name] for name, count in counts().items()}


def version_of(organisation: Organisation) -> int:
    return ConfigurationHead.objects.filter(pk=organisation.pk).values_list("number", flat=True).first() or 0


def refusal(answer: Any) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, code, and for each detail its field and code."""
    error = answer.json()["error"]
    return answer.status_code, error["code"], [(detail["field"], detail["code"]) for detail in error["details"]]
