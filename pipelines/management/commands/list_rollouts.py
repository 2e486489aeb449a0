"""Rollouts of an organisation, newest first."""

import json
from argparse import ArgumentParser
from typing import Any

from django.db.models import Q

from accounts.roles import Role
from pipelines.management.rollouts import WITH_WAVES, RolloutCommand, facts_in_list
from pipelines.models import Rollout, RolloutState

SHOWN = 50
COLUMNS = ("id", "state", "rollout", "moved", "planned by", "created")


class Command(RolloutCommand):
    help = "List rollouts, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--state", choices=RolloutState.values, action="append", default=[], help="Repeatable.")
        parser.add_argument("--active", action="store_true", help="Those that run or are paused.")
        parser.add_argument("--template", help="The template's id or name.")
        parser.add_argument("--limit", type=int, default=SHOWN, help=f"How many at most; default: {SHOWN}.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = self.actor(options, self.organisation(options), Role.VIEWER)
        rollouts = Rollout.objects.in_organisation(actor.organisation_id).with_names()
        if options["active"]:
            rollouts = rollouts.active()
        if options["state"]:
            rollouts = rollouts.filter(state__in=options["state"])
        if options["template"]:
            rollouts = rollouts.filter(Q(template=options["template"]) | Q(template__name=options["template"]))
        shown = list(rollouts.prefetch_related(WITH_WAVES).order_by("-created_at", "-pk")[: max(1, options["limit"])])
        if options["format"] == "json":
            self.stdout.write(json.dumps({"rollouts": [facts_in_list(rollout) for rollout in shown]}))
        else:
            self.print_table(COLUMNS, map(_row, shown))


def _row(rollout: Rollout) -> tuple[str, ...]:
    waves = rollout.waves.all()
    moved = f"{sum(wave.moved or 0 for wave in waves):,} of {sum(wave.size for wave in waves):,}"
    created = f"{rollout.created_at:%Y-%m-%d %H:%M}"
    return rollout.pk, str(rollout.state), str(rollout), moved, rollout.actor_label, created
