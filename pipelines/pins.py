"""Changing pins: which vendors receive events from a pipeline, at which configuration version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound
from accounts.preconditions import require_unchanged
from accounts.statements import CompiledQuery, committed_together, update
from integrations.models import Revision, Status, Template
from pipelines.models import HistoryEntry, Pin, Pipeline, Subject
from pipelines.preflight import problems_on, require_runnable
from pipelines.versions import publish

NO_PIPELINE = "There is no such pipeline in this organisation."
NO_PIN = "There is no such integration on this pipeline."
ASSIGNED = "This template is on this pipeline already. Update that integration instead of adding another."

LOCKED_PINS = CompiledQuery(
    lambda value: (
        Pin.objects.in_organisation(value("organisation")).filter(pipeline=value("pipeline"), pk=value("id")).locked()
    )
)
REVISIONS = CompiledQuery(
    lambda value: Revision.objects.with_config().filter(
        template=value("template"), pk__in=[value("current"), value("wanted")]
    )
)


@dataclass(frozen=True)
class Standing:
    """What a pin says at one moment: the part of it that runs."""

    revision: Revision
    enabled: bool


def assign_pin(*, actor: Actor, pipeline_id: str, template_id: str, revision_id: str, enabled: bool = True) -> Pin:
    """Pin a template to a pipeline at one of its revisions.

    Raises NotFound for the pipeline, Invalid for a template or revision that is not there or not its own, Conflict
    (`ALREADY_ASSIGNED`, `TEMPLATE_ARCHIVED`, `REVISION_RETIRED`), and PreflightFailed if enabled and not runnable.
    """
    try:
        return _assign(actor, pipeline_id, template_id, revision_id, enabled)
    except IntegrityError as error:
        if not breaks(error, "one_pin_per_template_and_pipeline", "pipelines_pin.template_id"):
            raise
        raise _already_assigned() from None


@committed_together()
def _assign(actor: Actor, pipeline_id: str, template_id: str, revision_id: str, enabled: bool) -> Pin:
    revision = _lock_revision(actor, pipeline_id, template_id, revision_id)
    pipeline = _lock_without(actor, pipeline_id, revision.template)
    _require_pinnable(revision)
    problems = problems_on(pipeline, revision)
    if enabled:
        require_runnable(revision, pipeline, problems)
    pin = Pin.objects.create(
        organisation_id=actor.organisation_id,
        pipeline=pipeline,
        template=revision.template,
        revision=revision,
        enabled=enabled,
        resolvable=not problems,
    )
    _record(actor, "pin.assigned", pin, None, Standing(revision, enabled))
    return pin


@committed_together()
def update_pin(
    *,
    actor: Actor,
    pipeline_id: str,
    pin_id: str,
    revision_id: str | None = None,
    enabled: bool | None = None,
    expected: str | None = None,
) -> Pin:
    """Move a pin to another revision of its template, turn it on or off, or both; what is not given stays.

    Raises NotFound, Stale, Invalid, Conflict and PreflightFailed as `assign_pin` does.
    """
    pin = _lock_pin(actor, pipeline_id, pin_id)
    require_unchanged(pin, expected)
    current, wanted = _read_revisions(pin, pin.revision_id if revision_id is None else revision_id)
    before = Standing(current, pin.enabled)
    after = Standing(wanted, pin.enabled if enabled is None else enabled)
    if before == after:
        return pin
    if after.revision != before.revision or (after.enabled and not before.enabled):
        _require_pinnable(wanted)
    problems = problems_on(pin.pipeline, wanted)
    if after.enabled:
        require_runnable(wanted, pin.pipeline, problems)
    _save(pin, after, resolvable=not problems)
    _record(actor, "pin.updated", pin, before, after)
    return pin


@committed_together()
def remove_pin(*, actor: Actor, pipeline_id: str, pin_id: str, expected: str | None = None) -> None:
    """Stop sending from this pipeline to this template; template and revisions stay. Raises NotFound and Stale."""
    pin = _lock_pin(actor, pipeline_id, pin_id)
    require_unchanged(pin, expected)
    before = Standing(_read_revisions(pin, pin.revision_id)[0], pin.enabled)
    gone = Pin(pk=pin.pk, pipeline=pin.pipeline, template=pin.template, revision=before.revision)
    pin.delete()
    _record(actor, "pin.removed", gone, before, None)


def lock_pipeline(*, actor: Actor, pipeline_id: str) -> Pipeline:
    """The pipeline, locked against every other change until the transaction ends. Raises NotFound."""
    pipeline = Pipeline.objects.in_organisation(actor.organisation_id).locked().filter(pk=pipeline_id).first()
    if pipeline is None:
        raise NotFound(NO_PIPELINE)
    return pipeline


def require_pipeline(*, actor: Actor, pipeline_id: str) -> None:
    """Raises NotFound unless the actor's organisation has this pipeline."""
    if not Pipeline.objects.in_organisation(actor.organisation_id).filter(pk=pipeline_id).exists():
        raise NotFound(NO_PIPELINE)


def require_pipelines(*, actor: Actor, pipelines: Sequence[str], field: str) -> None:
    """Raises Invalid that names each of these which the actor's organisation has not."""
    found = Pipeline.objects.in_organisation(actor.organisation_id).filter(pk__in=pipelines)
    known = set(found.values_list("pk", flat=True))
    unknown = [key for key in dict.fromkeys(pipelines) if key not in known]
    if unknown:
        details = [_unknown(f"{field}/{pipelines.index(key)}", key) for key in unknown]
        raise Invalid(details[0].message, details)


def _unknown(field: str, key: str) -> Detail:
    return Detail(field, "unknown_pipeline", f"There is no pipeline {key[:40]!a} in this organisation.")


def breaks(error: IntegrityError, constraint: str, column: str) -> bool:
    """Whether this unique constraint refused the row; PostgreSQL says its name, SQLite its columns."""
    return constraint in str(error) or (column in str(error) and "UNIQUE" in str(error))


def entry_of(pin: Pin, before: Standing | None, after: Standing | None) -> HistoryEntry:
    """One line of history about a pin."""
    return HistoryEntry(
        pipeline_id=pin.pipeline_id,
        subject=Subject.PIN,
        subject_id=pin.pk,
        before_revision=before.revision if before else None,
        after_revision=after.revision if after else None,
        before_enabled=before.enabled if before else None,
        after_enabled=after.enabled if after else None,
    )


def _lock_pin(actor: Actor, pipeline_id: str, pin_id: str) -> Pin:
    pin = LOCKED_PINS.first(organisation=actor.organisation_id, pipeline=pipeline_id, id=pin_id)
    if pin is None:
        require_pipeline(actor=actor, pipeline_id=pipeline_id)
        raise NotFound(NO_PIN)
    return pin


def _lock_without(actor: Actor, pipeline_id: str, template: Template) -> Pipeline:
    """The pipeline, locked, on which this template is not yet; asking both at once saves every assignment a statement.

    Who waited for the lock may read the answer of before: then the unique constraint says the same.
    """
    pins = Pin.objects.filter(pipeline=OuterRef("pk"), template=template)
    pipelines = Pipeline.objects.in_organisation(actor.organisation_id).locked().filter(pk=pipeline_id)
    pipeline = pipelines.annotate(assigned=Exists(pins)).first()
    if pipeline is None:
        raise NotFound(NO_PIPELINE)
    if pipeline.assigned:  # type: ignore[attr-defined]  # annotated above, which the stubs forget
        raise _already_assigned()
    return pipeline


def _already_assigned() -> Conflict:
    return Conflict(ASSIGNED, [Detail("integration_id", "already_assigned", ASSIGNED)], code="ALREADY_ASSIGNED")


def _lock_revision(actor: Actor, pipeline_id: str, template_id: str, revision_id: str) -> Revision:
    """The revision, with its template locked; it says of the two which is not there, or that they do not match.

    Nothing is said of them where the pipeline is not there, which the address names before the body names these.
    """
    revisions = Revision.objects.in_organisation(actor.organisation_id).locked()
    revision = revisions.filter(pk=revision_id, template_id=template_id).first()
    if revision is not None:
        return revision
    require_pipeline(actor=actor, pipeline_id=pipeline_id)
    if not Template.objects.in_organisation(actor.organisation_id).filter(pk=template_id).exists():
        message = "There is no such template in this organisation. See /v1/admin/integration-templates."
        raise Invalid.because("integration_id", "unknown_template", message)
    raise _wrong_revision(actor.organisation_id, template_id, revision_id)


def _read_revisions(pin: Pin, wanted: str) -> tuple[Revision, Revision]:
    """The one that a locked pin is on, and the one that it is to be on, which may be the same."""
    found = {each.pk: each for each in REVISIONS.all(template=pin.template_id, current=pin.revision_id, wanted=wanted)}
    if wanted not in found:
        raise _wrong_revision(pin.organisation_id, pin.template_id, wanted)
    return found[pin.revision_id], found[wanted]


def _wrong_revision(organisation_id: str, template_id: str, revision_id: str) -> Invalid:
    if Revision.objects.in_organisation(organisation_id).filter(pk=revision_id).exists():
        message = f"This revision belongs to another template. Choose one of the revisions of {template_id}."
        return Invalid.because("revision_id", "revision_mismatch", message)
    message = f"There is no such revision. See /v1/admin/integration-templates/{template_id}/revisions."
    return Invalid.because("revision_id", "unknown_revision", message)


def _require_pinnable(revision: Revision) -> None:
    if revision.template.archived:
        message = "This template is archived: nothing new can be pinned to it. Unarchive it first."
        raise Conflict(message, [Detail("integration_id", "archived", message)], code="TEMPLATE_ARCHIVED")
    if revision.status == Status.RETIRED:
        reason = f" Reason given: {revision.standing.reason}" if revision.standing.reason else ""
        message = f"Revision {revision.number} is retired: choose another revision.{reason}"
        raise Conflict(message, [Detail("revision_id", "retired", message)], code="REVISION_RETIRED")


def _save(pin: Pin, after: Standing, *, resolvable: bool) -> None:
    pin.revision, pin.enabled, pin.resolvable = after.revision, after.enabled, resolvable
    pin.row_version += 1
    pin.updated_at = timezone.now()
    update(pin, "revision", "enabled", "resolvable", "row_version", "updated_at")


def _record(actor: Actor, action: str, pin: Pin, before: Standing | None, after: Standing | None) -> None:
    label = f"{pin.template.name} on {pin.pipeline.name}"
    audit.record(
        actor=actor,
        action=action,
        resource_type="pipeline_integration",
        resource=pin,
        label=label,
        changes=audit.changed(_facts(before), _facts(after)),
    )
    publish(actor=actor, entries=[entry_of(pin, before, after)], pipelines=[pin.pipeline_id])


def _facts(standing: Standing | None) -> dict[str, Any]:
    if standing is None:
        return {"revision_id": None, "revision_number": None, "enabled": None}
    revision = standing.revision
    return {"revision_id": revision.pk, "revision_number": revision.number, "enabled": standing.enabled}
