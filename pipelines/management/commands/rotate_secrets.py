"""Seal every secret anew with the first key of PINION_SECRET_KEYS."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from integrations.secrets import Unreadable, current_key_id
from pipelines.rotation import SHELVES, Shelf, rotate, waiting


class Command(BaseCommand):
    help = (
        "Seal every secret anew with the first key of PINION_SECRET_KEYS, while everything runs. Before it, restart "
        "every process with the new key in front of the old one; after it, the old one may go. "
        "Stopped at any moment, it goes on from there when it is run again. Exit codes: 0 done, 1 failed, 2 usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", type=int, default=500, help="Rows in one transaction; default 500.")
        parser.add_argument("--dry-run", action="store_true", help="Only count what an older key sealed.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch must be at least 1.", returncode=2)
        for shelf in SHELVES:
            total = waiting(shelf).count()
            done = 0 if options["dry_run"] else self._rotate(shelf, total, options["batch"])
            self.stdout.write(f"{shelf.name}: {total} under an older key, {done} sealed with {current_key_id()}")

    def _rotate(self, shelf: Shelf, total: int, batch: int) -> int:
        done = 0
        try:
            with Progress(console=Console(stderr=True), disable=not self.stderr.isatty()) as progress:
                bar = progress.add_task(shelf.name, total=total)
                for count in rotate(shelf, batch):
                    done += count
                    progress.advance(bar, count)
        except Unreadable as error:
            raise CommandError(f"{error} {done} of {total} {shelf.name} were sealed anew before.") from None
        return done
