"""What each command about rollouts prints, which exit code it has, who it names, and that a refusal changes nothing."""

import io
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import QuerySet

from accounts.models import AuditEntry, Organisation, User
from integrations.models import Template
from pipelines.models import (
    ConfigurationVersion,
    HistoryEntry,
    Pin,
    Pipeline,
    Rollout,
    RolloutTarget,
    RolloutWave,
)
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import pause_rollout
from pipelines.rollouts.plans import plan_rollout
from tests.factories import PinFactory, TemplateFactory, system
from tests.pipelines.rollouts.crowds import build_fleet, standing_of, start
from tests.queries import assert_same_queries, count_queries

TABLES = (Rollout, RolloutWave, RolloutTarget, Pin, Pipeline, HistoryEntry, ConfigurationVersion, AuditEntry)
OPERATOR = "ops@host-1"
WRITES = ("rollout_revision", "pause_rollout", "resume_rollout", "abort_rollout", "revert_rollout")


@pytest.fixture(autouse=True)
def operator() -> Iterator[None]:
    with patch("getpass.getuser", return_value="ops"), patch("socket.gethostname", return_value="host-1"):
        yield


@pytest.fixture
def template(organisation: Organisation) -> Template:
    """Pinned at the first of its two revisions on four pipelines."""
    return build_fleet(organisation, 4)[0]


def run(*arguments: str) -> tuple[str, str]:
    """Standard output and standard error of a command."""
    out, errors = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


def everything() -> list[list[Any]]:
    return [list(QuerySet(table).order_by("pk").values()) for table in TABLES]


def refused(*arguments: str) -> tuple[int, str]:
    """Exit code and message of a command that leaves everything as it was."""
    before = everything()
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert everything() == before
    return caught.value.returncode, str(caught.value)


def facts(out: str) -> dict[str, Any]:
    """The one JSON object that is all of standard output."""
    (line,) = out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def paused(template: Template) -> Rollout:
    """After the first of two waves."""
    rollout = start(template, "1,100%")
    advance(rollout.pk)
    return pause_rollout(actor=system(template.organisation), rollout_id=rollout.pk, reason="Lunch.")


def test_a_rollout_as_json_prints_one_object_at_its_end(template: Template) -> None:
    out, errors = run("rollout_revision", template.name, "--yes", "--waves", "1,100%", "--format", "json")
    rollout, told = Rollout.objects.get(), facts(out)
    assert errors == f"Started {rollout.pk}.\nwave 1 of 2: 1 of 4\nwave 2 of 2: 4 of 4\n"
    assert {name: count for name, count in told["counts"].items() if count} == {"moved": 4}
    assert (told["id"], told["state"], told["integration_name"]) == (rollout.pk, "done", template.name)
    assert [(wave["number"], wave["size"], wave["moved"]) for wave in told["waves"]] == [(1, 1, 1), (2, 3, 3)]
    assert (told["revision_number"], told["plan_hash"], told["reverts"]) == (2, rollout.plan_hash, None)


def test_the_operator_is_named_in_rollout_history_and_audit_log_where_no_actor_is(template: Template) -> None:
    run("rollout_revision", template.pk, "--yes")
    rollout = Rollout.objects.get()
    assert rollout.actor == {"type": "operator", "id": OPERATOR, "label": OPERATOR}
    assert rollout.runs_for == {"type": "operator", "id": OPERATOR, "label": OPERATOR}
    version = ConfigurationVersion.objects.order_by("-number")[0]
    assert (version.actor_type, version.actor_label, version.entries.count()) == ("operator", OPERATOR, 4)
    told = AuditEntry.objects.filter(resource_id=rollout.pk).order_by("pk")
    assert list(told.values_list("action", "actor_type", "actor_label")) == [
        (f"rollout.{what}", "operator", OPERATOR) for what in ("planned", "started", "wave_applied", "done")
    ]


def test_an_editor_may_be_named_as_the_one_who_acts(template: Template, editor_user: User) -> None:
    run("rollout_revision", template.pk, "--yes", "--actor", editor_user.email)
    assert Rollout.objects.get().actor == {"type": "user", "id": editor_user.pk, "label": editor_user.email}
    assert ConfigurationVersion.objects.order_by("-number")[0].actor_label == editor_user.email


def test_a_viewer_may_look_and_do_nothing_else(template: Template, viewer_user: User) -> None:
    rollout = paused(template)
    who = ("--actor", viewer_user.email)
    for command in WRITES:
        subject = [template.pk, "--yes"] if command == "rollout_revision" else [rollout.pk]
        sentence = f"{viewer_user.email} is a viewer, and this takes the role editor."
        assert refused(command, *subject, *who) == (1, sentence), command
    assert run("show_rollout", rollout.pk, *who)[0].startswith(f"{rollout.pk}  {template.name} to Revision v2\n")
    assert rollout.pk in run("list_rollouts", *who)[0]


def test_nobody_is_found_under_an_unknown_address(template: Template) -> None:
    sentence = "Acme has no enabled user who@acme.example."
    assert refused("rollout_revision", template.pk, "--yes", "--actor", "who@acme.example") == (2, sentence)


def test_another_organisations_rollout_is_not_found(template: Template, other_organisation: Organisation) -> None:
    rollout = paused(template)
    elsewhere = ("--organisation", other_organisation.name)
    sentence = "There is no such rollout in this organisation."
    for command in (*WRITES[1:], "show_rollout"):
        code, told = refused(command, rollout.pk, *elsewhere)
        assert (code, told.startswith(sentence)) == (2, True), command
    assert run("list_rollouts", *elsewhere) == ("", "")
    code, told = refused("rollout_revision", template.pk, "--yes", *elsewhere)
    assert (code, told.startswith(f"There is no template '{template.pk}'.")) == (2, True)


def test_with_several_organisations_one_has_to_be_named(template: Template, other_organisation: Organisation) -> None:
    acme = template.organisation
    names = f"Acme ({acme.pk}), Elsewhere ({other_organisation.pk})"
    sentence = f"Say which organisation with --organisation. There are: {names}."
    assert refused("rollout_revision", template.pk, "--yes") == (2, sentence)
    run("rollout_revision", template.pk, "--yes", "--organisation", "Acme")
    assert standing_of(template) == {2: 4}


def test_a_dry_run_shows_the_plan_and_keeps_nothing(template: Template) -> None:
    before = everything()
    text, _ = run("rollout_revision", template.pk, "--dry-run", "--waves", "1,100%")
    told = facts(run("rollout_revision", template.pk, "--dry-run", "--waves", "1,100%", "--format", "json")[0])
    assert everything() == before
    assert text.splitlines()[1:6] == [
        "  planned",
        "  4 waiting",
        "  wave 1: 1 wait",
        "  wave 2: 3 wait",
        "  v1 → v2: 4 integrations",
    ]
    assert (told["state"], told["counts"]["waiting"], len(told["waves"])) == ("planned", 4, 2)


def test_a_detached_rollout_waits_for_a_worker(template: Template) -> None:
    told = facts(run("rollout_revision", template.pk, "--yes", "--detach", "--format", "json")[0])
    assert (told["state"], told["counts"]["waiting"], standing_of(template)) == ("running", 4, {1: 4})


def test_nothing_to_move_is_done_and_keeps_no_plan(template: Template) -> None:
    run("rollout_revision", template.pk, "--yes")
    told = "Nothing moves: every pipeline is there already, or was skipped.\n"
    out, errors = run("rollout_revision", template.pk, "--yes", "--format", "json")
    assert (facts(out)["counts"]["already_there"], errors) == (4, told)
    assert Rollout.objects.count() == 1


def test_blocked_pipelines_refuse_the_start_and_leave_no_plan_behind(organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=2)
    pins = [PinFactory(organisation=organisation, template=template, number=1) for _ in range(2)]
    Pipeline.objects.filter(pk=pins[0].pipeline_id).update(enabled=False)
    with pytest.raises(CommandError) as caught:
        run("rollout_revision", template.pk, "--yes")
    assert caught.value.returncode == 1
    assert str(caught.value).startswith("1 pipeline is blocked. Mend what stands in the way and plan again")
    assert (Rollout.objects.count(), standing_of(template)) == (0, {1: 2})
    run("rollout_revision", template.pk, "--yes", "--skip-blocked")
    assert standing_of(template) == {1: 1, 2: 1}


def test_without_a_terminal_to_ask_on_it_wants_an_answer_first(template: Template) -> None:
    with patch("sys.stdin", io.StringIO("y\n")):
        sentence = "There is no terminal to ask on. Say --yes to start, or --dry-run to look at the plan."
        assert refused("rollout_revision", template.pk) == (2, sentence)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["9"], "has no such revision. Give a number, an id, or latest."),
        (["--waves", "1,50%"], "The last wave must be 100%: write 1,10%,100%, or narrow the selection instead."),
        (["--waves", "a,100%"], "'a' is no wave: write a number of pipelines or a percentage, such as 1,10%,100%."),
        (["--soak", "soon"], "Write a duration as 90s, 10m, 2h or 1d, at most 30 days."),
        (["--label", "production"], "Write a label as key:value, such as env:production, not 'production'."),
        (["--pipeline", "none"], "There is no pipeline with the id or slug 'none' in this organisation."),
        (["--percent", "0"], "percent must be a whole number from 1 to 100."),
        (["--max-failure-ratio", "2"], "max_failure_ratio is a ratio from 0 to 1, such as 0.02."),
    ],
)
def test_what_cannot_be_is_a_matter_of_usage(template: Template, wrong: list[str], told: str) -> None:
    code, sentence = refused("rollout_revision", template.pk, *wrong, "--yes")
    assert (code, told in sentence) == (2, True), sentence


def test_pausing_resuming_aborting_and_reverting_say_how_it_stands(template: Template) -> None:
    rollout = start(template, "1,50%,100%")
    advance(rollout.pk)
    applied = f"{rollout.waves.get(number=1).applied_at:%Y-%m-%dT%H:%M:%SZ}"
    waves = f"  1 moved\n  wave 1: 1 of 1 moved at {applied}\n  wave 2: 1 wait\n  wave 3: 2 wait\n"
    title = f"{rollout.pk}  {template.name} to Revision v2\n"
    out, _ = run("pause_rollout", rollout.pk, "--reason", "Lunch.")
    assert out == f"{title}  paused: Lunch.\n{waves.replace('1 moved', '3 waiting, 1 moved', 1)}"
    assert facts(run("resume_rollout", rollout.pk, "--detach", "--format", "json")[0])["state"] == "running"
    out, _ = run("abort_rollout", rollout.pk)
    assert out == f"{title}  aborted: {OPERATOR} aborted it.\n{waves.replace('1 moved', '3 waiting, 1 moved', 1)}"
    out, errors = run("revert_rollout", rollout.pk, "--format", "json")
    told = facts(out)
    assert (told["reverts"], told["state"], told["counts"]["moved"]) == (rollout.pk, "done", 1)
    assert errors == f"Started {told['id']}.\nwave 1 of 1: 1 of 1\n"
    assert standing_of(template) == {1: 4}


def test_a_revert_can_be_tried_without_keeping_anything(template: Template) -> None:
    rollout = paused(template)
    before = everything()
    told = facts(run("revert_rollout", rollout.pk, "--dry-run", "--format", "json")[0])
    assert (told["reverts"], told["counts"]["waiting"]) == (rollout.pk, 1)
    assert everything() == before


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("pause_rollout", "This rollout is done, and only one that is running can be paused."),
        ("resume_rollout", "This rollout is done, and only one that is paused can be resumed."),
        ("abort_rollout", "This rollout is done, and only one that is running or paused can be aborted."),
    ],
)
def test_what_is_done_cannot_be_changed_any_more(template: Template, command: str, told: str) -> None:
    run("rollout_revision", template.pk, "--yes")
    assert refused(command, Rollout.objects.get().pk) == (1, told)


def test_a_rollout_that_was_never_started_has_nothing_to_take_back(template: Template) -> None:
    plan = plan_rollout(actor=system(template.organisation), template_id=template.pk)
    sentence = "This rollout has moved nothing that could be taken back."
    assert refused("revert_rollout", plan.pk) == (1, sentence)


def test_the_list_shows_the_newest_first_as_lines_with_tabs(template: Template) -> None:
    rollout = paused(template)
    created = f"{rollout.created_at:%Y-%m-%d %H:%M}"
    line = [rollout.pk, "paused", f"{template.name} to Revision v2", "1 of 4", "tests", created]
    assert run("list_rollouts")[0] == "\t".join(line) + "\n"
    assert run("list_rollouts", "--active", "--state", "paused", "--template", template.name)[0] != ""
    assert run("list_rollouts", "--state", "done")[0] == ""


def test_the_list_as_json_takes_as_many_statements_for_many_as_for_one(organisation: Organisation) -> None:
    templates = build_fleet(organisation, 2, templates=5)
    paused(templates[0])
    with count_queries() as few:
        (told,) = facts(run("list_rollouts", "--format", "json")[0])["rollouts"]
    assert (told["moves"], told["moved"], [wave["size"] for wave in told["waves"]]) == (2, 1, [1, 1])
    for template in templates[1:]:
        paused(template)
    with count_queries() as many:
        assert len(facts(run("list_rollouts", "--format", "json")[0])["rollouts"]) == 5
    assert_same_queries(few, many)


def test_targets_are_listed_by_how_they_stand(template: Template) -> None:
    rollout = paused(template)
    first = rollout.targets.select_related("pipeline").get(position=1)
    assert run("show_rollout", rollout.pk, "--targets", "moved")[0] == f"{first.pipeline_id}\t{first.pipeline.name}\n"
    lines = run("show_rollout", rollout.pk, "--targets", "waiting", "--format", "json")[0].splitlines()
    assert len(lines) == 3
    assert {json.loads(line)["pipeline_id"] for line in lines} == set(
        rollout.targets.filter(position__gt=1).values_list("pipeline_id", flat=True)
    )
