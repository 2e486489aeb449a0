"""What a plan says of each pin it is about: one statement asks and writes it, however many there are."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.expressions import RawSQL

from accounts.errors import Detail
from integrations.models import Revision, Status, Template
from integrations.revisions import compiled
from pipelines.models import Outcome, Pin, Rollout, RolloutTarget
from pipelines.rollouts.readiness import Subject, problems_of_subjects, ready_pipelines
from pipelines.rollouts.selection import Selection, chosen_pins
from pipelines.rollouts.sql import Sql, as_json, one_of, rows, run, sql

CHUNK = 1000
SKIPPED = {
    "excluded": "It was excluded.",
    "disabled": "The integration is disabled; include_disabled takes it along.",
    "not_sampled": "It is not in the share of pipelines that was asked for.",
}
CHANGES = {
    "changed": "its integration has been changed.",
    "new": "it belongs to the selection now.",
    "gone": "it does not belong to the selection any more.",
    "unblocked": "nothing stands in its way any more.",
}

_SURVEY = """
    SELECT row_number() OVER (ORDER BY pin.id) AS position, pin.id AS pin_id, pin.pipeline_id, pin.row_version,
        pin.enabled, pin.revision_id,
        CASE
            WHEN pin.pipeline_id IN {exclude} THEN 'excluded'
            WHEN NOT (pin.enabled OR {include_disabled}) THEN 'disabled'
            WHEN {unsampled} THEN 'not_sampled'
            WHEN pin.revision_id = {target} THEN 'already_there'
            WHEN {refused} OR NOT (pipeline.enabled OR {include_disabled}) OR busy.pin_id IS NOT NULL
                OR pin.enabled AND {unready} THEN 'blocked'
            ELSE 'moves'
        END AS finding
    FROM ({chosen}) pin
    JOIN pipelines_pipeline pipeline ON pipeline.id = pin.pipeline_id
    LEFT JOIN ({busy}) busy ON busy.pin_id = pin.id
    {ready}
"""
_UNSAMPLED = """
    100 * row_number() OVER (PARTITION BY {eligible} ORDER BY pin.id)
        > {percent} * count(*) OVER (PARTITION BY {eligible}) + 99
"""
_ELIGIBLE = "pin.pipeline_id NOT IN {exclude} AND (pin.enabled OR {include_disabled})"
_WRITE = """
    INSERT INTO pipelines_rollouttarget (rollout_id, position, pipeline_id, pin_id, pin_row_version, enabled,
        from_revision_id, to_revision_id, outcome, reasons, detached)
    SELECT {rollout}, position, pipeline_id, pin_id, row_version, enabled, revision_id, {target},
        CASE WHEN finding IN {skipped} THEN 'skipped' ELSE finding END,
        CASE finding WHEN 'excluded' THEN {excluded} WHEN 'disabled' THEN {disabled} WHEN 'not_sampled' THEN {not_sampled}
            ELSE {nothing} END,
        FALSE
    FROM ({survey}) survey
"""
# Whether what is considered moves or is blocked takes the resolver to say; the rest is compared by the database.
_NOW = """
    SELECT pin_id, row_version, CASE WHEN finding IN {skipped} THEN 'skipped' WHEN finding = 'already_there'
        THEN finding ELSE 'considered' END AS kind FROM ({survey}) survey
"""
_THEN = """
    SELECT pin_id, pin_row_version, CASE WHEN outcome IN ('moves', 'blocked') THEN 'considered' ELSE outcome END
    FROM pipelines_rollouttarget WHERE rollout_id = {rollout}
"""
_LIMITED = "SELECT * FROM ({one} EXCEPT {other}) difference LIMIT {limit}"
_TELL = """
    UPDATE pipelines_rollouttarget SET outcome = told.outcome, reasons = told.reasons FROM ({told}) told
    WHERE rollout_id = {rollout} AND pipelines_rollouttarget.position = told.position
"""
_TOLD = {
    "postgresql": "SELECT * FROM jsonb_to_recordset({facts}) AS fact(position integer, outcome text, reasons jsonb)",
    "sqlite": "SELECT value ->> 'position' AS position, value ->> 'outcome' AS outcome, value -> 'reasons' AS reasons "
    "FROM json_each({facts})",
}


class Aim(NamedTuple):
    """What a plan is about: this revision, with its template and status, for these pins."""

    revision: Revision
    selection: Selection

    @property
    def template(self) -> Template:
        return self.revision.template


def write_targets(rollout: Rollout, aim: Aim) -> None:
    """One row for each chosen pin, with what stands in the way of each that is blocked."""
    notes = {code: as_json([_reason(code, message)]) for code, message in SKIPPED.items()}
    parts = {"rollout": rollout.pk, "target": aim.revision.pk, "survey": _survey(aim), "nothing": as_json([])}
    run(sql(_WRITE, skipped=one_of(SKIPPED), **parts, **notes))
    settle_blocked(rollout, aim)


def settle_blocked(rollout: Rollout, aim: Aim) -> None:
    """Write every reason to each blocked target; one for which there is none moves after all."""
    for chunk in _examined(rollout, aim, RolloutTarget.objects.filter(outcome=Outcome.BLOCKED)):
        write_outcomes(
            rollout, ((target, Outcome.BLOCKED if reasons else Outcome.MOVES, reasons) for target, reasons in chunk)
        )


def changes_since(rollout: Rollout, aim: Aim, limit: int) -> list[Detail]:
    """What is no longer as the plan has it, at most so many of each kind; `field` names the pipeline."""
    survey = _survey(aim)
    now = sql(_NOW, survey=survey, skipped=one_of(SKIPPED))
    then = sql(_THEN, rollout=rollout.pk)
    came = {row[0] for row in rows(sql(_LIMITED, one=now, other=then, limit=limit))}
    went = {row[0] for row in rows(sql(_LIMITED, one=then, other=now, limit=limit))}
    changed = _changed_pins(rollout, came, went)
    suspects = sql("SELECT pin_id FROM ({survey}) survey WHERE finding = 'blocked'", survey=survey)
    moving = RolloutTarget.objects.filter(outcome=Outcome.MOVES, pin_id__in=RawSQL(*suspects))  # noqa: S611  # our own text
    blocked = RolloutTarget.objects.filter(outcome=Outcome.BLOCKED)
    pairs = chain.from_iterable
    lost = (_newly_blocked(target, reasons) for target, reasons in pairs(_examined(rollout, aim, moving)) if reasons)
    won = (_not_blocked(target) for target, reasons in pairs(_examined(rollout, aim, blocked)) if not reasons)
    return [*changed, *islice(lost, limit), *islice(won, limit)]


def write_outcomes(rollout: Rollout, told: Iterable[tuple[RolloutTarget, Outcome, list[dict[str, Any]]]]) -> None:
    """Say something else of some targets than the plan's first statement did, in one statement."""
    facts = [{"position": target.position, "outcome": outcome, "reasons": reasons} for target, outcome, reasons in told]
    run(sql(_TELL, rollout=rollout.pk, told=sql(_TOLD[connection.vendor], facts=as_json(facts))))


def as_reasons(details: Iterable[Detail]) -> list[dict[str, Any]]:
    """Details as a target keeps them."""
    return [_reason(detail.code, detail.message, **detail.extra) for detail in details]


def _survey(aim: Aim) -> Sql:
    template, selection = aim.template, aim.selection
    exclude = one_of(selection.exclude)
    config = compiled(aim.revision)
    chosen = chosen_pins(template, selection)
    common = {"exclude": exclude, "include_disabled": selection.include_disabled}
    ready = sql(
        "LEFT JOIN ({pipelines}) ready ON ready.pipeline_id = pin.pipeline_id",
        pipelines=ready_pipelines(config, chosen.values("pipeline_id")),
    )
    return sql(
        _SURVEY,
        target=aim.revision.pk,
        refused=bool(refusals(aim.revision)),
        unready=Sql("ready.pipeline_id IS NULL" if config.needs else "FALSE"),
        unsampled=_unsampled(selection, sql(_ELIGIBLE, **common)),
        chosen=chosen.values("id", "pipeline_id", "row_version", "enabled", "revision_id"),
        busy=_busy(template).values("pin_id"),
        ready=ready if config.needs else Sql(""),
        **common,
    )


def _unsampled(selection: Selection, eligible: Sql) -> Sql:
    """Whether a pin lies beyond the share asked for; the share is rounded up, as that of a wave is."""
    if selection.percent is None:
        return Sql("FALSE")
    return sql(_UNSAMPLED, eligible=eligible, percent=selection.percent)


def _busy(template: Template) -> QuerySet[RolloutTarget]:
    """What an active rollout of the template is moving."""
    return RolloutTarget.objects.filter(rollout__in=Rollout.objects.filter(template=template).active()).moving()


def refusals(revision: Revision) -> list[Detail]:
    """Why nothing at all may be moved to this revision, as `pipelines.pins` refuses it one by one."""
    found = []
    if revision.template.archived:
        found.append(Detail("integration_id", "archived", "The template is archived: unarchive it first."))
    if revision.status == Status.RETIRED:
        message = f"Revision {revision.number} is retired: choose another revision. {revision.standing.reason}"
        found.append(Detail("revision_id", "retired", message.strip()))
    return found


def _examined(
    rollout: Rollout, aim: Aim, targets: QuerySet[RolloutTarget]
) -> Iterator[list[tuple[RolloutTarget, list[dict[str, Any]]]]]:
    """Chunks of these targets, each with every reason why it cannot move, in the order in which one would mend them."""
    refused = refusals(aim.revision)
    for chunk in _chunks(targets.filter(rollout=rollout), _busy(rollout.template)):
        problems = _problems(chunk, aim.revision)
        yield [
            (target, as_reasons([*refused, *_obstacles(target, aim.selection), *problems.get(target.position, ())]))
            for target in chunk
        ]


def _chunks(targets: QuerySet[RolloutTarget], busy: QuerySet[RolloutTarget]) -> Iterator[Sequence[RolloutTarget]]:
    """By position, so that what is written meanwhile does not disturb what is still to be read."""
    others = busy.exclude(rollout=OuterRef("rollout")).filter(pin_id=OuterRef("pin_id"))
    ordered = targets.select_related("pipeline").annotate(busy=Exists(others)).order_by("position")
    after = 0
    while chunk := list(ordered.filter(position__gt=after)[:CHUNK]):
        yield chunk
        after = chunk[-1].position


def _problems(targets: Sequence[RolloutTarget], revision: Revision) -> dict[int, tuple[Detail, ...]]:
    """What the resolver says of those that are on, by position."""
    running = (Subject(target.position, target.pipeline_id) for target in targets if target.enabled)
    return {subject.position: details for subject, details in problems_of_subjects(revision, running)}


def _obstacles(target: RolloutTarget, selection: Selection) -> Iterator[Detail]:
    if not target.pipeline.enabled and not selection.include_disabled:
        message = "The pipeline is disabled: enable it, or take it along with include_disabled."
        yield Detail("pipeline_id", "disabled_pipeline", message)
    if target.busy:  # type: ignore[attr-defined]  # annotated by `_blocked`, which the stubs forget
        message = "Another rollout of this template is moving it: wait for its end, or abort it."
        yield Detail("pipeline_id", "in_another_rollout", message)


def _changed_pins(rollout: Rollout, came: set[str], went: set[str]) -> list[Detail]:
    """What to say of pins that are not as they were, by the names of their pipelines."""
    found = dict(Pin.objects.filter(pk__in=came | went).values_list("pk", "pipeline__name"))
    known = dict(
        RolloutTarget.objects.filter(rollout=rollout, pin_id__in=went - found.keys()).values_list(
            "pin_id", "pipeline__name"
        )
    )
    said = []
    for pin_id, name in sorted({**found, **known}.items(), key=lambda item: item[1]):
        how = "changed" if pin_id in came and pin_id in went else "new" if pin_id in came else "gone"
        said.append(Detail(pin_id, how, f"{name}: {CHANGES[how]}", {"pin_id": pin_id}))
    return said


def _newly_blocked(target: RolloutTarget, reasons: list[dict[str, Any]]) -> Detail:
    message = f"{target.pipeline.name}: {reasons[0]['message']}"
    return Detail(target.pin_id, "blocked", message, {"pin_id": target.pin_id})


def _not_blocked(target: RolloutTarget) -> Detail:
    message = f"{target.pipeline.name}: {CHANGES['unblocked']}"
    return Detail(target.pin_id, "unblocked", message, {"pin_id": target.pin_id})


def _reason(code: str, message: str, **extra: Any) -> dict[str, Any]:
    return {"code": code, "message": message, **extra}
