"""Changing templates: each function is one change, with its rules, its transaction and its audit."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound
from accounts.preconditions import require_unchanged
from integrations.models import Template
from integrations.vendors import VENDORS

MISSING = "There is no such template in this organisation."


@transaction.atomic
def create_template(*, actor: Actor, name: str, vendor: str, description: str = "") -> Template:
    """A template without a revision yet. Raises Invalid for an unknown vendor, Conflict for a name in use."""
    if vendor not in VENDORS:
        raise Invalid.because(
            "vendor", "unknown_vendor", f"There is no vendor {vendor[:64]!a}. See /v1/admin/integration-catalog."
        )
    _require_free(actor, name)
    template = Template.objects.create(
        organisation_id=actor.organisation_id, name=name, vendor=vendor, description=description
    )
    _record(actor, "template.created", template, {"name": (None, name), "vendor": (None, vendor)})
    return template


@transaction.atomic
def update_template(
    *,
    actor: Actor,
    template_id: str,
    name: str | None = None,
    description: str | None = None,
    archived: bool | None = None,
    expected: str | None = None,
) -> Template:
    """Change what is given; what runs stays the same. Raises NotFound, Stale, Conflict for a name in use."""
    template = lock_template(actor=actor, template_id=template_id)
    require_unchanged(template, expected)
    before = _facts(template)
    if name is not None and name != template.name:
        _require_free(actor, name)
        template.name = name
    template.description = template.description if description is None else description
    template.archived = template.archived if archived is None else archived
    changes = audit.changed(before, _facts(template))
    if changes:
        touch(template, "name", "description", "archived")
        _record(actor, "template.updated", template, changes)
    return template


@transaction.atomic
def delete_template(*, actor: Actor, template_id: str, expected: str | None = None) -> Template:
    """Take a template away; its revisions stay for history. Whoever calls knows that no pin uses it.

    Raises NotFound and Stale; the database refuses it while a pin stands.
    """
    template = lock_template(actor=actor, template_id=template_id)
    require_unchanged(template, expected)
    template.deleted_at = timezone.now()
    touch(template, "deleted_at")
    _record(actor, "template.deleted", template, {"name": (template.name, None)})
    return template


def lock_template(*, actor: Actor, template_id: str) -> Template:
    """The template, locked against every other change until the transaction ends. Raises NotFound."""
    templates = Template.objects.in_organisation(actor.organisation_id).locked()
    template = templates.filter(pk=template_id).first()
    if template is None:
        raise NotFound(MISSING)
    return template


def touch(template: Template, *fields: str) -> None:
    """Save these fields of a locked template, as a new state of it."""
    template.row_version += 1
    template.updated_at = timezone.now()
    template.save(update_fields=[*fields, "row_version", "updated_at"])


def _require_free(actor: Actor, name: str) -> None:
    if Template.objects.in_organisation(actor.organisation_id).filter(name=name).exists():
        message = "A template with this name exists already. Use another name."
        raise Conflict(message, [Detail("name", "taken", message)], code="NAME_TAKEN")


def _facts(template: Template) -> dict[str, Any]:
    return {"name": template.name, "description": template.description, "archived": template.archived}


def _record(actor: Actor, action: str, template: Template, changes: dict[str, tuple[Any, Any]]) -> None:
    audit.record(
        actor=actor, action=action, resource_type="template", resource=template, label=template.name, changes=changes
    )
