"""The audit log: what people did, written in the transaction of the change itself, or the change does not happen."""

from collections.abc import Mapping
from typing import Any, Protocol

from accounts.actors import Actor
from accounts.models import AuditEntry
from accounts.statements import insert


class Resource(Protocol):
    """Anything that a person can be said to have changed."""

    @property
    def pk(self) -> Any: ...


def record(
    *,
    actor: Actor,
    action: str,
    resource_type: str,
    resource: Resource,
    label: str,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    """Append one entry; `changes` maps a field to (old, new), secrets already masked by whoever knows them."""
    entry = AuditEntry(
        organisation_id=actor.organisation_id,
        action=action,
        resource_type=resource_type,
        resource_id=str(resource.pk),
        resource_label=label[:320],
        changes={name: {"old": old, "new": new} for name, (old, new) in (changes or {}).items()},
        ip_address=actor.ip_address,
        **AuditEntry.facts(actor),
    )
    insert(entry)


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields whose value differs, as `record` takes them."""
    return {name: (before.get(name), value) for name, value in after.items() if before.get(name) != value}
