"""Who uses a template or a revision, and taking away a template that nobody uses."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet

from accounts.actors import Actor
from accounts.errors import Conflict, Detail
from accounts.preconditions import require_unchanged
from integrations.models import Revision, Template
from integrations.templates import delete_template, lock_template
from pipelines.models import Pin

NAMED = 20  # how many users an error names


def pins_of(revision: Revision) -> QuerySet[Pin]:
    """Where a revision is pinned, each pin with its pipeline, in one statement."""
    return Pin.objects.filter(revision=revision).select_related("pipeline")


@transaction.atomic
def remove_template(*, actor: Actor, template_id: str, expected: str | None = None) -> Template:
    """Delete a template that no pipeline uses. Raises NotFound, Stale, and Conflict (`TEMPLATE_IN_USE`) naming users."""
    template = lock_template(actor=actor, template_id=template_id)
    require_unchanged(template, expected)
    pins = Pin.objects.filter(template=template)
    users = list(pins.select_related("pipeline").order_by("created_at", "pk")[:NAMED])
    if users:
        raise Conflict(_sentence(pins.count()), _details(users), code="TEMPLATE_IN_USE")
    return delete_template(actor=actor, template_id=template_id)


def _sentence(count: int) -> str:
    pipelines = "1 pipeline uses" if count == 1 else f"{count} pipelines use"
    them = "it" if count == 1 else "them"
    return f"{pipelines} this template. Remove it from {them} first, or archive it instead."


def _details(pins: Sequence[Pin]) -> list[Detail]:
    return [
        Detail("id", "in_use", f"Used by “{pin.pipeline.name}”.", {"pipeline_id": pin.pipeline_id, "pin_id": pin.pk})
        for pin in pins
    ]
