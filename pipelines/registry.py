"""Adding, changing and removing pipelines."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid
from accounts.ids import new_id
from accounts.preconditions import require_unchanged
from pipelines.models import HistoryEntry, Label, Pin, Pipeline, PipelineType, Subject
from pipelines.parameters import Wish, apply_wishes, clear_parameters, touch
from pipelines.pins import Standing, breaks, entry_of, lock_pipeline
from pipelines.versions import publish

MAX_LABELS = 50
MAX_NAME = 200
MAX_SLUG = 100
UNPRINTABLE = ("Cc", "Zl", "Zp")  # control characters, line and paragraph separators
LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
NUMBERED = 20  # how often a name is numbered before its slug gets random letters instead
ATTEMPTS = 3  # at a slug that somebody else took at the same moment; the last is one that nobody else can want


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

    Raises Conflict (`SLUG_TAKEN`), and Invalid for a name, a slug, labels or parameters that cannot be.
    """
    fields = {"name": name, "type": type, "enabled": enabled}
    _refuse_problems(fields | ({"slug": slug} if slug else {}), labels or {})
    for attempt in range(1, ATTEMPTS + 1):
        free = slug or _free_slug(actor, name, numbered=attempt < ATTEMPTS)
        try:
            return _create(actor, {**fields, "slug": free}, labels or {}, parameters or {})
        except IntegrityError as error:
            if not _breaks_slug(error):
                raise
            if slug is not None:
                break
    raise _slug_taken()


@transaction.atomic
def _create(
    actor: Actor,
    fields: Mapping[str, Any],
    labels: Mapping[str, str | None],
    parameters: Mapping[str, Wish],
) -> Pipeline:
    pipeline = Pipeline.objects.create(organisation_id=actor.organisation_id, **fields)
    _write_labels(pipeline, labels)
    _record(actor, "pipeline.created", pipeline, audit.changed({}, _facts(pipeline)))
    entries = [_entry(pipeline, None, pipeline.enabled), *apply_wishes(actor, pipeline, parameters)]
    publish(actor=actor, entries=entries, pipelines=[pipeline.pk])
    return pipeline


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

    Raises NotFound, Stale, Conflict (`SLUG_TAKEN`, `PARAMETER_IN_USE`), Invalid and PreflightFailed.
    """
    _refuse_problems(fields, labels or {})
    try:
        return _update(
            actor=actor,
            pipeline_id=pipeline_id,
            fields=fields,
            labels=labels or {},
            parameters=parameters or {},
            expected=expected,
        )
    except IntegrityError as error:
        if not _breaks_slug(error):
            raise
        raise _slug_taken() from None


@transaction.atomic
def _update(
    *,
    actor: Actor,
    pipeline_id: str,
    fields: Mapping[str, Any],
    labels: Mapping[str, str | None],
    parameters: Mapping[str, Wish],
    expected: str | None,
) -> Pipeline:
    pipeline = lock_pipeline(actor=actor, pipeline_id=pipeline_id)
    require_unchanged(pipeline, expected)
    before = _facts(pipeline)
    for name, value in fields.items():
        setattr(pipeline, name, value)
    _write_labels(pipeline, labels)
    changes = audit.changed(before, _facts(pipeline))
    entries = apply_wishes(actor, pipeline, parameters)
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
    """Remove a pipeline with its pins, parameters and labels; its history stays. Raises NotFound and Stale."""
    pipeline = lock_pipeline(actor=actor, pipeline_id=pipeline_id)
    require_unchanged(pipeline, expected)
    pins = Pin.objects.filter(pipeline=pipeline).with_names().order_by("created_at", "pk")
    entries = [entry_of(pin, Standing(pin.revision, pin.enabled), None) for pin in pins]
    Pin.objects.filter(pipeline=pipeline).delete()
    entries += [*clear_parameters(pipeline), _entry(pipeline, pipeline.enabled, None)]
    Label.objects.filter(pipeline=pipeline).delete()
    pipeline.deleted_at = timezone.now()
    touch(pipeline, "deleted_at")
    _record(actor, "pipeline.deleted", pipeline, {"name": (pipeline.name, None)})
    publish(actor=actor, entries=entries, pipelines=[pipeline.pk])


def problems_of(fields: Mapping[str, Any], labels: Mapping[str, str | None]) -> list[Detail]:
    """What is wrong with a name, a slug and labels, as far as they are given. Any label may be taken away."""
    found = []
    if "name" in fields and (complaint := name_complaint(fields["name"])):
        found.append(Detail("name", *complaint))
    if "slug" in fields and (complaint := slug_complaint(fields["slug"])):
        found.append(Detail("slug", *complaint))
    for key, value in labels.items():
        if value is not None and (complaint := label_complaint(key, value)):
            found.append(Detail(f"labels/{key[:64]}".encode(errors="replace").decode(), *complaint))
    return found


def name_complaint(name: str) -> tuple[str, str] | None:
    """Code and sentence for a name that cannot be."""
    if not name.strip():
        return "blank", "This field may not be blank."
    if len(name) > MAX_NAME:
        return "max_length", f"Ensure this field has no more than {MAX_NAME} characters."
    if name != name.strip():
        return "blanks", "This must not begin or end with white space."
    if any(unicodedata.category(character) in UNPRINTABLE for character in name):
        return "control_character", "This must not hold control characters."
    return None


def slug_complaint(slug: str) -> tuple[str, str] | None:
    """Code and sentence for a slug that cannot be."""
    if len(slug) > MAX_SLUG:
        return "max_length", f"Ensure this field has no more than {MAX_SLUG} characters."
    if not SLUG.fullmatch(slug):
        return "invalid_slug", "This must be lower-case letters and digits, with single dashes between them."
    return None


def label_complaint(key: str, value: str | None) -> tuple[str, str] | None:
    """Code and sentence for a label that cannot be; a value may be empty."""
    if LABEL_KEY.fullmatch(key) and (not value or LABEL_KEY.fullmatch(value)):
        return None
    return "invalid_label", "This cannot be a label: up to 63 letters, digits and . _ - / inside."


def _refuse_problems(fields: Mapping[str, Any], labels: Mapping[str, str | None]) -> None:
    if details := problems_of(fields, labels):
        raise Invalid(details[0].message, details)


def _entry(pipeline: Pipeline, before: bool | None, after: bool | None) -> HistoryEntry:
    return HistoryEntry(
        pipeline=pipeline,
        subject=Subject.PIPELINE,
        subject_id=pipeline.pk,
        before_enabled=before,
        after_enabled=after,
    )


def _write_labels(pipeline: Pipeline, labels: Mapping[str, str | None]) -> None:
    """Merge these in, null deletes; what stays as it is is not written. Raises Invalid for more than there may be."""
    if not labels:
        return
    held = _labels(pipeline)
    gone = [key for key, value in labels.items() if value is None and key in held]
    new = {key: value for key, value in labels.items() if value is not None and held.get(key) != value}
    if len((held.keys() | new.keys()) - set(gone)) > MAX_LABELS:
        raise Invalid.because("labels", "too_many", f"A pipeline has at most {MAX_LABELS} labels.")
    if gone:
        Label.objects.filter(pipeline=pipeline, key__in=gone).delete()
    Label.objects.bulk_create(
        [
            Label(organisation_id=pipeline.organisation_id, pipeline=pipeline, key=key, value=value)
            for key, value in new.items()
        ],
        update_conflicts=True,
        unique_fields=["pipeline", "key"],
        update_fields=["value"],
    )


def _labels(pipeline: Pipeline) -> dict[str, str]:
    return dict(Label.objects.filter(pipeline=pipeline).order_by("key").values_list("key", "value"))


def _free_slug(actor: Actor, name: str, *, numbered: bool) -> str:
    """The name as a slug, with the first number behind it that makes it free, or in the end with random letters."""
    stem = re.sub(r"[^a-z0-9]+", "-", slugify(name)).strip("-")[:80].strip("-") or "pipeline"
    candidates = [stem, *(f"{stem}-{number}" for number in range(2, NUMBERED + 1))] if numbered else []
    taken = Pipeline.objects.in_organisation(actor.organisation_id).filter(slug__in=candidates)
    slugs = set(taken.values_list("slug", flat=True))
    return next((slug for slug in candidates if slug not in slugs), new_id(stem).replace("_", "-"))


def _breaks_slug(error: IntegrityError) -> bool:
    return breaks(error, "pipeline_slug_unique_in_organisation", "pipelines_pipeline.slug")


def _slug_taken() -> Conflict:
    message = "A pipeline with this slug exists already. Use another slug."
    return Conflict(message, [Detail("slug", "taken", message)], code="SLUG_TAKEN")


def _facts(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "slug": pipeline.slug,
        "type": str(pipeline.type),
        "enabled": pipeline.enabled,
        "labels": _labels(pipeline),
    }


def _record(actor: Actor, action: str, pipeline: Pipeline, changes: dict[str, tuple[Any, Any]]) -> None:
    audit.record(
        actor=actor, action=action, resource_type="pipeline", resource=pipeline, label=pipeline.name, changes=changes
    )
