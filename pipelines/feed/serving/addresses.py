"""The addresses of the feed, and what may stand behind the question mark."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from accounts.errors import Detail, Malformed
from pipelines.feed.changes import Question, read_place
from pipelines.feed.reading import BATCH

RUNTIME = "/v1/runtime/"
PIPELINE = "/v1/runtime/pipelines/"
SNAPSHOT = "/v1/runtime/snapshot"
CHANGES = "/v1/runtime/changes"
STREAM = "/v1/runtime/stream"
METHODS = ("GET", "HEAD")

MOST = 1000  # pipelines that one answer about changes may hold
ABOUT_CHANGES = ("since", "epoch", "after", "limit")


def is_read(scope: Mapping[str, Any]) -> bool:
    """Whether this is a request that the feed answers; all others, also those that write, are Django's."""
    path: str = scope["path"]
    if not path.startswith(RUNTIME) or scope["method"] not in METHODS:
        return False
    return is_pipeline(path) or path in (CHANGES, SNAPSHOT, STREAM)


def is_pipeline(path: str) -> bool:
    name = path.removeprefix(PIPELINE)
    return name != path and name != "" and "/" not in name


def route_of(path: str) -> str:
    """The address of a read without what it names: for counting."""
    return f"{PIPELINE}{{name}}" if is_pipeline(path) else path


def require_no_query(scope: Mapping[str, Any]) -> None:
    """Raises Malformed."""
    _query(scope, ())


def question_of(scope: Mapping[str, Any], organisation_id: str, only: frozenset[str] | None) -> Question:
    """What is asked of `/changes`. Raises Malformed."""
    query = _query(scope, ABOUT_CHANGES)
    if "since" not in query:
        raise _malformed("since", "required", "Say since which version: since=0, or the to_version you have.")
    since = _number(query, "since", 0, 2**63 - 1)
    after = read_place(query["after"]) if "after" in query else None
    if after is not None and after.version <= since:
        raise _malformed("after", "invalid", "after belongs to another since. Send both as one answer gave them.")
    limit = _number({"limit": str(BATCH), **query}, "limit", 1, MOST)
    return Question(organisation_id, since, query.get("epoch"), after, limit, only)


def _query(scope: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, str]:
    """Strictly: an unknown, a repeated or an empty parameter is refused, as everywhere."""
    if not scope["query_string"]:
        return {}
    found: dict[str, str] = {}
    for name, value in _pairs(scope["query_string"]):
        if name not in known:
            here = f"Known here: {', '.join(sorted(known))}." if known else "This address takes none."
            message = f"There is no query parameter named {name[:64]!a}. {here}"
            raise _malformed(name[:64], "unknown_filter", message)
        if name in found:
            raise _malformed(name, "repeated", f"{name} stands more than once in the address. Give it once.")
        if not value or "\0" in value:
            raise _malformed(name, "empty", f"{name} is empty. Give it a value, or leave it out.")
        found[name] = value
    return found


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="replace")
    except ValueError:
        raise Malformed("The query string cannot be read: it is too long, or not ASCII.") from None


def _number(query: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = query[name]
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise _malformed(name, "invalid", f"{name} must be a whole number from {least} to {most}.")


def _malformed(name: str, code: str, message: str) -> Malformed:
    return Malformed(message, [Detail(name, code, message)])
