"""A control plane over a real socket that answers as it is told to: for what the real one never says."""

import json
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.pipelines.client.said import line

Said = dict[str, Any]


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # what Content-Length says, if it lies


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    at: float


@dataclass
class Plane:
    """By path the answers still to be given, the last of them for ever; what has none is 404."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    silent: bool = False  # takes requests and answers none
    lock: threading.Lock = field(default_factory=threading.Lock)

    def will(self, path: str, *answers: Answer) -> None:
        with self.lock:
            self.answers[f"/v1/runtime/{path}"] = list(answers)

    def answer(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            waiting = self.answers.get(asked.path, [Answer(404)])
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def requests(self, path: str) -> list[Asked]:
        with self.lock:
            return [asked for asked in self.asked if asked.path == f"/v1/runtime/{path}"]


def snapshot(epoch: str, version: int, *pipelines: Said, count: int | None = None) -> Answer:
    head, end = {"epoch": epoch, "version": version}, {"count": len(pipelines) if count is None else count}
    return Answer(body=b"".join(line(said) + b"\n" for said in (head, *pipelines, end)))


def changes(to_version: int, *entries: Said, **more: Any) -> Answer:
    said = {"epoch": "ep_1", "since": 0, "to_version": to_version, "after": None, "has_more": False, **more}
    return Answer(body=json.dumps({**said, "changes": list(entries)}).encode())


def removed(pipeline_id: str, version: int) -> Said:
    return {"epoch": "ep_1", "version": version, "pipeline_id": pipeline_id, "removed": True}


def one(said: Said) -> Answer:
    return Answer(body=json.dumps(said, indent=1).encode())


@contextmanager
def plane() -> Generator[Plane]:
    """One that listens until the end of the block."""
    here = Plane()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(here))
    server.daemon_threads = True
    here.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(here: Plane) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            answer = here.answer(Asked(self.command, split.path, query, body, time.monotonic()))
            while here.silent:
                time.sleep(0.01)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.length is not None

        do_POST = do_GET  # noqa: N815  # the library calls it so

        def log_message(self, *args: object) -> None:
            pass

    return Handler


def until(condition: Callable[[], Any], seconds: float = 15.0) -> None:
    """Wait for it, and say so where it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not come true in time."
        time.sleep(0.005)


def gaps(asked: Sequence[Asked]) -> list[float]:
    """The seconds between one request and the next."""
    return [later.at - earlier.at for earlier, later in pairwise(asked)]
