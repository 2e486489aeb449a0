"""JSON Pointers (RFC 6901): reading and writing values at places in a parsed JSON tree."""

from collections.abc import Iterable, Mapping
from typing import Any


def steps(pointer: str) -> list[str]:
    """`/a~1b/0` → ["a/b", "0"]."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def value_at(tree: Any, pointer: str) -> Any:
    """Raises KeyError or IndexError where there is no such place."""
    for step in steps(pointer):
        tree = tree[int(step)] if isinstance(tree, list) else tree[step]
    return tree


def with_values(tree: Any, values: Mapping[str, Any]) -> Any:
    """A copy of the tree with these values at these places, which must exist; the rest is shared, never changed."""
    for pointer, value in values.items():
        tree = _replaced(tree, steps(pointer), value)
    return tree


def masked(tree: Any, pointers: Iterable[str], mask: str) -> Any:
    """A copy with the mask at these places."""
    return with_values(tree, dict.fromkeys(pointers, mask))


def _replaced(tree: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    if isinstance(tree, list):
        index = int(path[0])
        return [*tree[:index], _replaced(tree[index], path[1:], value), *tree[index + 1 :]]
    return {**tree, path[0]: _replaced(tree[path[0]], path[1:], value)}
