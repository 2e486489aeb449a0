"""JSON Pointers (RFC 6901): finding, reading and writing values at places in a parsed JSON tree."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from integrations.json_tree import pointer_step


def steps(pointer: str) -> list[str]:
    """`/a~1b/0` → ["a/b", "0"]."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def value_at(tree: Any, pointer: str) -> Any:
    """Raises KeyError or IndexError where there is no such place."""
    for step in steps(pointer):
        tree = tree[_key(tree, step)]
    return tree


def with_values(tree: Any, values: Mapping[str, Any]) -> Any:
    """A copy of the tree with these values at these places, which must exist; the rest is shared, never changed.

    However many values stand in one container, it is copied once.
    """
    root = [tree]
    copies: dict[int, Any] = {id(root): root}
    for pointer, value in values.items():
        container: Any = root
        key: Any = 0
        for step in steps(pointer):
            inner = container[key]
            if id(inner) not in copies:
                inner = container[key] = inner.copy()
                copies[id(inner)] = inner
            container, key = inner, _key(inner, step)
        container[key] = value
    return root[0]


def masked(tree: Any, pointers: Iterable[str], mask: str) -> Any:
    """A copy with the mask at these places, which must exist."""
    return with_values(tree, dict.fromkeys(pointers, mask))


def pointers_into(tree: Any, pointers: Collection[str], at: str = "") -> list[str]:
    """Those of the pointers that lead to a place in this tree, and not into another such place.

    The tree itself stands at the pointer `at` of the document that the pointers are about; what is returned is
    relative to the tree. Nothing here recurses, however deep it is.
    """
    found = []
    waiting = [("", tree)] if pointers else []
    while waiting:
        here, value = waiting.pop()
        if at + here in pointers:
            found.append(here)
        elif isinstance(value, dict):
            waiting += [(here + pointer_step(key), child) for key, child in value.items()]
        elif isinstance(value, list):
            waiting += [(here + pointer_step(index), child) for index, child in enumerate(value)]
    return found


def _key(container: Any, step: str) -> str | int:
    return int(step) if isinstance(container, list) else step
