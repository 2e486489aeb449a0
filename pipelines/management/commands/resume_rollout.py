"""Let a paused rollout go on, in the name of whoever says so."""

from argparse import ArgumentParser
from typing import Any

from pipelines.management.foreground import ForegroundCommand
from pipelines.management.rollouts import add_rollout
from pipelines.models import Rollout
from pipelines.rollouts.lifecycle import resume_rollout


class Command(ForegroundCommand):
    help = "Let a paused rollout go on. Ctrl-C finishes the wave in hand and pauses it again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_rollout(parser)
        parser.add_argument("--skip-gate", action="store_true", help="Do not ask the gate about the last wave again.")
        parser.add_argument("--skip-blocked", action="store_true", help="Leave out what is blocked, from now on.")
        parser.add_argument("--detach", action="store_true", help="Leave the waves to manage.py run_rollouts.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = self.actor(options, self.organisation(options))

        def resume() -> Rollout:
            rollout = resume_rollout(
                actor=actor,
                rollout_id=options["rollout"],
                skip_gate=options["skip_gate"],
                skip_blocked=options["skip_blocked"],
            )
            self.say(f"Resumed {rollout.pk}.")
            return rollout

        if options["detach"]:
            self.show(resume(), options)
        else:
            self.finish(actor, resume, options)
