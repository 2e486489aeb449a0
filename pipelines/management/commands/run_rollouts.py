"""The worker of rollouts: applies waves, asks gates, ends what is done."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from pipelines.keys import refuse_to_start_without
from pipelines.management.rollouts import as_json_line
from pipelines.models import Rollout
from pipelines.rollouts.worker import Stop, work, work_through


class Command(BaseCommand):
    help = (
        "Take every step of every rollout when it is due: apply waves, ask gates, end what is done. Run any number of "
        "these, on any machines; they may be killed at any time. On SIGTERM or Ctrl-C the step in hand is finished first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Do what is due now, then stop.")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="json: a rollout on each line.")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_to_start_without()
        stop = Stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())

        def tell(rollout: Rollout) -> None:
            how_far = f"{rollout.pk} {rollout.state}, wave {rollout.waves_applied} of {rollout.wave_count}"
            self.stdout.write(
                as_json_line(rollout) if options["format"] == "json" else f"{how_far} {rollout.reason}".rstrip()
            )
            self.stdout.flush()

        if options["once"]:
            work_through(stop, told=tell)
        else:
            work(stop, told=tell)
