"""What a plan says of each pin it is about: one statement asks and writes it, however many there are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol

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
MANY = 1000
SKIPPED = {
    "excluded": "It was excluded.",
    "disabled": "The integration is disabled; include_disabled takes it along.",
    "not_sampled": "It is not in the share of pipelines that was asked for.",
}
DISABLED = Detail(
    "pipeline_id",
    "disabled_pipeline",
    "The pipeline is disabled: enable it, or take it along with include_disabled.",
)
CHANGES = {
    "changed": "its integration has been changed.",
    "new": "it belongs to the selection now.",
    "gone": "it does not belong to the selection any more.",
    "unblocked": "nothing stands in its way any more.",
}

# No index leads from a pin to its targets. What is materialized SQLite gives one for the statement, where it would else
# read all targets again for each pin.
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
    LEFT JOIN (WITH found AS MATERIALIZED ({busy}) SELECT * FROM found) busy ON busy.pin_id = pin.id
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
# Whether something blocks it takes the resolver to say: where the database is not sure, the pin is a suspect.
_DIFFERENCES = """
    WITH different AS MATERIALIZED (
        SELECT survey.pin_id, CASE
                WHEN target.pin_id IS NULL THEN 'new'
                WHEN target.pin_row_version <> survey.row_version THEN 'changed'
                WHEN target.outcome = 'moves' AND survey.outcome = 'blocked' THEN 'suspect'
                WHEN target.outcome = 'blocked' AND survey.outcome = 'moves' THEN 'unblocked'
                ELSE 'changed'
            END AS difference
        FROM (SELECT pin_id, row_version, CASE WHEN finding IN {skipped} THEN 'skipped' ELSE finding END AS outcome
            FROM ({survey}) finding) survey
        LEFT JOIN (WITH found AS MATERIALIZED ({targets}) SELECT * FROM found) target ON target.pin_id = survey.pin_id
        WHERE target.pin_id IS NULL OR target.pin_row_version <> survey.row_version OR target.outcome <> survey.outcome
    )
    SELECT pin_id, difference FROM different ORDER BY difference = 'suspect', pin_id LIMIT {limit}
"""
_SUSPECTS = "SELECT pin_id FROM ({survey}) survey WHERE finding = 'blocked'"
_TELL = """
    UPDATE pipelines_rollouttarget SET outcome = told.outcome, reasons = told.reasons
    FROM (WITH fact AS MATERIALIZED ({told}) SELECT * FROM fact) told
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


class Placed(Protocol):
    """A target, or what stands for one: all that it takes is its position."""

    @property
    def position(self) -> int: ...


def write_targets(rollout: Rollout, aim: Aim) -> None:
    """One row for each chosen pin, with what stands in the way of each that is blocked."""
    notes = {code: as_json([_reason(code, message)]) for code, message in SKIPPED.items()}
    parts = {"rollout": rollout.pk, "target": aim.revision.pk, "survey": _survey(aim), "nothing": as_json([])}
    tell_planner_of(run(sql(_WRITE, skipped=one_of(SKIPPED), **parts, **notes)))
    settle_blocked(rollout, aim)


def tell_planner_of(count: int) -> None:
    """Have PostgreSQL look at so many targets written just now.

    Until it does by itself, perhaps a minute later, it takes them for a handful, and compares each with each.
    """
    if count >= MANY and connection.vendor == "postgresql":
        run(Sql("ANALYZE pipelines_rollouttarget"))


def settle_blocked(rollout: Rollout, aim: Aim) -> None:
    """Write every reason to each blocked target; one for which there is none moves after all."""
    for chunk in _examined(rollout, aim, RolloutTarget.objects.filter(outcome=Outcome.BLOCKED)):
        write_outcomes(
            rollout, ((target, Outcome.BLOCKED if reasons else Outcome.MOVES, reasons) for target, reasons in chunk)
        )


def changes_since(rollout: Rollout, aim: Aim, limit: int) -> list[Detail]:
    """What is no longer as the plan has it, about so many; `field` names the pin, the message its pipeline."""
    survey, targets = _survey(aim), RolloutTarget.objects.filter(rollout=rollout)
    planned = targets.values("pin_id", "pin_row_version", "outcome")
    asked = sql(_DIFFERENCES, survey=survey, targets=planned, skipped=one_of(SKIPPED), limit=limit)
    differences = dict(rows(asked))
    if "suspect" not in differences.values():
        return [*_described(differences), *_gone(targets, aim, limit)]
    sure = {pin_id: how for pin_id, how in differences.items() if how != "suspect"}
    suspects = RawSQL(*sql(_SUSPECTS, survey=survey))  # noqa: S611  # our own text
    examined = _examined(rollout, aim, targets.filter(outcome=Outcome.MOVES, pin_id__in=suspects))
    blocked = ((target, reasons) for target, reasons in chain.from_iterable(examined) if reasons)
    newly = [_newly_blocked(target, reasons) for target, reasons in islice(blocked, limit)]
    return [*_described(sure), *newly, *_gone(targets, aim, limit)]


def write_outcomes(rollout: Rollout, told: Iterable[tuple[Placed, Outcome, list[dict[str, Any]]]]) -> None:
    """Say something else of some targets than the plan's first statement did, in one statement."""
    facts = [{"position": target.position, "outcome": outcome, "reasons": reasons} for target, outcome, reasons in told]
    if facts:
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
    running = [Subject(target.position, target.pipeline_id) for target in targets if target.enabled]
    found = chain.from_iterable(problems_of_subjects(revision, running))
    return {unready.subject.position: unready.problems for unready in found}


def _obstacles(target: RolloutTarget, selection: Selection) -> Iterator[Detail]:
    if not target.pipeline.enabled and not selection.include_disabled:
        yield DISABLED
    if target.busy:  # type: ignore[attr-defined]  # annotated by `_blocked`, which the stubs forget
        message = "Another rollout of this template is moving it: wait for its end, or abort it."
        yield Detail("pipeline_id", "in_another_rollout", message)


def _described(differences: Mapping[str, str]) -> list[Detail]:
    pins = Pin.objects.filter(pk__in=differences).order_by("pipeline__name", "pk")
    return [_change(pin_id, name, differences[pin_id]) for pin_id, name in pins.values_list("pk", "pipeline__name")]


def _gone(targets: QuerySet[RolloutTarget], aim: Aim, limit: int) -> list[Detail]:
    """Targets whose pin the selection does not find any more; asked only where their number says that there are any."""
    chosen = chosen_pins(aim.template, aim.selection)
    if targets.count() <= chosen.count():
        return []
    lost = targets.filter(~Exists(chosen.filter(pk=OuterRef("pin_id")))).order_by("position")
    return [_change(pin_id, name, "gone") for pin_id, name in lost.values_list("pin_id", "pipeline__name")[:limit]]


def _change(pin_id: str, pipeline: str, how: str) -> Detail:
    return Detail(pin_id, how, f"{pipeline}: {CHANGES[how]}", {"pin_id": pin_id})


def _newly_blocked(target: RolloutTarget, reasons: list[dict[str, Any]]) -> Detail:
    message = f"{target.pipeline.name}: {reasons[0]['message']}"
    return Detail(target.pin_id, "blocked", message, {"pin_id": target.pin_id})


def _reason(code: str, message: str, **extra: Any) -> dict[str, Any]:
    return {"code": code, "message": message, **extra}
