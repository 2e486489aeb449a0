"""Rolling out from a real terminal: the plan, the question, the bar, and every way to leave in the middle."""

import getpass
import json
import os
import signal
import socket
import time

import pytest
from django.db import connection, transaction

from accounts.models import Organisation
from integrations.models import Template
from pipelines.models import Pin, Pipeline, Rollout
from pipelines.pins import update_pin
from pipelines.rollouts.lifecycle import abort_rollout, pause_rollout
from tests.factories import system
from tests.pipelines.rollouts.crowds import build_fleet, somebody_waits_for_us, standing_of, start
from tests.pipelines.rollouts.terminals import Terminal, in_pipes, in_terminal, line_of, run_piped
from tests.pipelines.test_concurrency import assert_consistent

OPERATOR = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def template(committed_db: str, organisation: Organisation) -> Template:
    """Pinned at the first of its two revisions on four pipelines."""
    return build_fleet(organisation, 4)[0]


def only_rollout() -> Rollout:
    return Rollout.objects.get()


def needs_row_locks() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("Holding up the middle of a wave takes row locks, which only PostgreSQL has.")


def hold_second_pipeline() -> None:
    """Until the end of the transaction: the wave that has it waits in its middle."""
    list(Pipeline.objects.filter(pk=Pin.objects.order_by("pk")[1].pipeline_id).locked())


def test_the_plan_is_shown_before_the_question_and_no_keeps_nothing(committed_db: str, template: Template) -> None:
    with in_terminal(committed_db, "rollout_revision", template.pk, "--waves", "1,100%") as terminal:
        terminal.wait_for("Start it? [y/N] ")
        plan = only_rollout()
        assert terminal.shown == (
            f"{plan.pk}  {template.name} to Revision v2\n"
            "  planned\n"
            "  4 waiting\n"
            "  wave 1: 1 wait\n"
            "  wave 2: 3 wait\n"
            "  v1 → v2: 4 integrations\n"
            "    no difference\n"
            f"  plan {plan.plan_hash[:12]}\n"
            "Start it? [y/N] "
        )
        terminal.type("n\n")
        assert terminal.end() == 1
        assert terminal.shown.endswith("CommandError: Nothing has been started.\n")
    assert (Rollout.objects.count(), standing_of(template)) == (0, {1: 4})


@pytest.mark.parametrize("leaving", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_at_the_question_keeps_nothing(committed_db: str, template: Template, leaving: str) -> None:
    with in_terminal(committed_db, "rollout_revision", template.pk) as terminal:
        terminal.wait_for("Start it? [y/N] ")
        terminal.type(leaving)
        assert terminal.end() == 1
        assert terminal.shown.endswith("CommandError: Nothing has been started.\n")
    assert (Rollout.objects.count(), standing_of(template)) == (0, {1: 4})


def test_a_terminal_closed_at_the_question_keeps_nothing(committed_db: str, template: Template) -> None:
    with in_terminal(committed_db, "rollout_revision", template.pk) as terminal:
        terminal.wait_for("Start it? [y/N] ")
        terminal.close()
        assert terminal.end() != 0
    assert (Rollout.objects.count(), standing_of(template)) == (0, {1: 4})


def test_yes_applies_every_wave_with_a_bar(committed_db: str, organisation: Organisation, template: Template) -> None:
    with in_terminal(committed_db, "rollout_revision", template.pk, "--waves", "1,100%", "--soak", "1s") as terminal:
        terminal.wait_for("Start it? [y/N] ")
        terminal.type("y\n")
        assert terminal.end() == 0
        rollout = only_rollout()
        assert f"Started {rollout.pk}.\n" in terminal.shown
        assert "wave 1 of 2" in terminal.shown
        assert "━" in terminal.shown
        assert "4/4" in terminal.shown
        assert "4 moved" in terminal.shown.splitlines()[-3]
    assert (rollout.state, rollout.actor_label, standing_of(template)) == ("done", OPERATOR, {2: 4})
    assert_consistent(organisation)


def test_what_changed_while_it_asked_is_told_and_nothing_starts(
    committed_db: str, organisation: Organisation, template: Template
) -> None:
    pin = Pin.objects.select_related("pipeline").order_by("pk")[0]
    with in_terminal(committed_db, "rollout_revision", template.pk) as terminal:
        terminal.wait_for("Start it? [y/N] ")
        update_pin(actor=system(organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=False)
        terminal.type("y\n")
        assert terminal.end() == 3
        assert f"{pin.pipeline.name}: its integration has been changed." in terminal.shown
    assert (Rollout.objects.count(), standing_of(template)) == (0, {1: 4})


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "closed"])
def test_leaving_between_two_waves_pauses_and_says_how_to_go_on(
    committed_db: str, organisation: Organisation, template: Template, how: str
) -> None:
    with in_terminal(
        committed_db, "rollout_revision", template.pk, "--yes", "--waves", "1,100%", "--soak", "1h"
    ) as terminal:
        terminal.wait_for("wave 1 of 2")
        leave(terminal, how)
        code = terminal.end()
        rollout = only_rollout()
        if how != "closed":
            assert code == 1
            assert (
                "Stopped after wave 1 of 2; no wave is half applied.\n"
                f"  Go on:      manage.py resume_rollout {rollout.pk}\n"
                f"  Take back:  manage.py revert_rollout {rollout.pk}\n"
            ) in terminal.shown
            assert "Traceback" not in terminal.shown
    assert (rollout.state, rollout.waves_applied) == ("paused", 1)
    assert rollout.reason == f"{OPERATOR} stopped the command after wave 1 of 2."
    assert standing_of(template) == {1: 3, 2: 1}
    assert_consistent(organisation)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "closed"])
def test_leaving_in_the_middle_of_a_wave_finishes_it(
    committed_db: str, organisation: Organisation, template: Template, how: str
) -> None:
    needs_row_locks()
    with in_terminal(committed_db, "rollout_revision", template.pk, "--yes", "--waves", "1,50%,100%") as terminal:
        with transaction.atomic():
            hold_second_pipeline()
            terminal.wait_until(somebody_waits_for_us, "a wave that waits")
            leave(terminal, how)
            if how == "closed":
                leave_again(terminal)  # first the shell tells, then the system
            time.sleep(0.3)  # a signal that broke into the wave would have done so by now
            assert terminal.process.poll() is None
        terminal.end()
    rollout = only_rollout()
    assert (rollout.state, rollout.waves_applied, standing_of(template)) == ("paused", 2, {1: 2, 2: 2})
    assert_consistent(organisation)


def test_a_second_ctrl_c_gives_up_the_wave_in_hand_and_pauses(
    committed_db: str, organisation: Organisation, template: Template
) -> None:
    needs_row_locks()
    with in_terminal(committed_db, "rollout_revision", template.pk, "--yes", "--waves", "1,50%,100%") as terminal:
        with transaction.atomic():
            hold_second_pipeline()
            terminal.wait_until(somebody_waits_for_us, "a wave that waits")
            terminal.interrupt()
            terminal.wait_for("Stopping after the wave in hand. Ctrl-C again gives it up.")
            terminal.interrupt()
            terminal.wait_for("Stopped after wave 1 of 3; no wave is half applied.")
        assert terminal.end() == 1
        assert "Traceback" not in terminal.shown
    rollout = only_rollout()
    assert (rollout.state, rollout.waves_applied, standing_of(template)) == ("paused", 1, {1: 3, 2: 1})
    with in_terminal(committed_db, "resume_rollout", rollout.pk) as terminal:
        assert terminal.end() == 0
        assert f"Resumed {rollout.pk}.\n" in terminal.shown
        assert "4/4" in terminal.shown
    assert (only_rollout().state, standing_of(template)) == ("done", {2: 4})
    assert_consistent(organisation)


def test_who_pauses_it_elsewhere_ends_the_command_at_once(
    committed_db: str, organisation: Organisation, template: Template
) -> None:
    with in_terminal(
        committed_db, "rollout_revision", template.pk, "--yes", "--waves", "1,100%", "--soak", "1h"
    ) as terminal:
        terminal.wait_for("wave 1 of 2")
        pause_rollout(actor=system(organisation), rollout_id=only_rollout().pk, reason="Lunch.")
        assert terminal.end() == 1
        assert terminal.shown.endswith(f"CommandError: {only_rollout().pk} is paused. Lunch.\n")


def test_nohup_is_heeded(committed_db: str, template: Template) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what a program started from here ignores too
    how = ["--yes", "--waves", "1,100%", "--soak", "2s"]
    try:
        with in_pipes(committed_db, "rollout_revision", template.pk, *how) as process:
            assert line_of(process.stderr) == f"Started {only_rollout().pk}.\n"
            assert line_of(process.stderr) == "wave 1 of 2: 1 of 4\n"
            process.send_signal(signal.SIGHUP)
            assert process.communicate(timeout=60)[1] == "wave 2 of 2: 4 of 4\n"
            assert process.returncode == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert only_rollout().state == "done"


def test_piped_it_writes_plain_lines(committed_db: str, template: Template) -> None:
    code, out, errors = run_piped(committed_db, "rollout_revision", template.pk, "--yes", "--waves", "1,100%")
    rollout = only_rollout()
    assert (code, errors) == (0, f"Started {rollout.pk}.\nwave 1 of 2: 1 of 4\nwave 2 of 2: 4 of 4\n")
    applied = [f"{wave.applied_at:%Y-%m-%dT%H:%M:%SZ}" for wave in rollout.waves.order_by("number")]
    assert out == (
        f"{rollout.pk}  {template.name} to Revision v2\n"
        "  planned\n"
        "  4 waiting\n"
        "  wave 1: 1 wait\n"
        "  wave 2: 3 wait\n"
        "  v1 → v2: 4 integrations\n"
        "    no difference\n"
        f"  plan {rollout.plan_hash[:12]}\n"
        f"{rollout.pk}  {template.name} to Revision v2\n"
        "  done\n"
        "  4 moved\n"
        f"  wave 1: 1 of 1 moved at {applied[0]}\n"
        f"  wave 2: 3 of 3 moved at {applied[1]}\n"
    )


def test_a_reader_who_is_gone_pauses_it(committed_db: str, template: Template) -> None:
    how = ["--yes", "--waves", "1,50%,100%", "--soak", "2s"]
    with in_pipes(committed_db, "rollout_revision", template.pk, *how) as process:
        assert line_of(process.stderr).startswith("Started ")
        assert process.stderr is not None
        process.stderr.close()  # before the line about the second wave at the latest
        process.wait(timeout=60)
    rollout = only_rollout()
    assert rollout.state == "paused"
    assert standing_of(template)[2] == rollout.waves_applied < 3


def test_watching_shows_the_rollout_until_ctrl_c_and_leaves_it_running(committed_db: str, template: Template) -> None:
    rollout = start(template, "1,100%")
    with in_terminal(committed_db, "show_rollout", rollout.pk, "--watch") as terminal:
        terminal.wait_for("wave 2: 3 wait")
        assert "\x1b[" in terminal.raw
        terminal.interrupt()
        assert terminal.end() == 0
        assert "Stopped watching; the rollout goes on." in terminal.shown
        assert "Traceback" not in terminal.shown
    assert only_rollout().state == "running"


def test_watching_through_a_pipe_writes_a_line_for_each_change_until_the_end(
    committed_db: str, organisation: Organisation, template: Template
) -> None:
    rollout = start(template, "1,100%")
    title = f"{rollout.pk}  {template.name} to Revision v2"
    with in_pipes(committed_db, "show_rollout", rollout.pk, "--watch") as process:
        assert line_of(process.stdout) == f"{title}; running; 4 waiting\n"
        abort_rollout(actor=system(organisation), rollout_id=rollout.pk, reason="Enough.")
        assert process.communicate(timeout=60) == (f"{title}; aborted: Enough.; 4 waiting\n", "")
        assert process.returncode == 0


def test_watching_as_json_writes_an_object_for_each_change(committed_db: str, template: Template) -> None:
    rollout = start(template, "1,100%")
    with in_pipes(committed_db, "show_rollout", rollout.pk, "--watch", "--format", "json") as process:
        first = json.loads(line_of(process.stdout))
        assert (first["state"], first["counts"]["waiting"]) == ("running", 4)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "Stopped watching; the rollout goes on.\n")
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_cleanly_when_it_is_told_to(
    committed_db: str, template: Template, number: signal.Signals
) -> None:
    rollout = start(template, "1,100%", soak_seconds=3600)
    with in_pipes(committed_db, "run_rollouts") as process:
        assert line_of(process.stdout) == f"{rollout.pk} running, wave 1 of 2\n"
        process.send_signal(number)
        started = time.monotonic()
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    assert time.monotonic() - started < 10
    assert (only_rollout().state, standing_of(template)) == ("running", {1: 3, 2: 1})


def test_a_worker_asked_once_does_what_is_due_and_stops(committed_db: str, template: Template) -> None:
    rollout = start(template, "1,50%,100%")
    assert run_piped(committed_db, "run_rollouts", "--once") == (
        0,
        "".join(
            f"{rollout.pk} {state}, wave {wave} of 3\n" for state, wave in [("running", 1), ("running", 2), ("done", 3)]
        ),
        "",
    )
    assert standing_of(template) == {2: 4}


def leave(terminal: Terminal, how: str) -> None:
    if how == "Ctrl-C":
        terminal.interrupt()
    elif how == "SIGTERM":
        terminal.process.terminate()
    else:
        terminal.close()


def leave_again(terminal: Terminal) -> None:
    os.kill(terminal.process.pid, signal.SIGHUP)
