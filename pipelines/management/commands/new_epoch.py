"""Make every processor load everything anew: for after a restored backup."""

from argparse import ArgumentParser
from typing import Any

from accounts.management.operators import OperatorCommand, operator
from accounts.models import Organisation
from pipelines.feed.epochs import begin_epoch


class Command(OperatorCommand):
    help = (
        "After a backup was restored, version numbers come again and mean something else. Run this before processors "
        "read again: each organisation gets a new epoch, and every processor loads everything anew. What runs does not "
        "change. Exit codes: 0 done, 2 usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", help="Name or id; default: all of them.")

    def handle(self, *args: Any, **options: Any) -> None:
        every = options["organisation"] is None
        found = Organisation.objects.order_by("name", "pk") if every else [self.organisation(options)]
        for organisation in found:
            epoch = begin_epoch(actor=operator(organisation))
            self.stdout.write(f"{epoch or 'nothing published yet'}  {organisation.name}")
