"""What the database itself refuses of rollouts, tried with raw SQL on whichever database the tests run on."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Organisation
from pipelines.models import Rollout
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import abort_rollout, pause_rollout
from tests.committed import rows_of
from tests.pipelines.rollouts.fleets import Fleet, fleet_of, in_waves

TABLES = ["pipelines_rollout", "pipelines_rolloutwave", "pipelines_rollouttarget"]


@pytest.fixture
def fleet(organisation: Organisation) -> Fleet:
    return fleet_of(3, organisation)


@pytest.fixture
def running(fleet: Fleet) -> Rollout:
    """The first of three waves has moved a pin."""
    return advance(fleet.start(fleet.plan(schedule=in_waves("1,2,100%"))).pk)


def assert_refused(sql: str, values: list[Any], message: str) -> None:
    before = rows_of(TABLES)
    with pytest.raises(DatabaseError, match=message), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    assert rows_of(TABLES) == before


def execute(sql: str, values: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


ORDER = "from planned to running"


@pytest.mark.parametrize("state", ["paused", "done", "aborted"])
def test_a_plan_can_only_be_started(fleet: Fleet, state: str) -> None:
    plan = fleet.plan()
    sql = "UPDATE pipelines_rollout SET state = %s, started_at = created_at, runs_for = '{}' WHERE id = %s"
    assert_refused(sql, [state, plan.pk], ORDER)


def test_what_has_ended_never_runs_again(fleet: Fleet, running: Rollout) -> None:
    abort_rollout(actor=fleet.actor, rollout_id=running.pk)
    for state in ("planned", "running", "paused", "done"):
        assert_refused("UPDATE pipelines_rollout SET state = %s WHERE id = %s", [state, running.pk], ORDER)


def test_what_is_paused_is_not_done(fleet: Fleet, running: Rollout) -> None:
    pause_rollout(actor=fleet.actor, rollout_id=running.pk)
    assert_refused("UPDATE pipelines_rollout SET state = 'done' WHERE id = %s", [running.pk], ORDER)


@pytest.mark.parametrize("waves", [0, 3])
def test_waves_are_neither_skipped_nor_taken_back(running: Rollout, waves: int) -> None:
    assert_refused(
        "UPDATE pipelines_rollout SET waves_applied = %s WHERE id = %s", [waves, running.pk], "applied one by one"
    )


def test_a_paused_rollout_applies_nothing(fleet: Fleet, running: Rollout) -> None:
    pause_rollout(actor=fleet.actor, rollout_id=running.pk)
    assert_refused("UPDATE pipelines_rollout SET waves_applied = 2 WHERE id = %s", [running.pk], "applied one by one")


def test_a_template_never_has_two_active_rollouts(fleet: Fleet, running: Rollout) -> None:
    second = fleet.plan()
    sql = (
        "UPDATE pipelines_rollout SET state = 'running', started_at = created_at, next_at = created_at, "
        "runs_for = '{}' WHERE id = %s"
    )
    assert_refused(sql, [second.pk], "one_active_rollout_per_template|pipelines_rollout.template_id")


@pytest.mark.parametrize(
    "change",
    [
        "plan_hash = 'x'",
        "wave_count = 9",
        "soak_seconds = 1",
        "gate = '{}'",
        "selection = '{}'",
        "waves_asked = '1,100%%'",
        "on_failure = 'rollback'",
        "template_id = 'tmpl_x'",
    ],
)
def test_a_plan_never_changes(fleet: Fleet, change: str) -> None:
    plan = fleet.plan()
    assert_refused(f"UPDATE pipelines_rollout SET {change} WHERE id = %s", [plan.pk], "A plan never changes")


@pytest.mark.parametrize(
    "change",
    [
        "pin_id = 'pi_x'",
        "pin_row_version = 9",
        "to_revision_id = from_revision_id",
        "position = position + 100",
        "outcome = 'skipped'",
        "enabled = NOT enabled",
    ],
)
def test_what_was_planned_for_a_pipeline_never_changes(running: Rollout, change: str) -> None:
    assert_refused(
        f"UPDATE pipelines_rollouttarget SET {change} WHERE rollout_id = %s", [running.pk], "never changes, but"
    )


def test_what_is_detached_stays_so(running: Rollout) -> None:
    execute("UPDATE pipelines_rollouttarget SET detached = true WHERE rollout_id = %s", [running.pk])
    assert_refused(
        "UPDATE pipelines_rollouttarget SET detached = false WHERE rollout_id = %s", [running.pk], "never changes, but"
    )


@pytest.mark.parametrize(
    "change", ["applied_at = NULL, moved = NULL, watched_from = NULL", "moved = 7", "upper = 9", "size = 9"]
)
def test_a_wave_that_was_applied_never_changes(running: Rollout, change: str) -> None:
    assert_refused(
        f"UPDATE pipelines_rolloutwave SET {change} WHERE rollout_id = %s AND number = 1", [running.pk], "A wave is"
    )


@pytest.mark.parametrize("table", TABLES)
def test_what_was_started_is_kept(running: Rollout, table: str) -> None:
    column = "id" if table == "pipelines_rollout" else "rollout_id"
    assert_refused(f"DELETE FROM {table} WHERE {column} = %s", [running.pk], "never started can be deleted")


def test_what_was_started_gets_no_more_waves_and_pipelines(running: Rollout) -> None:
    wave = "INSERT INTO pipelines_rolloutwave (rollout_id, number, upper, size, verdict, verdict_reason) VALUES (%s, 9, 9, 9, '', '')"
    assert_refused(wave, [running.pk], "gets no further waves")
    target = (
        "INSERT INTO pipelines_rollouttarget (rollout_id, position, pipeline_id, pin_id, pin_row_version, enabled, "
        "from_revision_id, to_revision_id, outcome, reasons, detached) SELECT rollout_id, position + 100, pipeline_id, "
        "pin_id, pin_row_version, enabled, from_revision_id, to_revision_id, outcome, reasons, detached "
        "FROM pipelines_rollouttarget WHERE rollout_id = %s"
    )
    assert_refused(target, [running.pk], "gets no further waves")


def test_nothing_is_counted_or_done_that_was_not_applied(running: Rollout) -> None:
    sql = "UPDATE pipelines_rollout SET waves_applied = 2 WHERE id = %s"
    assert_refused(sql, [running.pk], "applied one by one")
    done = "UPDATE pipelines_rollout SET state = 'done', next_at = NULL WHERE id = %s"
    assert_refused(done, [running.pk], "when all of its waves")


def test_a_rollout_begins_as_a_plan_of_its_own_organisation(
    fleet: Fleet, running: Rollout, other_organisation: Organisation
) -> None:
    plan = fleet.plan()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM pipelines_rollout WHERE id = %s", [plan.pk])
        names = [column[0] for column in cursor.description]
    copied = ", ".join(name for name in names if name not in ("id", "organisation_id", "state"))
    sql = f"INSERT INTO pipelines_rollout (id, organisation_id, state, {copied}) SELECT %s, %s, %s, {copied} "
    origin = "FROM pipelines_rollout WHERE id = %s"
    assert_refused(
        sql + origin, ["ro_x", fleet.organisation.pk, "done", plan.pk], "begins as a plan|names_who|looked_at"
    )
    foreign = "belongs to its organisation|rollout_template_of_organisation"
    assert_refused(sql + origin, ["ro_y", other_organisation.pk, "planned", plan.pk], foreign)
