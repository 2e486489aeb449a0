"""What the commands about rollouts share: how a refusal ends them, and how a rollout looks in a terminal or as JSON."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import IO, Any, cast

from django.core.management.base import CommandError, OutputWrapper
from django.db import InterfaceError, OperationalError
from django.db.models import Prefetch
from rich.console import Console
from rich.table import Table

from accounts.actors import Actor
from accounts.errors import Invalid, Malformed, NotFound, Refused
from accounts.management.operators import OperatorCommand
from integrations.changes import Change
from pipelines.models import Outcome, Rollout, RolloutWave
from pipelines.rollouts.lifecycle import MISSING
from pipelines.rollouts.progress import Path, count_targets, paths_of, targets_of

USAGE, PLAN_CHANGED = 2, 3
EXIT_CODES = "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 changed since the plan."
WITH_WAVES = Prefetch("waves", RolloutWave.objects.select_related("version").order_by("number"))
NAMED = 20  # how many pipelines are named before it is said that there are more


class RolloutCommand(OperatorCommand):
    """A command about rollouts."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, epilog=EXIT_CODES, **kwargs)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database failed: {in_short(error)}.") from None

    def exit_code(self, refusal: Refused) -> int:
        if refusal.code == "PLAN_CHANGED":
            return PLAN_CHANGED
        return USAGE if isinstance(refusal, Invalid | Malformed | NotFound) else super().exit_code(refusal)

    def show(self, rollout: Rollout, options: Mapping[str, Any]) -> None:
        self.stdout.write(self.as_asked(rollout, options))

    def as_asked(self, rollout: Rollout, options: Mapping[str, Any]) -> str:
        """One JSON object on one line, or text."""
        if options["format"] == "json":
            return as_json_line(rollout)
        return "\n".join([*headline(rollout), *waves_as_text(rollout)])

    def say(self, text: str, ending: str = "\n") -> None:
        """On standard error, which is for people, and not in the red of an error."""
        self.stderr.write(text, style_func=str, ending=ending)
        self.stderr.flush()

    def print_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table on a terminal; elsewhere a line for each row, with tabs between."""
        if not self.stdout.isatty():
            for row in rows:
                self.stdout.write("\t".join(row))
            return
        table = Table(*columns)
        for row in rows:
            table.add_row(*row)
        console_on(self.stdout).print(table)


def add_rollout(parser: ArgumentParser) -> None:
    parser.add_argument("rollout", metavar="ID", help="The rollout, such as ro_7zk3m9q0x4w8r2ta.")


def find_rollout(actor: Actor, rollout_id: str) -> Rollout:
    """Raises NotFound."""
    found = Rollout.objects.in_organisation(actor.organisation_id).with_names().filter(pk=rollout_id).first()
    if found is None:
        raise NotFound(f"{MISSING} See manage.py list_rollouts.")
    return found


def console_on(stream: OutputWrapper) -> Console:
    """For what rich draws on a terminal."""
    return Console(file=cast("IO[str]", stream._out))  # noqa: SLF001  # Django's wrapper ends each write with a new line


def in_short(error: Exception) -> str:
    """The first line of what a database says, without a full stop."""
    return str(error).strip().partition("\n")[0].removesuffix(".") or type(error).__name__


def headline(rollout: Rollout) -> list[str]:
    """What it is, how it stands, and how many pipelines stand how."""
    counts = {name: count for name, count in count_targets(rollout).items() if count}
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()) or "no pipelines"
    reason = f": {rollout.reason}" if rollout.reason else ""
    return [f"{rollout.pk}  {rollout}", f"  {rollout.state}{reason}", f"  {told}"]


def waves_as_text(rollout: Rollout) -> list[str]:
    return [f"  {_wave_line(wave)}" for wave in rollout.waves.order_by("number")]


def paths_as_text(rollout: Rollout) -> list[str]:
    """What changes in the configs of those that move, secrets masked."""
    return [line for path in paths_of(rollout) for line in _path_lines(path)]


def blocked_as_text(rollout: Rollout) -> list[str]:
    """The pipelines that cannot move, with every reason."""
    kind = Outcome.REVERT_BLOCKED if rollout.reverts_id else Outcome.BLOCKED
    blocked = targets_of(rollout, kind)
    lines = [
        f"  blocked: {target.pipeline.name} ({target.pipeline_id}): {' '.join(reason['message'] for reason in target.reasons)}"
        for target in blocked[:NAMED]
    ]
    more = blocked.count() - NAMED if len(lines) == NAMED else 0
    return [*lines, f"  … and {more:,} more"] if more > 0 else lines


def as_json_line(rollout: Rollout) -> str:
    return json.dumps(facts_of(rollout))


def facts_of(rollout: Rollout) -> dict[str, Any]:
    """A rollout under the names that the API has for it."""
    waves = rollout.waves.select_related("version").order_by("number")
    return {**_facts(rollout, waves), "counts": count_targets(rollout)}


def facts_in_list(rollout: Rollout) -> dict[str, Any]:
    """The same of one of many, read `WITH_WAVES`: what moves and has moved is told by its waves, and no target is asked."""
    waves = rollout.waves.all()
    moves = {"moves": sum(wave.size for wave in waves), "moved": sum(wave.moved or 0 for wave in waves)}
    return {**_facts(rollout, waves), **moves}


def _facts(rollout: Rollout, waves: Iterable[RolloutWave]) -> dict[str, Any]:
    revision = rollout.revision
    return {
        "id": rollout.pk,
        "integration_id": rollout.template_id,
        "integration_name": rollout.template.name,
        "revision_id": rollout.revision_id,
        "revision_number": revision.number if revision else None,
        "reverts": rollout.reverts_id,
        "state": str(rollout.state),
        "reason": rollout.reason,
        "plan_hash": rollout.plan_hash,
        "waves": [_wave_facts(wave) for wave in waves],
        "created_by": rollout.actor,
        "runs_for": rollout.runs_for,
        "created_at": _moment(rollout.created_at),
        "started_at": _moment(rollout.started_at),
        "finished_at": _moment(rollout.finished_at),
    }


def _wave_facts(wave: RolloutWave) -> dict[str, Any]:
    return {
        "number": wave.number,
        "size": wave.size,
        "moved": wave.moved,
        "applied_at": _moment(wave.applied_at),
        "version": wave.version.number if wave.version else None,
        "verdict": str(wave.verdict) or None,
        "verdict_reason": wave.verdict_reason,
    }


def _wave_line(wave: RolloutWave) -> str:
    if wave.applied_at is None:
        return f"wave {wave.number}: {wave.size:,} wait"
    verdict = f"; gate: {wave.verdict}: {wave.verdict_reason}" if wave.verdict else ""
    return f"wave {wave.number}: {wave.moved:,} of {wave.size:,} moved at {_moment(wave.applied_at)}{verdict}"


def _path_lines(path: Path) -> list[str]:
    pins = "1 integration" if path.pins == 1 else f"{path.pins:,} integrations"
    needed = [f"    needs the parameter {key} now" for key in path.difference.newly_needed]
    changes = [f"    {_change_line(change)}" for change in path.difference.changes]
    return [f"  v{path.before.number} → v{path.after.number}: {pins}", *(changes or ["    no difference"]), *needed]


def _change_line(change: Change) -> str:
    before, after = json.dumps(change.before), json.dumps(change.after)
    told = {"added": f"+ {change.pointer} {after}", "removed": f"- {change.pointer} {before}"}
    return told.get(change.op, f"~ {change.pointer} {before} → {after}")


def _moment(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
