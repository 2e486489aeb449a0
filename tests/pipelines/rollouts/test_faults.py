"""Rollouts whose workers and whose database are killed at random moments, and rollouts that many workers share."""

import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from subprocess import DEVNULL

import pytest
from django.db import connection

from accounts.models import AuditEntry, Organisation
from pipelines.models import Pin, Rollout, RolloutWave
from pipelines.pins import update_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import pause_rollout
from tests.factories import OrganisationFactory, system
from tests.pipelines.rollouts.crashes import CrashingServer, migrated_server
from tests.pipelines.rollouts.crowds import build_fleet, moves_of, standing_of, start
from tests.pipelines.rollouts.terminals import in_pipes, line_of, run_piped, wait_until_it_heeds
from tests.pipelines.rollouts.watching import watching
from tests.pipelines.test_concurrency import assert_consistent, together

FLEET = 40
TEMPLATES = 10  # of twenty waves each: several times what the quickest machine applies between the kills
TWENTY_WAVES = ",".join(f"{percent}%" for percent in range(5, 101, 5))
KILLS = 10
LONGEST_WAIT = 120.0


@pytest.fixture
def dice() -> random.Random:
    """What chooses the moments. `SEED=… pytest …` chooses the same ones again, as far as two runs can be the same."""
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    print(f"SEED={seed}")  # noqa: T201  # pytest shows it when the test fails
    return random.Random(seed)  # noqa: S311  # replayed, not secret


@pytest.fixture
def crashing(committed_db: str) -> Generator[CrashingServer]:
    with migrated_server() as server:
        yield server


def assert_all_done(organisation: Organisation, rollouts: Sequence[Rollout], size: int) -> None:
    """Every pin was moved, exactly once; waves, history, audit log and versions say the same."""
    for rollout in rollouts:
        rollout.refresh_from_db()
        assert (rollout.state, rollout.waves_applied) == ("done", rollout.wave_count), rollout.reason
        assert standing_of(rollout.template) == {2: size}
        moves = moves_of(rollout)
        assert (len(moves), set(moves.values())) == (size, {1})
        waves = RolloutWave.objects.filter(rollout=rollout)
        assert sum(wave.moved or 0 for wave in waves) == size
        assert waves.values("version").distinct().count() == rollout.wave_count
        told = AuditEntry.objects.filter(resource_id=rollout.pk, action="rollout.wave_applied").order_by("pk")
        reached = [entry.changes["waves_applied"]["new"] for entry in told]
        assert reached == list(range(1, rollout.wave_count + 1))
    assert_consistent(organisation)


def test_workers_killed_at_random_moments_lose_nothing_and_do_nothing_twice(
    committed_db: str, organisation: Organisation, dice: random.Random
) -> None:
    rollouts = [start(template, TWENTY_WAVES) for template in build_fleet(organisation, FLEET, TEMPLATES)]
    kills = 0
    with watching(rollouts) as watch:
        while kills < KILLS and Rollout.objects.filter(state="running").exists():
            with in_pipes(committed_db, "run_rollouts") as worker:
                line_of(worker.stdout)  # it has begun, and goes on at once
                time.sleep(dice.random() / 20)
                worker.kill()
            kills += 1
        assert run_piped(committed_db, "run_rollouts", "--once")[0] == 0
    assert kills == KILLS
    assert (watch.wrong, watch.glances > KILLS) == ([], True)
    assert_all_done(organisation, rollouts, FLEET)


def test_a_database_killed_at_random_moments_loses_nothing_and_its_worker_goes_on(
    crashing: CrashingServer, dice: random.Random
) -> None:
    organisation = OrganisationFactory()
    rollouts = [start(template, TWENTY_WAVES) for template in build_fleet(organisation, FLEET, TEMPLATES)]
    kills = 0
    with watching(rollouts) as watch, in_pipes(crashing.url, "run_rollouts", errors=DEVNULL) as worker:
        while kills < KILLS:
            assert line_of(worker.stdout), "The worker has ended."
            time.sleep(dice.random() / 20)
            crashing.crash()
            crashing.run()
            kills += 1
        connection.close()  # it died with the server
        wait_until_done(rollouts)
        worker.terminate()
        worker.communicate(timeout=LONGEST_WAIT)
        assert worker.returncode == 0
    assert (watch.wrong, watch.glances > KILLS) == ([], True)
    assert_all_done(organisation, rollouts, FLEET)

    held = start(build_fleet(OrganisationFactory(), 2)[0], "1,100%", soak_seconds=3600)
    pause_rollout(actor=system(held.organisation), rollout_id=held.pk)
    with in_pipes(crashing.url, "resume_rollout", held.pk, "--organisation", held.organisation_id) as command:
        assert line_of(command.stderr) == f"Resumed {held.pk}.\n"
        assert line_of(command.stderr) == "wave 1 of 2: 1 of 2\n"
        crashing.crash()
        _, told = command.communicate(timeout=LONGEST_WAIT)
        crashing.run()
        assert told.startswith("CommandError: The database failed: ")
        assert told.endswith(
            f"A wave is applied whole or not at all: see how far it came with manage.py show_rollout {held.pk}. "
            "A worker goes on with it; without one, pause and resume it.\n"
        )
        assert command.returncode == 1
    connection.close()
    assert standing_of(held.template) == {1: 1, 2: 1}


def test_four_workers_share_twenty_rollouts_and_apply_each_wave_once(
    committed_db: str, organisation: Organisation
) -> None:
    size, waves = 30, 3
    templates = build_fleet(organisation, size, templates=20)
    with ExitStack() as stack:
        workers = [stack.enter_context(in_pipes(committed_db, "run_rollouts")) for _ in range(4)]
        rollouts = [start(template, "1,50%,100%") for template in templates]
        wait_until_done(rollouts)
        for worker in workers:
            wait_until_it_heeds(worker, signal.SIGTERM)  # the last to start may find nothing left to do
            worker.terminate()
        told = [worker.communicate(timeout=LONGEST_WAIT) for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * 4
    steps = Counter(line for out, _ in told for line in out.splitlines())
    assert set(steps.values()) == {1}
    ends = [line for line in steps if " done, " in line]  # which another worker may take than the last wave's
    assert (len(ends), len({line.replace(" running, ", " done, ") for line in steps})) == (
        len(rollouts),
        len(rollouts) * waves,
    )
    assert [errors for _, errors in told] == [""] * 4  # no deadlock, and nothing that had to be tried again
    assert_all_done(organisation, rollouts, size)


def test_changes_of_other_pins_on_the_same_pipelines_wait_for_a_wave_and_do_not_deadlock(
    committed_db: str, organisation: Organisation
) -> None:
    actor = system(organisation)
    moving, other = build_fleet(organisation, 40, templates=2)
    rollout = start(moving, "10%,50%,100%")
    pins = list(Pin.objects.filter(template=other).order_by("pipeline_id"))

    def apply() -> None:
        while advance(rollout.pk).state == "running":
            pass

    def turn_off(some: Sequence[Pin]) -> None:
        for pin in some:
            update_pin(actor=actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=False)

    together(apply, lambda: turn_off(pins[::2]), lambda: turn_off(pins[::-2]))
    assert set(Pin.objects.filter(template=other).values_list("enabled", "row_version")) == {(False, 2)}
    assert_all_done(organisation, [rollout], 40)


def wait_until_done(rollouts: Sequence[Rollout]) -> None:
    end = time.monotonic() + LONGEST_WAIT
    ids = [rollout.pk for rollout in rollouts]
    while Rollout.objects.filter(pk__in=ids).exclude(state="done").exists():
        assert time.monotonic() < end, list(Rollout.objects.filter(pk__in=ids).values_list("state", "reason"))
        time.sleep(0.2)
