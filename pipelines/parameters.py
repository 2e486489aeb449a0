"""Changing a pipeline's parameters, which changes what runs there."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound, PreflightFailed
from accounts.preconditions import require_unchanged
from integrations.placeholders import MASK, is_key
from integrations.secrets import seal
from pipelines.models import HistoryEntry, Parameter, Pin, Pipeline, Subject
from pipelines.pins import lock_pipeline
from pipelines.preflight import parameter_context, plain_value, plain_values, problems_of_pins
from pipelines.versions import publish

MAX_VALUE_BYTES = 8 * 1024
MAX_SECRET_BYTES = 32 * 1024
MAX_KEYS = 200
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True)
class Wish:
    """What a parameter is to become: a value, or None for gone. Secret can be set, never cleared."""

    value: str | None = field(repr=False)
    secret: bool = False
    verbatim: bool = False


@transaction.atomic
def change_parameters(
    *, actor: Actor, pipeline_id: str, wishes: Mapping[str, Wish], expected: str | None = None
) -> Pipeline:
    """Set and delete parameters of a pipeline together, or none of them.

    Raises NotFound, Stale, Invalid for a key or value that cannot be, Conflict (`PARAMETER_IN_USE`) where an enabled
    pin would lose a value it needs, and PreflightFailed where it could not be resolved any more.
    """
    pipeline = lock_pipeline(actor=actor, pipeline_id=pipeline_id)
    require_unchanged(pipeline, expected)
    if entries := apply_wishes(actor, pipeline, wishes):
        touch(pipeline)
        publish(actor=actor, entries=entries, pipelines=[pipeline.pk])
    return pipeline


@transaction.atomic
def delete_parameter(*, actor: Actor, pipeline_id: str, key: str, expected: str | None = None) -> Pipeline:
    """Take one parameter away. Raises NotFound, also where there is no such parameter, Stale and Conflict."""
    pipeline = lock_pipeline(actor=actor, pipeline_id=pipeline_id)
    if not pipeline.parameters.filter(key=key).exists():
        raise NotFound("This pipeline has no such parameter.")
    require_unchanged(pipeline, expected)
    entries = apply_wishes(actor, pipeline, {key: Wish(None)})
    touch(pipeline)
    publish(actor=actor, entries=entries, pipelines=[pipeline.pk])
    return pipeline


def apply_wishes(actor: Actor, pipeline: Pipeline, wishes: Mapping[str, Wish]) -> list[HistoryEntry]:
    """Write the parameters of a locked pipeline, and the audit; returns the lines of history that are to be published."""
    if not wishes:
        return []
    held = {parameter.key: parameter for parameter in pipeline.parameters.all()}
    _refuse_bad_wishes(wishes, {key for key, parameter in held.items() if parameter.secret})
    changes = [change for key, wish in wishes.items() if (change := _change(held.get(key), key, wish))]
    if not changes:
        return []
    values = _values_after(held, changes)
    _preflight(pipeline, values, [change.key for change in changes])
    _write(pipeline, changes)
    entries = [_entry(pipeline, change) for change in changes]
    _record(actor, pipeline, entries)
    return entries


def clear_parameters(pipeline: Pipeline) -> list[HistoryEntry]:
    """Take all parameters of a locked pipeline that has no pins; returns the lines of history to be published."""
    held = list(pipeline.parameters.order_by("key"))
    pipeline.parameters.all().delete()
    return [_entry(pipeline, _Change(parameter.key, parameter, None, parameter.secret)) for parameter in held]


def touch(pipeline: Pipeline, *fields: str) -> None:
    """Save these fields of a locked pipeline, as a new state of it."""
    pipeline.row_version += 1
    pipeline.updated_at = timezone.now()
    pipeline.save(update_fields=[*fields, "row_version", "updated_at"])


@dataclass(frozen=True)
class _Change:
    """One parameter from what it was to what it is to be; either may be None."""

    key: str
    before: Parameter | None
    value: str | None = field(repr=False)
    secret: bool


def _change(before: Parameter | None, key: str, wish: Wish) -> _Change | None:
    """What a wish really changes, or None."""
    was_secret = before is not None and before.secret
    secret = was_secret or wish.secret
    if wish.value is None:
        return _Change(key, before, None, secret) if before else None
    if was_secret and wish.value == MASK:
        return None
    same = before is not None and was_secret == secret and plain_value(before) == wish.value
    return None if same else _Change(key, before, wish.value, secret)


def _refuse_bad_wishes(wishes: Mapping[str, Wish], secret_keys: Collection[str]) -> None:
    details = [detail for key, wish in wishes.items() for detail in _problems(key, wish, key in secret_keys)]
    if details:
        raise Invalid(details[0].message, details)


def _problems(key: str, wish: Wish, was_secret: bool) -> list[Detail]:
    where = f"parameters/{key[:64]}"
    if not is_key(key):
        message = f"{key[:64]!a} cannot be a key: a letter or underscore, then up to 63 letters, digits, underscores."
        return [Detail(where.encode(errors="replace").decode(), "invalid_key", message)]
    complaint = _complaint(wish, was_secret)
    return [Detail(where, complaint[0], f"The value of {key} {complaint[1]}")] if complaint else []


def _complaint(wish: Wish, was_secret: bool) -> tuple[str, str] | None:
    """What is wrong with a value, without repeating it: the first of these that is true."""
    value = wish.value
    if value is None:
        return None
    limit = MAX_SECRET_BYTES if wish.secret or was_secret else MAX_VALUE_BYTES
    complaints = {
        ("nothing_to_keep", f"is “{MASK}”, which keeps a secret. There is none here: send it."): (
            value == MASK and not was_secret
        ),
        ("invalid_text", "holds half a surrogate pair, which is no character."): bool(SURROGATE.search(value)),
        ("too_long", f"is longer than {limit // 1024} KiB."): len(value.encode(errors="replace")) > limit,
        ("control_character", "holds a control character, such as a line break or a tab. Take it out."): bool(
            CONTROL.search(value)
        ),
        ("blanks", "begins or ends with white space. Take it out, or send verbatim: true if it belongs there."): (
            value != value.strip() and not wish.verbatim
        ),
    }
    return next((complaint for complaint, holds in complaints.items() if holds), None)


def _values_after(held: Mapping[str, Parameter], changes: Sequence[_Change]) -> dict[str, str]:
    """All values as they will be. Raises Invalid for more than there may be."""
    values = plain_values(held.values())
    for change in changes:
        values.pop(change.key, None)
        if change.value is not None:
            values[change.key] = change.value
    if len(values) > MAX_KEYS:
        raise Invalid.because("parameters", "too_many", f"A pipeline has at most {MAX_KEYS} parameters.")
    return values


def _preflight(pipeline: Pipeline, values: Mapping[str, str], keys: Collection[str]) -> None:
    """Raises Conflict or PreflightFailed for what an enabled pin would lose, else notes which pins would resolve."""
    pins = Pin.objects.filter(pipeline=pipeline).with_config().order_by("created_at", "pk")
    problems = problems_of_pins(pins, values, keys)
    about_these = [
        (pin, detail)
        for pin, details in problems.items()
        for detail in details
        if pin.enabled and ("key" not in detail.extra or detail.extra["key"] in keys)
    ]
    if about_these:
        raise _refusal(about_these)
    lost = [pin.pk for pin, details in problems.items() if details and pin.resolvable]
    won = [pin.pk for pin, details in problems.items() if not details and not pin.resolvable]
    for turned, resolvable in ((lost, False), (won, True)):
        if turned:
            Pin.objects.filter(pk__in=turned).update(resolvable=resolvable)


def _refusal(problems: Sequence[tuple[Pin, Detail]]) -> Conflict | PreflightFailed:
    """Taking away what is needed is a conflict; a value of the wrong kind fails preflight."""
    details = [
        Detail(
            detail.field, detail.code, f"{pin.template.name}: {detail.message}", {**detail.extra, "needed_by": pin.pk}
        )
        for pin, detail in problems
    ]
    if all(detail.code in ("missing_parameter", "empty_parameter") for detail in details):
        users = ", ".join(sorted({pin.template.name for pin, _ in problems}))
        message = f"Enabled integrations need this parameter: {users}. Disable them first, or give another value."
        return Conflict(message, details, code="PARAMETER_IN_USE")
    return PreflightFailed("With this value an enabled integration could not be resolved.", details)


def _write(pipeline: Pipeline, changes: Sequence[_Change]) -> None:
    gone = [change.key for change in changes if change.value is None]
    if gone:
        Parameter.objects.filter(pipeline=pipeline, key__in=gone).delete()
    rows = [_row(pipeline, change.key, change.value, change.secret) for change in changes if change.value is not None]
    Parameter.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["pipeline", "key"],
        update_fields=["value", "sealed", "secret", "updated_at"],
    )


def _row(pipeline: Pipeline, key: str, value: str, secret: bool) -> Parameter:
    if not secret:
        return Parameter(pipeline=pipeline, key=key, value=value)
    sealed = seal(value, context=parameter_context(pipeline.pk, key))
    return Parameter(pipeline=pipeline, key=key, sealed=sealed, secret=True)


def _entry(pipeline: Pipeline, change: _Change) -> HistoryEntry:
    before = change.before
    return HistoryEntry(
        pipeline=pipeline,
        subject=Subject.PARAMETER,
        subject_id=change.key,
        before_value=None if before is None else MASK if change.secret else before.value,
        after_value=None if change.value is None else MASK if change.secret else change.value,
        secret=change.secret,
    )


def _record(actor: Actor, pipeline: Pipeline, entries: Sequence[HistoryEntry]) -> None:
    audit.record(
        actor=actor,
        action="pipeline.parameters_changed",
        resource_type="pipeline",
        resource=pipeline,
        label=pipeline.name,
        changes={f"parameters.{entry.subject_id}": (entry.before_value, entry.after_value) for entry in entries},
    )
