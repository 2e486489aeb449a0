"""End a rollout for good: what has moved stays, what waits stays where it is."""

from argparse import ArgumentParser
from typing import Any

from pipelines.management.rollouts import RolloutCommand, add_rollout
from pipelines.rollouts.lifecycle import abort_rollout


class Command(RolloutCommand):
    help = "End a rollout that runs or is paused. What has moved stays there; to take it back, use revert_rollout."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_rollout(parser)
        parser.add_argument("--reason", default="", help="Why, for whoever meets it later.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = self.actor(options, self.organisation(options))
        self.show(abort_rollout(actor=actor, rollout_id=options["rollout"], reason=options["reason"]), options)
