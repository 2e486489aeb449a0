"""Move many pipelines to a revision: plan, show, ask, apply."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Q

from accounts.actors import Actor
from accounts.errors import Invalid, Refused
from integrations.models import Template
from pipelines.management.foreground import ForegroundCommand, heeding
from pipelines.management.rollouts import (
    USAGE,
    as_json_line,
    blocked_as_text,
    headline,
    paths_as_text,
    waves_as_text,
)
from pipelines.models import OnFailure, OnInconclusive, Outcome, Pipeline, Rollout
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.lifecycle import discard_plan, start_rollout
from pipelines.rollouts.plans import LATEST, Schedule, plan_counts, plan_rollout
from pipelines.rollouts.selection import Selection
from pipelines.rollouts.waves import ALL_AT_ONCE, parse_duration, parse_waves


class Command(ForegroundCommand):
    help = (
        "Move the integrations of a template to a revision on many pipelines, in waves. The plan is shown first, and "
        "what is applied is exactly what was shown. Ctrl-C finishes the wave in hand and pauses the rollout."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("template", help="The template's id or name.")
        parser.add_argument("revision", nargs="?", default=LATEST, help="Number, id or latest, which is the default.")
        who = parser.add_argument_group("which pipelines (default: all that have the template)")
        who.add_argument("--pipeline", action="append", default=[], metavar="ID", help="Id or slug; repeatable.")
        who.add_argument(
            "--label", action="append", default=[], metavar="KEY:VALUE", help="Repeatable; all must match."
        )
        who.add_argument("--from", dest="origin", metavar="REV", help="Only those at this revision: number or id.")
        who.add_argument(
            "--percent", type=int, metavar="N", help="Only so many percent of them, always the same first."
        )
        who.add_argument("--exclude", action="append", default=[], metavar="ID", help="Not this pipeline; repeatable.")
        who.add_argument("--include-disabled", action="store_true", help="Also what is disabled.")
        how = parser.add_argument_group("how")
        how.add_argument(
            "--waves", default=ALL_AT_ONCE, metavar="LIST", help="Such as 1,10%%,100%%; default: all at once."
        )
        how.add_argument("--soak", default="0", metavar="TIME", help="Between waves, such as 10m; default: none.")
        how.add_argument("--skip-blocked", action="store_true", help="Start although some pipelines are blocked.")
        gate = parser.add_argument_group("gate after each wave, by what processors report (default: none)")
        gate.add_argument("--max-failure-ratio", type=float, metavar="RATIO", help="At most this share may fail: 0.02.")
        gate.add_argument("--max-increase", type=float, metavar="RATIO", help="At most so much more than before: 0.01.")
        gate.add_argument("--min-events", type=int, metavar="N", help="Fewer events say nothing; default: 1.")
        gate.add_argument("--patience", metavar="TIME", help="How long to wait for them; default: 30m.")
        gate.add_argument("--on-failure", choices=OnFailure.values, help="Default: pause.")
        gate.add_argument("--on-inconclusive", choices=OnInconclusive.values, help="Default: pause.")
        doing = parser.add_mutually_exclusive_group()
        doing.add_argument("--dry-run", action="store_true", help="Only show the plan; nothing is kept.")
        doing.add_argument(
            "--detach", action="store_true", help="Start it, and leave the waves to manage.py run_rollouts."
        )
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = self.actor(options, self.organisation(options))
        if not options["dry_run"]:
            self._require_answer(options)
        with transaction.atomic():
            rollout = self._plan(actor, options)
            as_text, as_json = _plan_as_text(rollout), as_json_line(rollout)
            transaction.set_rollback(options["dry_run"])
        ends_here = options["dry_run"] or not rollout.wave_count
        self._show_plan(as_text, as_json if ends_here else "", options)
        if options["dry_run"] or self._nothing_moves(actor, rollout):
            return
        if not options["yes"]:
            self._ask(actor, rollout)
        if options["detach"]:
            self.show(self._start(actor, rollout, options), options)
        else:
            self.finish(actor, lambda: self._start(actor, rollout, options), options)

    def _plan(self, actor: Actor, options: dict[str, Any]) -> Rollout:
        return plan_rollout(
            actor=actor,
            template_id=_template_id(actor, options["template"]),
            revision=options["revision"],
            selection=Selection(
                pipelines=_pipeline_ids(actor, options["pipeline"], "--pipeline"),
                labels=tuple(map(_label, options["label"])),
                from_revision=options["origin"],
                percent=options["percent"],
                exclude=_pipeline_ids(actor, options["exclude"], "--exclude"),
                include_disabled=options["include_disabled"],
            ),
            schedule=Schedule(
                waves=parse_waves(options["waves"], "--waves"),
                soak_seconds=parse_duration(options["soak"], "--soak"),
                gate=_gate(options),
                on_failure=OnFailure(options["on_failure"] or OnFailure.PAUSE),
                on_inconclusive=OnInconclusive(options["on_inconclusive"] or OnInconclusive.PAUSE),
            ),
        )

    def _show_plan(self, as_text: str, as_json: str, options: dict[str, Any]) -> None:
        """Before the question, wherever standard output goes; that is for one JSON object alone, where one is asked for."""
        if options["format"] == "text":
            self.stdout.write(as_text)
            self.stdout.flush()
        elif as_json:
            self.stdout.write(as_json)
        elif not options["yes"]:
            self.say(as_text)

    def _start(self, actor: Actor, plan: Rollout, options: dict[str, Any]) -> Rollout:
        """A plan that cannot be started is not kept: no command could do anything with it."""
        blocked = options["skip_blocked"]
        try:
            rollout = start_rollout(actor=actor, rollout_id=plan.pk, plan_hash=plan.plan_hash, skip_blocked=blocked)
        except Refused:
            with suppress(Refused):  # what somebody else has started meanwhile is theirs
                discard_plan(actor=actor, rollout_id=plan.pk)
            raise
        self.say(f"Started {rollout.pk}.")
        return rollout

    def _nothing_moves(self, actor: Actor, rollout: Rollout) -> bool:
        """A plan that moves nothing is done already, unless something is blocked. Raises CommandError for that."""
        if rollout.wave_count:
            return False
        blocked = plan_counts(rollout).get(Outcome.BLOCKED, 0)
        discard_plan(actor=actor, rollout_id=rollout.pk)
        if blocked:
            raise CommandError(f"Nothing moves: {blocked:,} blocked. Mend what stands in the way and run this again.")
        self.say("Nothing moves: every pipeline is there already, or was skipped.")
        return True

    def _require_answer(self, options: dict[str, Any]) -> None:
        if not (options["yes"] or sys.stdin.isatty()):
            message = "There is no terminal to ask on. Say --yes to start, or --dry-run to look at the plan."
            raise CommandError(message, returncode=USAGE)

    def _ask(self, actor: Actor, rollout: Rollout) -> None:
        """Raises CommandError where the answer is no, or a signal instead of one; then no other keeps the plan."""
        is_asking = True

        def leave(*_: object) -> None:
            """The first one only: a terminal that is gone may say so twice."""
            nonlocal is_asking
            if is_asking:
                is_asking = False
                raise KeyboardInterrupt

        with heeding(leave):
            try:
                agreed = self._agreed()
                is_asking = False
            except KeyboardInterrupt:  # told after the terminal had failed already
                agreed = False
            if not agreed:
                discard_plan(actor=actor, rollout_id=rollout.pk)
                raise CommandError("Nothing has been started.")

    def _agreed(self) -> bool:
        """Whoever leaves instead of answering has said no."""
        try:
            self.say("Start it? [y/N] ", ending="")
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        except (KeyboardInterrupt, OSError):  # the latter where the terminal is gone, so that nobody reads this either
            with suppress(OSError):
                self.say("")
            return False


def _plan_as_text(rollout: Rollout) -> str:
    lines = [*headline(rollout), *waves_as_text(rollout), *paths_as_text(rollout), *blocked_as_text(rollout)]
    return "\n".join([*lines, f"  plan {rollout.plan_hash[:12]}"])


def _template_id(actor: Actor, text: str) -> str:
    templates = Template.objects.in_organisation(actor.organisation_id)
    found = templates.filter(Q(pk=text) | Q(name=text)).first()
    if found is None:
        names = ", ".join(f"{row.name} ({row.pk})" for row in templates.order_by("name")[:10]) or "none yet"
        raise Invalid.because(
            "template", "unknown_template", f"There is no template {text[:80]!a}. There are: {names}."
        )
    return str(found.pk)


def _pipeline_ids(actor: Actor, named: Sequence[str], option: str) -> tuple[str, ...]:
    pipelines = Pipeline.objects.in_organisation(actor.organisation_id)
    found = pipelines.filter(Q(pk__in=named) | Q(slug__in=named)).values_list("pk", "slug")
    ids = {name: pk for pk, slug in found for name in (pk, slug)}
    for name in named:
        if name not in ids:
            message = f"There is no pipeline with the id or slug {name[:80]!a} in this organisation."
            raise Invalid.because(option, "unknown_pipeline", message)
    return tuple(dict.fromkeys(ids[name] for name in named))


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not (key and colon):
        raise Invalid.because(
            "--label", "invalid", f"Write a label as key:value, such as env:production, not {text[:80]!a}."
        )
    return key, value


def _gate(options: dict[str, Any]) -> Gate | None:
    """None where nothing is asked of it. Raises Invalid for options that would mean nothing without a limit."""
    limits = {name: options[name] for name in ("max_failure_ratio", "max_increase") if options[name] is not None}
    others = [name for name in ("min_events", "patience", "on_failure", "on_inconclusive") if options[name] is not None]
    if not limits:
        if others:
            message = "Give --max-failure-ratio, --max-increase or both: without them there is no gate."
            raise Invalid.because(f"--{others[0].replace('_', '-')}", "no_gate", message)
        return None
    return Gate(
        **limits,
        min_events=1 if options["min_events"] is None else options["min_events"],
        patience_seconds=parse_duration(options["patience"] or "30m", "--patience"),
    )
