"""Django's command of this name, for many who start at once and for tables that are in use."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from config.migrating import migrate_alone


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"] or options["check_unapplied"]:  # which only look
            super().handle(*args, **options)
            return

        def tell(sentence: str) -> None:
            if options["verbosity"]:
                self.stderr.write(sentence)

        database = connections[options["database"]]
        migrate_alone(database, lambda: migrate.Command.handle(self, *args, **options), tell)
