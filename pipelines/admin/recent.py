"""What changed last in an organisation, and by whom: what runs, and the templates and revisions it runs from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from accounts.models import AuditEntry
from integrations.models import Revision, Template
from pipelines.admin.timeline import sentence_of
from pipelines.models import HistoryEntry, Pin, Subject

KINDS = ("template", "revision")  # as the audit log calls them


@dataclass(frozen=True)
class Change:
    """One line: what was changed, where its page is (nowhere for what is gone), what was done to it, by whom."""

    moment: datetime
    name: str
    address: str
    text: str
    who: str


def last_changes(organisation_id: str, count: int) -> list[Change]:
    """The newest first; as many statements for few as for many.

    Of the audit log, which is for admins, nothing is told but what every reader of a template sees on its page.
    """
    changes = [*_of_what_runs(organisation_id, count), *_of_templates(organisation_id, count)]
    return sorted(changes, key=lambda change: change.moment, reverse=True)[:count]


def _of_what_runs(organisation_id: str, count: int) -> Iterator[Change]:
    lines = HistoryEntry.objects.filter(version__organisation_id=organisation_id).select_related("pipeline")
    entries = list(lines.with_names().order_by("-pk")[:count])
    ids = [entry.subject_id for entry in entries if entry.subject == Subject.PIN]
    pins = set(Pin.objects.filter(pk__in=ids).values_list("pk", flat=True))
    for entry in entries:
        version = entry.version
        address = _address_of(entry, pins)
        yield Change(version.created_at, entry.pipeline.name, address, sentence_of(entry), version.actor_label)


def _address_of(entry: HistoryEntry, pins: set[str]) -> str:
    if entry.subject == Subject.PIN and entry.subject_id in pins:
        return reverse("admin:pipelines_pin_page", args=[entry.subject_id])
    gone = entry.pipeline.deleted_at is not None
    return "" if gone else reverse("admin:pipelines_pipeline_page", args=[entry.pipeline_id])


def _of_templates(organisation_id: str, count: int) -> Iterator[Change]:
    log = AuditEntry.objects.filter(organisation_id=organisation_id).order_by("-created_at", "-pk")
    entries = [entry for kind in KINDS for entry in log.filter(resource_type=kind)[:count]]
    addresses = _addresses(organisation_id, [entry.resource_id for entry in entries])
    for entry in entries:
        address = addresses.get(entry.resource_id, "")
        yield Change(entry.created_at, entry.resource_label, address, _told(entry), entry.actor_label)


def _addresses(organisation_id: str, ids: Iterable[str]) -> dict[str, str]:
    templates = Template.objects.in_organisation(organisation_id).filter(pk__in=ids).values_list("pk", flat=True)
    revisions = Revision.objects.in_organisation(organisation_id).filter(pk__in=ids)
    pages = {key: reverse("admin:integrations_template_page", args=[key]) for key in templates}
    for key, template, number in revisions.values_list("pk", "template_id", "number"):
        pages[key] = reverse("admin:integrations_template_revision", args=[template, number])
    return pages


def _told(entry: AuditEntry) -> str:
    new = {field: change.get("new") for field, change in entry.changes.items()}
    if entry.action == "revision.created":
        return f"Revision made: {new['change_summary']}" if new.get("change_summary") else "Revision made"
    if entry.action == "revision.status_changed":
        return f"Revision is {new['status']} now" if new.get("status") else "Reason of the status changed"
    if entry.action == "template.updated":
        return _template_told(entry.changes, new)
    return {"template.created": "Template created", "template.deleted": "Template deleted"}.get(
        entry.action, entry.action
    )


def _template_told(changes: dict[str, Any], new: dict[str, Any]) -> str:
    if "archived" in new:
        return "Template archived" if new["archived"] else "Template no longer archived"
    if "name" in new:
        return f"Template renamed from “{changes['name'].get('old')}”"
    return "Description of the template changed"
