"""Turning many pins on or off as one: what would happen to each, then all of it or nothing."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction

from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, Refused
from integrations.models import Revision, Status, Template
from integrations.resolution import CompiledConfig
from integrations.revisions import compiled
from pipelines.models import Parameter, Pin, Pipeline
from pipelines.pins import update_pin
from pipelines.preflight import plain_value

LIMIT = 1000
GONE = "It is not here any more."
CHANGED = "Someone changed it, or its template, since you saw the plan."


class Outcome(StrEnum):
    BLOCKED = "blocked"
    CHANGES = "changes"
    STANDS = "stands"


@dataclass(frozen=True)
class Line:
    """What a batch would do to one pin; `reasons` says why it cannot."""

    pin: Pin
    outcome: Outcome
    reasons: tuple[str, ...] = ()


def plan_batch(*, actor: Actor, pins: Collection[str], enabled: bool) -> list[Line]:
    """A line for each of these pins that is in the actor's organisation, in three statements however many there are.

    Raises Invalid for more than LIMIT.
    """
    require_few(len(pins))
    found = list(_named(actor, pins))
    preflight = _Preflight([pin for pin in found if enabled and not pin.enabled])
    return [_line(pin, enabled, preflight) for pin in found]


@transaction.atomic
def change_batch(*, actor: Actor, seen: Mapping[str, str], enabled: bool) -> list[Pin]:
    """Turn every pin on or off as `update_pin` does, each from the tag at which it was seen, or change none at all.

    Raises Invalid for more than LIMIT, and Conflict (`BATCH_REFUSED`) that names every pin which is not as it was
    seen, or else the first that cannot be changed.
    """
    require_few(len(seen))
    pins = _locked(actor, seen)
    _require_as_seen(pins, seen)
    return [_change(actor, pin, enabled) for pin in pins.values()]


def require_few(count: int) -> None:
    """Raises Invalid for more pins than one transaction should hold."""
    if count > LIMIT:
        message = f"At most {LIMIT:,} integrations can be changed at once, and these are {count:,}. Choose fewer."
        raise Invalid.because("pins", "too_many", message)


class _Preflight:
    """What each pin's revision needs, and what each pipeline has of it, read at once for all pins."""

    def __init__(self, pins: Collection[Pin]) -> None:
        self.revisions = _with_config(pins)
        self.compiled: dict[str, CompiledConfig] = {}
        keys = {key for revision in self.revisions.values() for key in revision.parameters_used}
        needed = Parameter.objects.filter(pipeline__in={pin.pipeline_id for pin in pins}, key__in=keys)
        self.values: dict[str, dict[str, str]] = {}
        for parameter in needed:
            self.values.setdefault(parameter.pipeline_id, {})[parameter.key] = plain_value(parameter)

    def problems(self, pin: Pin) -> Iterable[Detail]:
        if pin.revision_id not in self.compiled:
            self.compiled[pin.revision_id] = compiled(self.revisions[pin.revision_id])
        return self.compiled[pin.revision_id].problems(self.values.get(pin.pipeline_id, {}))


def _named(actor: Actor, pins: Collection[str]) -> Iterable[Pin]:
    """With what a plan says of them; the configs, which are large, come once for each revision."""
    found = Pin.objects.in_organisation(actor.organisation_id).filter(pk__in=pins)
    related = found.select_related("pipeline", "template", "revision")
    light = related.defer("revision__config", "revision__parameters_used")
    return light.order_by("pipeline__name", "template__name", "pk")


def _with_config(pins: Iterable[Pin]) -> dict[str, Revision]:
    revisions = Revision.objects.with_config().filter(pk__in={pin.revision_id for pin in pins})
    return {revision.pk: revision for revision in revisions}


def _line(pin: Pin, enabled: bool, preflight: _Preflight) -> Line:
    if pin.enabled == enabled:
        return Line(pin, Outcome.STANDS)
    reasons = tuple(dict.fromkeys(_reasons(pin, preflight))) if enabled else ()
    return Line(pin, Outcome.BLOCKED if reasons else Outcome.CHANGES, reasons)


def _reasons(pin: Pin, preflight: _Preflight) -> Iterable[str]:
    """What `update_pin` would refuse to turn it on for; a pin that is turned off is never refused."""
    revision = preflight.revisions[pin.revision_id]
    if revision.template.archived:
        yield "The template is archived."
    if revision.status == Status.RETIRED:
        yield f"Revision {revision.number} is retired. {revision.standing.reason}".strip()
    yield from (detail.message for detail in preflight.problems(pin))


def _locked(actor: Actor, seen: Mapping[str, str]) -> dict[str, Pin]:
    """The pins by id, locked: templates, then pipelines, then pins, each in primary-key order as every change has it.

    All locks are taken before the first change, since that takes the organisation's version.
    """
    pins = Pin.objects.in_organisation(actor.organisation_id).filter(pk__in=seen)
    list(Template.objects.filter(pk__in=pins.values("template_id")).locked())
    list(Pipeline.objects.filter(pk__in=pins.values("pipeline_id")).locked())
    return {pin.pk: pin for pin in pins.select_related("revision").locked()}


def _require_as_seen(pins: Mapping[str, Pin], seen: Mapping[str, str]) -> None:
    gone = [Detail(key, "gone", GONE) for key in seen if key not in pins]
    moved = [
        Detail(key, "changed", f"{name_of(pins[key])}: {CHANGED}")
        for key, tag in seen.items()
        if key in pins and pins[key].tag != tag
    ]
    if gone or moved:
        count = len(gone) + len(moved)
        which = "1 integration is" if count == 1 else f"{count:,} integrations are"
        it = "it" if count == 1 else "them"
        raise Conflict(f"Nothing has been changed: {which} not as you saw {it}.", [*moved, *gone], code="BATCH_REFUSED")


def _change(actor: Actor, pin: Pin, enabled: bool) -> Pin:
    try:
        return update_pin(actor=actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=enabled)
    except Refused as refusal:
        message = f"Nothing has been changed: {name_of(pin)} cannot be. {refusal.message}"
        raise Conflict(message, refusal.details, code="BATCH_REFUSED") from None


def name_of(pin: Pin) -> str:
    return f"{pin.template.name} on {pin.pipeline.name}"
