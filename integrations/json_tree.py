"""A parsed JSON document as a tree: every value with its JSON Pointer, and the size it has on the wire."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None

_encode = json.JSONEncoder(ensure_ascii=False).encode
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Place:
    """A value and where it stands; `depth` is the number of containers around it."""

    value: JSON
    depth: int = 0
    token: str | int | None = None
    parent: "Place | None" = None

    @property
    def pointer(self) -> str:
        """The JSON Pointer (RFC 6901) of the value; it is text even where a key is not valid text."""
        tokens: list[str | int] = []
        place: Place | None = self
        while place is not None and place.token is not None:
            tokens.append(place.token)
            place = place.parent
        return "".join(pointer_step(token) for token in reversed(tokens))

    def children(self) -> "list[Place]":
        if isinstance(self.value, dict):
            return [Place(child, self.depth + 1, key, self) for key, child in self.value.items()]
        if isinstance(self.value, list):
            return [Place(child, self.depth + 1, index, self) for index, child in enumerate(self.value)]
        return []


def walk(document: JSON) -> Iterator[Place]:
    """Every value in document order, containers before what they hold, however deep: nothing here recurses."""
    waiting = [Place(document)]
    while waiting:
        place = waiting.pop()
        yield place
        waiting.extend(reversed(place.children()))


def pointer_step(token: str | int) -> str:
    """One step of a JSON Pointer: `a/b` is `/a~1b`, and `~` is `~0`.

    A lone surrogate becomes U+FFFD, because a pointer is quoted in answers, and those are UTF-8.
    """
    text = str(token).replace("~", "~0").replace("/", "~1")
    return "/" + _LONE_SURROGATE.sub("\ufffd", text)


def compact_size(document: JSON) -> int:
    """The bytes of the document as UTF-8 JSON without white space outside strings."""
    return sum(_own_size(place.value) + _key_size(place.token) for place in walk(document))


def text_size(text: str) -> int:
    """The bytes of a string as a JSON value, quotes and escapes included."""
    return len(_encode(text).encode("utf-8", "surrogatepass"))


def _own_size(value: JSON) -> int:
    if isinstance(value, dict | list):
        return 2 + max(0, len(value) - 1)
    return text_size(value) if isinstance(value, str) else len(_encode(value))


def _key_size(token: str | int | None) -> int:
    return text_size(token) + 1 if isinstance(token, str) else 0
