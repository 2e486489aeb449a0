"""Show live what event processors are to run, as one of them sees it."""

import json
import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.client import Change, Client, Integration, PipelineConfig, Rejection

Changes: TypeAlias = "SimpleQueue[Change]"

TOKEN = "PINION_PROCESSOR_TOKEN"  # noqa: S105  # the name of the variable that holds it
BLINK = 0.25  # seconds between two looks
PATIENCE = 2.0  # seconds of trouble after which --once gives up
ELSEWHERE = 3  # lines of the terminal that are no pipelines


class Command(BaseCommand):
    help = (
        "Show live what event processors are to run, with no config and no secret. The token of a processor comes in "
        f"the environment variable {TOKEN}, or on standard input with --token-stdin. Ctrl-C ends it. "
        "Exit codes: 0 done, 1 refused or not to be had, 2 usage."
    )
    requires_system_checks = []  # what it looks at is another process, and it needs no database of its own

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=f"http://localhost:{settings.PORT}", help="Default: %(default)s.")
        parser.add_argument("--token-stdin", action="store_true", help="Read the token from standard input.")
        parser.add_argument("--pipeline", metavar="ID", help="Only this one, by its id or its key.")
        parser.add_argument("--once", action="store_true", help="Show what is there now, and end.")
        parser.add_argument(
            "--format",
            choices=["text", "json"],
            default="text",
            help="text: a table on a terminal, else a line for each change; json: an object for each change.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        changes: Changes = SimpleQueue()
        try:
            client = Client(
                options["url"], self._token(options), store=None, instance=None, poll_seconds=2, on_change=changes.put
            )
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from None
        try:
            with suppress(KeyboardInterrupt), _untold(), client:
                self._wait(client, options)
                self._watch(client, changes, options)
        except BrokenPipeError:  # nobody reads on, as behind `| head`; nor is there anybody for what Python says then
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _token(self, options: dict[str, Any]) -> str:
        token = sys.stdin.readline().strip() if options["token_stdin"] else os.environ.get(TOKEN, "")
        if not token:
            message = (
                f"There is no token. Set {TOKEN}, or send one with --token-stdin. manage.py issue_token makes one."
            )
            raise CommandError(message, returncode=2)
        return token

    def _wait(self, client: Client, options: dict[str, Any]) -> None:
        """Until there is something to show. Raises CommandError where there will be nothing."""
        waited, told = 0.0, ""
        while not client.wait_until_ready(BLINK):
            waited += BLINK
            told = self._tell(client, told)
            if options["once"] and told and waited >= PATIENCE:
                raise CommandError(told)
        name = options["pipeline"]
        if name and client.config(name) is None:
            raise CommandError(f"There is no pipeline {name!a} that this token may read.")

    def _tell(self, client: Client, told: str) -> str:
        """What is in the way, once on standard error. Raises CommandError where the token is refused."""
        status = client.status
        if status.refused:
            raise CommandError(status.trouble)
        if status.trouble not in ("", told):
            self.stderr.write(f"{status.trouble} Trying again.")
        return status.trouble

    def _watch(self, client: Client, changes: Changes, options: dict[str, Any]) -> None:
        only = _id_of(client, options["pipeline"])
        chosen = (change for change in _each(changes, once=options["once"]) if _is_about(change, only))
        if options["format"] == "text" and self.stdout.isatty() and not options["once"]:
            self._show(client, chosen)
        else:
            self._print(client, chosen, _as_json if options["format"] == "json" else _as_line)

    def _print(self, client: Client, changes: Iterator[Change | None], render: Callable[[Change], str]) -> None:
        told = ""
        for change in changes:
            told = self._tell(client, told)
            if change is not None:
                self.stdout.write(render(change))
                self.stdout.flush()

    def _show(self, client: Client, changes: Iterator[Change | None]) -> None:
        """A table that is drawn again and again, with the newest change on top."""
        console = Console(file=sys.stdout)
        newest: dict[str, datetime] = {}
        with Live(console=console, auto_refresh=False, screen=True) as live:
            for change in changes:
                if change is not None:
                    newest.pop(change.pipeline_id, None)
                    newest[change.pipeline_id] = datetime.now(UTC)
                elif client.status.refused:
                    raise CommandError(client.status.trouble)
                else:  # all that waited is taken
                    live.update(_table(client, newest, console.height - ELSEWHERE), refresh=True)


@contextmanager
def _untold() -> Generator[None]:
    """Leave to the command what the client would log."""
    logger = logging.getLogger("pipelines.client")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _each(changes: Changes, *, once: bool) -> Iterator[Change | None]:
    """The changes as they come, None when none came for a moment; only those that are there, if once is enough."""
    while True:
        try:
            yield changes.get(block=not once, timeout=BLINK)
        except Empty:
            if once:
                return
            yield None


def _is_about(change: Change | None, only: str | None) -> bool:
    return change is None or only in (None, change.pipeline_id)


def _id_of(client: Client, name: str | None) -> str | None:
    config = client.config(name) if name else None
    return config.pipeline_id if config else None


def _state(config: PipelineConfig | None) -> str:
    if config is None:
        return "removed"
    if config.held:
        return "held"
    return "enabled" if config.enabled else "disabled"


def _integrations(config: PipelineConfig | None) -> list[dict[str, Any]]:
    """What runs of a pipeline and what does not, without any config."""
    named = ("id", "integration_id", "vendor", "revision_id", "revision_number", "config_hash")
    shown = []
    for entry in (*config.integrations, *config.rejected) if config else ():
        kept = isinstance(entry, Integration) and entry.kept
        state, reason = ("rejected", entry.reason) if isinstance(entry, Rejection) else ("kept" if kept else "ok", kept)
        shown.append({**{name: getattr(entry, name) for name in named}, "state": state, "reason": reason or None})
    return shown


def _words(config: PipelineConfig | None) -> list[str]:
    """Each integration in one word, such as `ga4@2`, with what is amiss behind it."""
    return [
        f"{entry['vendor']}@{entry['revision_number']}" + ("" if entry["state"] == "ok" else f":{entry['state']}")
        for entry in _integrations(config)
    ]


def _as_line(change: Change) -> str:
    """Separated by tabs: time, pipeline, version, state, and a column for each integration."""
    version = str(change.after.version) if change.after else "-"
    return "\t".join([_now(), change.pipeline_id, version, _state(change.after), *_words(change.after)])


def _as_json(change: Change) -> str:
    config = change.after or change.before
    shown = {
        "time": _now(),
        "pipeline_id": change.pipeline_id,
        "pipeline_key": config and config.pipeline_key,
        "version": change.after and change.after.version,
        "state": _state(change.after),
        "integrations": _integrations(change.after),
    }
    return json.dumps(shown)


def _now() -> str:
    return _clock(datetime.now(UTC))


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _table(client: Client, newest: dict[str, datetime], rows: int) -> Table:
    status = client.status
    trouble = f" · {status.trouble}" if status.trouble else ""
    table = Table(title=Text(f"Version {status.version} · {status.pipelines} pipelines{trouble}"), expand=True)
    for heading in ("Changed", "Pipeline", "Version", "State", "Integrations"):
        table.add_column(heading)
    for pipeline_id in list(reversed(newest))[: max(1, rows)]:
        config = client.config(pipeline_id)
        cells = [_clock(newest[pipeline_id]), pipeline_id, str(config.version if config else "-"), _state(config)]
        table.add_row(*map(Text, [*cells, "  ".join(_words(config))]))
    return table
