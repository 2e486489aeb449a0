"""Take a rollout back: each pin returns to where the rollout took it from, if it still stands where it was put."""

from argparse import ArgumentParser
from typing import Any

from django.db import transaction

from accounts.actors import Actor
from pipelines.management.foreground import ForegroundCommand
from pipelines.management.rollouts import add_rollout
from pipelines.models import Rollout
from pipelines.rollouts.reverts import revert_rollout


class Command(ForegroundCommand):
    help = (
        "Take a rollout back, by a rollout of its own; one that is still active is aborted first. Pins that somebody "
        "moved on since are left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_rollout(parser)
        doing = parser.add_mutually_exclusive_group()
        doing.add_argument("--dry-run", action="store_true", help="Only show what would be; nothing is kept.")
        doing.add_argument("--detach", action="store_true", help="Leave the move itself to manage.py run_rollouts.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = self.actor(options, self.organisation(options))

        def revert() -> Rollout:
            made = revert_rollout(actor=actor, rollout_id=options["rollout"])
            self.say(f"Started {made.pk}.")
            return made

        if options["dry_run"]:
            self._show_what_would_be(actor, options)
        elif options["detach"]:
            self.show(revert(), options)
        else:
            self.finish(actor, revert, options)

    def _show_what_would_be(self, actor: Actor, options: dict[str, Any]) -> None:
        """Written when the transaction is over: whoever reads it may take their time."""
        with transaction.atomic():
            told = self.as_asked(revert_rollout(actor=actor, rollout_id=options["rollout"]), options)
            transaction.set_rollback(True)
        self.stdout.write(told)
