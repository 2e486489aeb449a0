"""Planning a rollout: what would happen to each pipeline, kept as it was shown, and nothing else is ever applied."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Invalid, NotFound
from integrations.models import Revision, Template
from integrations.revisions import find_revision
from integrations.templates import MISSING
from pipelines.models import OnFailure, OnInconclusive, Outcome, Rollout, RolloutTarget, RolloutWave
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.selection import Selection, require_selectable
from pipelines.rollouts.sql import one_of, rows, sql
from pipelines.rollouts.targets import Aim, write_targets
from pipelines.rollouts.waves import ALL_AT_ONCE, MAX_SECONDS, Step, as_text, parse_waves, reaches

LATEST = "latest"
EVERYTHING = Selection()
AT_ONCE = parse_waves(ALL_AT_ONCE)

_REACHED = """
    SELECT number, position FROM (
        SELECT position, row_number() OVER (ORDER BY position) AS number FROM ({moving}) moving
    ) numbered WHERE number IN {ends}
"""


@dataclass(frozen=True)
class Schedule:
    """How a rollout goes on from wave to wave.

    `soak_seconds` lie between two waves. A gate looks at each wave from its application on, and is asked for the last
    time when the soak is over; without one, waves go by the soak alone.
    """

    waves: tuple[Step, ...] = AT_ONCE
    soak_seconds: int = 0
    gate: Gate | None = None
    on_failure: OnFailure = OnFailure.PAUSE
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE


ALL_NOW = Schedule()


@transaction.atomic
def plan_rollout(
    *,
    actor: Actor,
    template_id: str,
    revision: str = LATEST,
    selection: Selection = EVERYTHING,
    schedule: Schedule = ALL_NOW,
) -> Rollout:
    """A plan for the pins of one template: `revision` is an id, a number, or `latest` as it is now.

    Nothing that runs is changed. Raises NotFound for the template, and Invalid for a revision, selection or schedule
    that cannot be.
    """
    template = _template(actor, template_id)
    target = _target(template, revision)
    selection = require_selectable(actor=actor, template=template, selection=selection)
    _require_possible(schedule)
    rollout = Rollout.objects.create(
        organisation_id=actor.organisation_id,
        template=template,
        revision=target,
        selection=selection.as_json(),
        waves_asked=as_text(schedule.waves),
        soak_seconds=schedule.soak_seconds,
        gate=schedule.gate.as_json() if schedule.gate else None,
        on_failure=schedule.on_failure,
        on_inconclusive=schedule.on_inconclusive,
        **Rollout.facts(actor),
    )
    write_targets(rollout, Aim(target, selection))
    complete_plan(rollout, schedule.waves)
    record(actor, "rollout.planned", rollout, {"targets": (None, plan_counts(rollout))})
    return rollout


def complete_plan(rollout: Rollout, steps: Sequence[Step]) -> None:
    """Cut the moves of a plan whose targets are all there into waves, and seal it with its hash."""
    moving = RolloutTarget.objects.filter(rollout=rollout, outcome=Outcome.MOVES)
    ends = reaches(steps, moving.count())
    upper = dict(rows(sql(_REACHED, moving=moving.values("position"), ends=one_of(ends)))) if ends else {}
    sizes = [end - before for before, end in zip([0, *ends], ends, strict=False)]
    waves = [
        RolloutWave(rollout=rollout, number=number, upper=upper[end], size=size)
        for number, (end, size) in enumerate(zip(ends, sizes, strict=True), start=1)
    ]
    RolloutWave.objects.bulk_create(waves)
    rollout.wave_count = len(waves)
    rollout.plan_hash = _hash(rollout, waves)
    rollout.save(update_fields=["wave_count", "plan_hash"])


def plan_counts(rollout: Rollout) -> dict[str, int]:
    """How many targets of each outcome; those with none are left out."""
    found = RolloutTarget.objects.filter(rollout=rollout).order_by().values("outcome").annotate(count=Count("position"))
    return dict(sorted(found.values_list("outcome", "count")))


def record(actor: Actor, action: str, rollout: Rollout, changes: dict[str, tuple[Any, Any]]) -> None:
    """Note in the audit log what became of a rollout."""
    label = str(rollout)
    audit.record(actor=actor, action=action, resource_type="rollout", resource=rollout, label=label, changes=changes)


def _template(actor: Actor, template_id: str) -> Template:
    template = Template.objects.in_organisation(actor.organisation_id).filter(pk=template_id).first()
    if template is None:
        raise NotFound(MISSING)
    return template


def _target(template: Template, reference: str) -> Revision:
    if reference == LATEST and not template.latest_number:
        raise Invalid.because("revision", "no_revision", f"“{template.name}” has no revision yet: create one first.")
    try:
        return find_revision(template, str(template.latest_number) if reference == LATEST else reference)
    except NotFound:
        message = f"“{template.name}” has no such revision. Give a number, an id, or {LATEST}."
        raise Invalid.because("revision", "unknown_revision", message) from None


def _require_possible(schedule: Schedule) -> None:
    if schedule.soak_seconds > MAX_SECONDS:
        raise Invalid.because("soak", "too_long", "A soak is at most 30 days.")


def _hash(rollout: Rollout, waves: Iterable[RolloutWave]) -> str:
    """SHA-256 of all that the plan says: two plans with one hash would do the same, to the letter."""
    digest = hashlib.sha256()
    head = {
        "template": rollout.template_id,
        "revision": rollout.revision_id,
        "reverts": rollout.reverts_id,
        "selection": rollout.selection,
        "soak": rollout.soak_seconds,
        "gate": rollout.gate,
        "on": [rollout.on_failure, rollout.on_inconclusive],
        "waves": [wave.upper for wave in waves],
    }
    digest.update(json.dumps(head, sort_keys=True).encode())
    targets = RolloutTarget.objects.filter(rollout=rollout).order_by("position")
    facts = ("pin_id", "pin_row_version", "from_revision_id", "to_revision_id", "outcome")
    for row in targets.values_list(*facts).iterator(chunk_size=5000):
        digest.update("\t".join(map(str, row)).encode() + b"\n")
    return digest.hexdigest()
