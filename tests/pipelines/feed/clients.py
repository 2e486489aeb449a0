"""Reading the feed as processors do: over a socket, from a server process of its own."""

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlencode

from accounts.models import ApiToken, Organisation
from accounts.roles import Role
from pipelines.models import Pipeline
from pipelines.tokens import issue_limited_token
from tests.config.servers import Served
from tests.factories import system


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    headers: "Message[str, str]"
    body: Any

    @property
    def code(self) -> tuple[int, str]:
        return self.status, self.body["error"]["code"]


class FeedReader:
    """A processor with its token, or somebody else with theirs."""

    def __init__(self, served: Served, bearer: str | None) -> None:
        self.served = served
        self.headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}

    def get(self, path: str, method: str = "GET", **headers: str) -> Said:
        with closing(self.served.connection()) as connection:
            answer = self._ask(connection, path, method, headers)
            raw = answer.read()
            is_json = raw and answer.headers["Content-Type"] == "application/json"
            return Said(answer.status, answer.headers, json.loads(raw) if is_json else raw)

    def pipeline(self, name: str, **headers: str) -> Said:
        return self.get(f"pipelines/{name}", **headers)

    def comes_to(self, name: str, wanted: Callable[[Said], bool], seconds: float = 1.0) -> Said:
        """The first answer about this pipeline that is as wanted; memory is never older than a second while the database answers."""
        until = time.monotonic() + seconds
        while not wanted(answer := self.pipeline(name)):
            assert time.monotonic() < until, answer
        return answer

    def changes(self, **query: Any) -> Said:
        return self.get(f"changes?{urlencode({name: value for name, value in query.items() if value is not None})}")

    def snapshot(self) -> list[dict[str, Any]]:
        answer = self.get("snapshot")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson"), answer
        return [json.loads(line) for line in answer.body.splitlines()]

    @contextmanager
    def stream(self, **headers: str) -> Generator["Stream"]:
        with closing(self.served.connection()) as connection:
            answer = self._ask(connection, "stream", "GET", headers)
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream"), answer.read()
            yield Stream(answer)

    def _ask(self, connection: HTTPConnection, path: str, method: str, headers: Mapping[str, str]) -> HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"/v1/runtime/{path}", headers={**self.headers, **named})
        return connection.getresponse()


class Stream:
    """The blocks of a stream, in order."""

    def __init__(self, answer: HTTPResponse) -> None:
        self.answer = answer

    def block(self) -> str:
        """The next one, whatever it is; nothing where the stream has ended."""
        lines = []
        while (line := self.answer.readline().decode()) not in ("\n", ""):
            lines.append(line)
        return "".join(lines)

    def event(self) -> dict[str, str]:
        """The next one that says something, by field."""
        block = self.block()
        while block.startswith((":", "retry:")):
            block = self.block()
        return dict(line.split(": ", 1) for line in block.splitlines())

    def version(self) -> int:
        """Of the next event."""
        number: int = json.loads(self.event()["data"])["version"]
        return number


def processor_token(organisation: Organisation, *pipelines: Pipeline, **more: Any) -> tuple[ApiToken, str]:
    limits = [pipeline.pk for pipeline in pipelines]
    return issue_limited_token(
        actor=system(organisation), name="processor", scope=Role.PROCESSOR, pipelines=limits, **more
    )
