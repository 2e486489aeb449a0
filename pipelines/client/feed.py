"""Reading the feed over HTTP: what the control plane says, or one of four ways in which it does not."""

import json
import re
import ssl
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from socket import SHUT_RDWR, socket
from typing import Any

import httpx

from pipelines.client.configs import Unreadable

SNAPSHOT = "/v1/runtime/snapshot"
CHANGES = "/v1/runtime/changes"
STREAM = "/v1/runtime/stream"
PIPELINES = "/v1/runtime/pipelines"
REPORTS = "/v1/runtime/reports"
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}

HEARTBEAT = 15.0  # seconds between which the stream says something, if only that it is there
LIMITS = httpx.Limits(keepalive_expiry=2.0)  # sooner than servers close what is idle, which would look like a failure
TIMEOUT = httpx.Timeout(10.0, connect=3.0)
SNAPSHOT_TIMEOUT = httpx.Timeout(10.0, connect=3.0, read=30.0)  # it may have to wait for its turn
STREAM_TIMEOUT = httpx.Timeout(10.0, connect=3.0, read=2 * HEARTBEAT)


class Unavailable(Exception):
    """No answer, or none that helps now; `retry_after` is how many seconds the control plane asks to be left alone."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(Exception):
    """The control plane does not let this token in, or does not know what it is asked; asking again changes nothing."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Gone(Unavailable):
    """The changes since this version cannot be told: it is too old, of another epoch, or newer than the newest."""


@dataclass(frozen=True, slots=True)
class Page:
    """Changes up to `version`, the state that each pipeline has now; `after` leads on inside a version."""

    version: int
    after: str | None
    has_more: bool
    lines: list[bytes] = field(repr=False)
    removed: list[str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole configuration; `lines` can be read once, and raise Unreadable where it is cut short."""

    epoch: str
    version: int
    lines: Iterator[bytes]


class Feed:
    """What a token may read. Every method raises Unavailable, Refused and Unreadable."""

    def __init__(self, url: str, token: str) -> None:
        """Raises ValueError."""
        if not re.match(r"https?://[^/\s]", url):
            raise ValueError("The address of the control plane must begin with http:// or https:// and a host name.")
        if not re.fullmatch(r"[!-~]+", token):  # else a later complaint about the header would quote it
            raise ValueError("What should be the token is none: it is empty, or holds blanks or other such characters.")
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "pinion-client"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, limits=LIMITS, verify=_trusted())

    def changes(self, epoch: str, since: int, after: str | None = None) -> Page:
        """Raises Gone."""
        asked = {"epoch": epoch, "since": str(since)} | ({"after": after} if after else {})
        with _faults():
            return _page(_object(_checked(self.http.get(CHANGES, params=asked)).content), epoch)

    def pipeline(self, pipeline_id: str) -> bytes:
        """The present state of one, as one line."""
        with _faults():
            said = _object(_checked(self.http.get(f"{PIPELINES}/{pipeline_id}")).content)
        return _line(said)

    @contextmanager
    def snapshot(self) -> Generator[Snapshot]:
        with _faults(), self.http.stream("GET", SNAPSHOT, timeout=SNAPSHOT_TIMEOUT) as answer:
            lines = _split(_checked(answer).iter_bytes())
            head = _object(next(lines, b""))
            yield Snapshot(_text(head, "epoch"), _number(head, "version"), _counted(lines))

    @contextmanager
    def stream(self, epoch: str, version: int) -> Generator["Stream"]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": f"{epoch}.{version}"} if epoch else {})
        with _faults(), self.http.stream("GET", STREAM, headers=headers, timeout=STREAM_TIMEOUT) as answer:
            yield Stream(_checked(answer))

    def report(self, body: Mapping[str, Any]) -> dict[str, Any]:
        with _faults():
            return _object(_checked(self.http.post(REPORTS, json=body)).content)

    def close(self) -> None:
        self.http.close()


class Stream:
    """An open stream, which tells of each new version: a hint to ask for changes, never the changes themselves."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def hints(self) -> Iterator[tuple[str, int]]:
        """Epoch and version, as they come, until the stream ends."""
        for line in _split(self._answer.iter_bytes()):
            if line.startswith(b"data:"):
                said = _object(line.removeprefix(b"data:"))
                yield _text(said, "epoch"), _number(said, "version")

    def shut(self) -> None:
        """End it from another thread, which may be waiting in `hints`: closing a socket wakes nobody, this does."""
        connection = self._answer.extensions["network_stream"].get_extra_info("socket")
        with suppress(OSError):  # it may have ended by itself meanwhile
            socket.shutdown(connection, SHUT_RDWR)


@cache
def _trusted() -> ssl.SSLContext:
    """Whom TLS trusts: read once, since it takes a tenth of a second."""
    return httpx.create_ssl_context()


@contextmanager
def _faults() -> Generator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise Unavailable(f"The control plane cannot be reached: {str(error) or type(error).__name__}.") from None


def _checked(answer: httpx.Response) -> httpx.Response:
    status = answer.status_code
    if status == HTTPStatus.OK:
        return answer
    message = f"The control plane answers {status} to {answer.request.method} {answer.request.url.path}."
    if status == HTTPStatus.GONE:
        raise Gone(message)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING:
        raise Unavailable(message, _seconds(answer.headers.get("Retry-After", "")))
    raise Refused(message, status)


def _seconds(retry_after: str) -> float:
    """The header may also hold a date, which the control plane never sends."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0


def _page(said: dict[str, Any], epoch: str) -> Page:
    if said.get("epoch") != epoch:
        raise Gone("The epoch has changed.")
    changes = said.get("changes")
    if not isinstance(changes, list) or not all(isinstance(entry, dict) for entry in changes):
        raise Unreadable("The changes are no list of pipelines.")
    there = [_line(entry) for entry in changes if not entry.get("removed")]
    removed = [_text(entry, "pipeline_id") for entry in changes if entry.get("removed")]
    after = said.get("after")
    return Page(_number(said, "to_version"), after and str(after), said.get("has_more") is True, there, removed)


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of what arrives in pieces; text inside JSON may hold what other programs take for line ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _counted(lines: Iterator[bytes]) -> Iterator[bytes]:
    """All but the last, which must say how many there were."""
    count = 0
    waiting = next(lines, b"")
    for line in lines:
        yield waiting
        count, waiting = count + 1, line
    if _object(waiting).get("count") != count:
        raise Unreadable("The snapshot was cut short.")


def _line(said: dict[str, Any]) -> bytes:
    """As it stands in a snapshot, so that the same config is the same bytes however it came."""
    return json.dumps(said, separators=(",", ":")).encode("ascii")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        said = json.loads(raw)
    except ValueError:  # its message quotes nothing, but the exception holds all that was read
        said = None
    if not isinstance(said, dict):
        raise Unreadable("What should be a JSON object is none.")
    return said


def _text(said: Mapping[str, Any], name: str) -> str:
    if not isinstance(said.get(name), str):
        raise Unreadable(f"The answer has no {name} that is text.")
    return str(said[name])


def _number(said: Mapping[str, Any], name: str) -> int:
    if not isinstance(said.get(name), int):
        raise Unreadable(f"The answer has no {name} that is a whole number.")
    return int(said[name])
