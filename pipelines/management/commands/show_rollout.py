"""One rollout: its waves, its counts and its targets; live with --watch."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from rich.live import Live
from rich.text import Text

from accounts.roles import Role
from pipelines.management.rollouts import (
    RolloutCommand,
    add_rollout,
    as_json_line,
    blocked_as_text,
    console_on,
    find_rollout,
    headline,
    paths_as_text,
    waves_as_text,
)
from pipelines.models import Rollout
from pipelines.rollouts.progress import STANDINGS, targets_of

EVERY_SECONDS = 1.0


class Command(RolloutCommand):
    help = "Show a rollout: its waves, counts, config differences and what is blocked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_rollout(parser)
        parser.add_argument("--watch", action="store_true", help="Until it ends or is paused; stop with Ctrl-C.")
        parser.add_argument(
            "--targets", choices=STANDINGS, metavar="STANDING", help=f"List those: {', '.join(STANDINGS)}."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        actor = self.actor(options, self.organisation(options), Role.VIEWER)

        def read() -> Rollout:
            return find_rollout(actor, options["rollout"])

        if options["targets"]:
            self._list_targets(read(), options)
        elif options["watch"]:
            self._watch(read, options)
        elif options["format"] == "json":
            self.stdout.write(as_json_line(read()))
        else:
            self.stdout.write("\n".join([*_shown(read()), *paths_as_text(read()), *blocked_as_text(read())]))

    def _list_targets(self, rollout: Rollout, options: dict[str, Any]) -> None:
        """A line for each, however many: neither the database nor this reads them all at once."""
        for target in targets_of(rollout, options["targets"]).iterator(chunk_size=1000):
            name, reasons = target.pipeline.name, target.reasons
            if options["format"] == "json":
                facts = {"pipeline_id": target.pipeline_id, "pipeline_name": name, "pin_id": target.pin_id}
                self.stdout.write(json.dumps({**facts, "reasons": reasons}))
            else:
                self.stdout.write("\t".join([target.pipeline_id, name, *(reason["message"] for reason in reasons)]))

    def _watch(self, read: Callable[[], Rollout], options: dict[str, Any]) -> None:
        try:
            if self.stdout.isatty() and options["format"] == "text":
                self._watch_live(read)
            else:
                self._watch_lines(read, options)
        except KeyboardInterrupt:
            self.say("Stopped watching; the rollout goes on.")

    def _watch_live(self, read: Callable[[], Rollout]) -> None:
        with Live(console=console_on(self.stdout), auto_refresh=False) as live:
            while True:
                rollout = read()
                live.update(Text("\n".join(_shown(rollout))), refresh=True)
                if rollout.state != "running":
                    return
                time.sleep(EVERY_SECONDS)

    def _watch_lines(self, read: Callable[[], Rollout], options: dict[str, Any]) -> None:
        """A line whenever something has changed."""
        before = ""
        while True:
            rollout = read()
            line = (
                as_json_line(rollout)
                if options["format"] == "json"
                else "; ".join(part.strip() for part in headline(rollout))
            )
            if line != before:
                self.stdout.write(line)
                self.stdout.flush()
                before = line
            if rollout.state != "running":
                return
            time.sleep(EVERY_SECONDS)


def _shown(rollout: Rollout) -> list[str]:
    return [*headline(rollout), *waves_as_text(rollout)]
