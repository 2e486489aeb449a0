"""Pause a rollout: no further wave is applied until somebody resumes it."""

from argparse import ArgumentParser
from typing import Any

from pipelines.management.rollouts import RolloutCommand, add_rollout
from pipelines.rollouts.lifecycle import pause_rollout


class Command(RolloutCommand):
    help = "Pause a rollout that runs. A wave that is being applied is finished first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_rollout(parser)
        parser.add_argument("--reason", default="", help="Why, for whoever meets it later.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = self.actor(options, self.organisation(options))
        self.show(pause_rollout(actor=actor, rollout_id=options["rollout"], reason=options["reason"]), options)
