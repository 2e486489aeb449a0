"""Adding, changing and removing pipelines."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail
from accounts.preconditions import require_unchanged
from pipelines.models import HistoryEntry, Label, Parameter, Pin, Pipeline, PipelineType, Subject
from pipelines.parameters import Wish, apply_wishes, touch
from pipelines.pins import Standing, entry_of, lock_pipeline
from pipelines.versions import publish


@transaction.atomic
def create_pipeline(
    *,
    actor: Actor,
    name: str,
    slug: str | None = None,
    type: str = PipelineType.WEB,
    labels: Mapping[str, str | None] | None = None,
    parameters: Mapping[str, Wish] | None = None,
    enabled: bool = True,
) -> Pipeline:
    """Add a pipeline; without a slug it gets one from its name.

    Raises Conflict for a slug in use, Invalid for parameters that cannot be.
    """
    if slug is not None:
        _require_free(actor, slug)
    pipeline = Pipeline.objects.create(
        organisation_id=actor.organisation_id,
        name=name,
        slug=slug or _free_slug(actor, name),
        type=type,
        enabled=enabled,
    )
    _write_labels(pipeline, labels or {})
    _record(actor, "pipeline.created", pipeline, audit.changed({}, _facts(pipeline)))
    entries = [_entry(pipeline, None, enabled), *apply_wishes(actor, pipeline, parameters or {})]
    publish(actor=actor, entries=entries, pipelines=[pipeline.pk])
    return pipeline


@transaction.atomic
def update_pipeline(
    *,
    actor: Actor,
    pipeline_id: str,
    fields: Mapping[str, Any],
    labels: Mapping[str, str | None] | None = None,
    parameters: Mapping[str, Wish] | None = None,
    expected: str | None = None,
) -> Pipeline:
    """Change what is given; `fields` may hold name, slug, type and enabled, labels and parameters merge.

    Raises NotFound, Stale, Conflict, Invalid and PreflightFailed.
    """
    pipeline = lock_pipeline(actor=actor, pipeline_id=pipeline_id)
    require_unchanged(pipeline, expected)
    before = _facts(pipeline)
    if fields.get("slug", pipeline.slug) != pipeline.slug:
        _require_free(actor, fields["slug"])
    for name, value in fields.items():
        setattr(pipeline, name, value)
    _write_labels(pipeline, labels or {})
    changes = audit.changed(before, _facts(pipeline))
    entries = apply_wishes(actor, pipeline, parameters or {})
    if changes or entries:
        touch(pipeline, "name", "slug", "type", "enabled")
    if changes:
        _record(actor, "pipeline.updated", pipeline, changes)
    if "enabled" in changes:
        entries.append(_entry(pipeline, *changes["enabled"]))
    if entries:
        publish(actor=actor, entries=entries, pipelines=[pipeline.pk])
    return pipeline


@transaction.atomic
def delete_pipeline(*, actor: Actor, pipeline_id: str, expected: str | None = None) -> None:
    """Remove a pipeline with its pins and parameters; its history stays. Raises NotFound and Stale."""
    pipeline = lock_pipeline(actor=actor, pipeline_id=pipeline_id)
    require_unchanged(pipeline, expected)
    entries = [_entry(pipeline, pipeline.enabled, None)]
    for pin in Pin.objects.filter(pipeline=pipeline).with_names().order_by("created_at", "pk"):
        entries.append(entry_of(pin, Standing(pin.revision, pin.enabled), None))
    Pin.objects.filter(pipeline=pipeline).delete()
    Parameter.objects.filter(pipeline=pipeline).delete()
    pipeline.deleted_at = timezone.now()
    touch(pipeline, "deleted_at")
    _record(actor, "pipeline.deleted", pipeline, {"name": (pipeline.name, None)})
    publish(actor=actor, entries=entries, pipelines=[pipeline.pk])


def _entry(pipeline: Pipeline, before: bool | None, after: bool | None) -> HistoryEntry:
    return HistoryEntry(
        pipeline=pipeline,
        subject=Subject.PIPELINE,
        subject_id=pipeline.pk,
        before_enabled=before,
        after_enabled=after,
    )


def _write_labels(pipeline: Pipeline, labels: Mapping[str, str | None]) -> None:
    gone = [key for key, value in labels.items() if value is None]
    if gone:
        Label.objects.filter(pipeline=pipeline, key__in=gone).delete()
    rows = [Label(pipeline=pipeline, key=key, value=value) for key, value in labels.items() if value is not None]
    if rows:
        Label.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["pipeline", "key"], update_fields=["value"]
        )


def _free_slug(actor: Actor, name: str) -> str:
    """The name as a slug, with the first number behind it that makes it free."""
    stem = slugify(name)[:80] or "pipeline"
    taken = Pipeline.objects.in_organisation(actor.organisation_id).filter(slug__startswith=stem)
    slugs = set(taken.values_list("slug", flat=True))
    return next(slug for slug in _candidates(stem, len(slugs)) if slug not in slugs)


def _candidates(stem: str, taken: int) -> list[str]:
    return [stem, *(f"{stem}-{number}" for number in range(2, taken + 3))]


def _require_free(actor: Actor, slug: str) -> None:
    if Pipeline.objects.in_organisation(actor.organisation_id).filter(slug=slug).exists():
        message = "A pipeline with this slug exists already. Use another slug."
        raise Conflict(message, [Detail("slug", "taken", message)], code="SLUG_TAKEN")


def _facts(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "slug": pipeline.slug,
        "type": str(pipeline.type),
        "enabled": pipeline.enabled,
        "labels": {label.key: label.value for label in Label.objects.filter(pipeline=pipeline).order_by("key")},
    }


def _record(actor: Actor, action: str, pipeline: Pipeline, changes: dict[str, tuple[Any, Any]]) -> None:
    audit.record(
        actor=actor, action=action, resource_type="pipeline", resource=pipeline, label=pipeline.name, changes=changes
    )
