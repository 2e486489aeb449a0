"""Take a rollout back: each pin returns to where the rollout took it from, if it still stands where it was put."""

from argparse import ArgumentParser
from typing import Any

from django.db import transaction

from pipelines.management.foreground import ForegroundCommand
from pipelines.management.rollouts import add_rollout
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
        with transaction.atomic():
            revert = revert_rollout(actor=actor, rollout_id=options["rollout"])
            if options["dry_run"]:
                self.show(revert, options)
            transaction.set_rollback(options["dry_run"])
        if options["dry_run"]:
            return
        self.stderr.write(f"Started {revert.pk}.")
        if options["detach"]:
            self.show(revert, options)
        else:
            self.finish(actor, revert, options)
