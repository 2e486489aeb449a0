"""From nothing to a running Pinion: migrate, load the demo organisation if there is none, say how to go on, serve."""

import json
import socket
from argparse import ArgumentParser
from threading import Event, Thread
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Organisation
from pipelines.demo import demo_logins, load_demo
from pipelines.rollouts.worker import work

HOST = "127.0.0.1"


class Command(BaseCommand):
    help = "Migrate, load the demo organisation if there is none, print how to go on, and serve."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="Prepare everything, but do not serve.")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "quickstart loads demo logins, whose passwords are public, and DEBUG is off here. "
                "Run manage.py migrate and manage.py create_user instead."
            )
        if not options["no_serve"]:
            self._require_free_port()
        self._say("Bringing the database up to date …")
        call_command("migrate", verbosity=0)
        facts = self._facts()
        self.stdout.write(json.dumps(facts) if options["format"] == "json" else _welcome(facts))
        self.stdout.flush()
        if not options["no_serve"]:
            _serve()

    def _facts(self) -> dict[str, Any]:
        organisation = Organisation.objects.order_by("created_at").first()
        if organisation is None:
            self._say("Loading the demo organisation …")
            organisation = load_demo()
        else:
            self._say("Keeping the data that is here.")
        url = f"http://localhost:{settings.PORT}"
        return {
            "url": url,
            "console_url": f"{url}/admin/",
            "docs_url": f"{url}/v1/docs",
            "organisation": organisation.name,
            "logins": demo_logins(),
        }

    def _say(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()

    def _require_free_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, settings.PORT))
            except OSError:
                message = f"Port {settings.PORT} is in use. Stop what uses it, or choose another: PORT=8085 make run"
                raise CommandError(message) from None


def _serve() -> None:
    """The server, and beside it the worker of rollouts, which on a real server is a process of its own."""
    stop = Event()
    worker = Thread(target=work, args=[stop], name="rollouts")
    worker.start()
    try:
        uvicorn.run(
            "config.asgi:application",
            host=HOST,
            port=settings.PORT,
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
    finally:
        stop.set()
        worker.join()


def _welcome(facts: dict[str, Any]) -> str:
    logins = [f"  {role:<7} {entry['email']:<22} {entry['password']}" for role, entry in facts["logins"].items()]
    editor = facts["logins"].get("editor", {"email": "…", "password": "…"})
    body = json.dumps(editor)
    return "\n".join(
        [
            "",
            f"Pinion runs for “{facts['organisation']}”.",
            "",
            f"  Console  {facts['console_url']}",
            f"  API      {facts['docs_url']}",
            "",
            *logins,
            "",
            "Paste this into another terminal:",
            "",
            f"  TOKEN=$(curl -s {facts['url']}/v1/admin/auth/login -H 'Content-Type: application/json' \\",
            f"    -d '{body}' | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])')",
            f'  curl -s {facts["url"]}/v1/admin/pipelines/pip_xyz789/integrations -H "Authorization: Bearer $TOKEN"',
            "",
            "Stop with Ctrl-C.",
            "",
        ]
    )
