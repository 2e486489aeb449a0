"""What was there before anybody came and what has been written since; how a check counts."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from accounts.models import AuditEntry
from pipelines.models import ConfigurationVersion, HistoryEntry
from pipelines.versions import head
from tests.load.ledger import Change, Line
from tests.load.scene import Scene


@dataclass
class Check:
    """How many of what was looked at, and each that was not right."""

    what: str
    count: int = 0
    wrong: list[str] = field(default_factory=list)

    def that(self, holds: bool, sentence: str) -> None:
        self.count += 1
        if not holds:
            self.wrong.append(sentence)


@dataclass(frozen=True)
class Before:
    """Where database and audit log stood before anybody came."""

    version: int
    audit_entry: int


def before(scene: Scene) -> Before:
    newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first()
    return Before(head(scene.organisation.pk)[1], newest or 0)


class Versions:
    """Every version since the start, with its lines of history."""

    def __init__(self, scene: Scene, start: Before) -> None:
        rows = ConfigurationVersion.objects.filter(organisation=scene.organisation, number__gt=start.version)
        self.first = start.version + 1
        self.rows = list(rows.order_by("number"))
        self.by_request: dict[str, list[ConfigurationVersion]] = defaultdict(list)
        for row in self.rows:
            self.by_request[row.request_id].append(row)
        self.lines: dict[str, list[HistoryEntry]] = defaultdict(list)
        for entry in HistoryEntry.objects.filter(version__in=rows).order_by("pk"):
            self.lines[entry.version_id].append(entry)

    def written(self, changes: Iterable[Change]) -> list[tuple[Change, int]]:
        """Each change that has a version, with its number, in the order of the answers; what has none is found elsewhere."""
        found = [(change, self.of(change)) for change in sorted(changes, key=lambda one: one.answered_at)]
        return [(change, versions[0].number) for change, versions in found if versions]

    def of(self, change: Change) -> list[ConfigurationVersion]:
        return [version for request_id in change.request_ids for version in self.by_request.get(request_id, [])]


def line_of(entry: HistoryEntry) -> Line:
    return Line(
        entry.pipeline_id,
        entry.subject,
        entry.subject_id,
        revision_id=entry.after_revision_id,
        enabled=entry.after_enabled,
        value=entry.after_value,
    )
