"""Changing templates: each function is one change, with its rules, its transaction and its audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound
from accounts.preconditions import require_unchanged
from integrations.models import Template
from integrations.vendors import VENDORS

MISSING = "There is no such template in this organisation."
TAKEN = "A template with this name exists already. Use another name."


@transaction.atomic
def create_template(*, actor: Actor, name: str, vendor: str, description: str = "") -> Template:
    """A template without a revision yet. Raises Invalid for an unknown vendor, Conflict for a name in use."""
    if vendor not in VENDORS:
        raise Invalid.because(
            "vendor", "unknown_vendor", f"There is no vendor {vendor[:64]!a}. See /v1/admin/integration-catalog."
        )
    with _unique_name(actor, name):
        template = Template.objects.create(
            organisation_id=actor.organisation_id, name=name, vendor=vendor, description=description
        )
    facts = {"name": name, "vendor": vendor, "description": description}
    _record(actor, "template.created", template, {field: (None, value) for field, value in facts.items()})
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
    template.name = template.name if name is None else name
    template.description = template.description if description is None else description
    template.archived = template.archived if archived is None else archived
    changes = audit.changed(before, _facts(template))
    if changes:
        with _unique_name(actor, template.name, template.pk):
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


@contextmanager
def _unique_name(actor: Actor, name: str, template_id: str = "") -> Iterator[None]:
    """Around the write of a name. Raises Conflict (`NAME_TAKEN`), also where somebody else takes it meanwhile."""
    others = Template.objects.in_organisation(actor.organisation_id).exclude(pk=template_id)
    if others.filter(name=name).exists():
        raise _taken()
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if not any(sign in str(error) for sign in ("template_name_unique_in_organisation", "_template.name")):
            raise
        raise _taken() from None


def _taken() -> Conflict:
    return Conflict(TAKEN, [Detail("name", "taken", TAKEN)], code="NAME_TAKEN")


def _facts(template: Template) -> dict[str, Any]:
    return {"name": template.name, "description": template.description, "archived": template.archived}


def _record(actor: Actor, action: str, template: Template, changes: dict[str, tuple[Any, Any]]) -> None:
    audit.record(
        actor=actor, action=action, resource_type="template", resource=template, label=template.name, changes=changes
    )
