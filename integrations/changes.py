"""What differs between two configs, as a list of changes with JSON Pointers; secrets show only that they changed."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from integrations.json_tree import JSON, pointer_step
from integrations.placeholders import MASK
from integrations.pointers import masked, pointers_into


@dataclass(frozen=True)
class Change:
    """One difference. `before` is None where something was added, `after` where something was removed: `op` tells.

    `secret` says that a secret is part of it and hidden on both sides, and then `type_changed` is not told either.
    """

    op: Literal["added", "removed", "changed"]
    pointer: str
    before: JSON
    after: JSON
    type_changed: bool = False
    secret: bool = False


class KeyChanges(NamedTuple):
    """Parameter keys, sorted: those that only the later config needs, and those that only the earlier one used."""

    newly_needed: tuple[str, ...]
    no_longer_used: tuple[str, ...]


class _Absent:
    """Nothing at this place, which is not the same as a JSON null."""


_ABSENT = _Absent()


class _Pair(NamedTuple):
    pointer: str
    before: JSON | _Absent
    after: JSON | _Absent

    def __repr__(self) -> str:
        """Without the two values, which may hold secrets."""
        return f"_Pair({self.pointer!r})"


def diff_keys(before: Collection[str], after: Collection[str]) -> KeyChanges:
    return KeyChanges(tuple(sorted(set(after) - set(before))), tuple(sorted(set(before) - set(after))))


def diff_configs(
    before: JSON, after: JSON, secret_before: Collection[str] = (), secret_after: Collection[str] = ()
) -> list[Change]:
    """What has to change in `before` to get `after`: nothing if they are equal.

    In document order: the members of `before`, then those that only `after` has. The order of an object's keys is no
    difference. Lists are compared by index and only their tail is added or removed, so apply removals from the last
    to the first. A subtree that is added or removed as a whole is one change. Values differ as JSON writes them:
    `true` is not `1`, and `1` is not `1.0`, because the type changes from integer to number.

    `secret_before` and `secret_after` are pointers to secret values; one that is secret on either side is hidden on
    both, wherever it turns up.
    """
    secrets = frozenset(secret_before) | frozenset(secret_after)
    return [_change(pair, secrets) for pair in _differences(before, after, secrets)]


def _differences(before: JSON, after: JSON, whole: Collection[str] = ()) -> Iterator[_Pair]:
    """The smallest differing places, without recursion; places in `whole` are compared and told as one."""
    waiting = [_Pair("", before, after)]
    while waiting:
        pair = waiting.pop()
        if pair.pointer in whole:
            if not _same(pair.before, pair.after):
                yield pair
        elif children := _children(pair):
            waiting.extend(reversed(children))
        elif _written(pair.before) != _written(pair.after):
            yield pair


def _same(before: JSON | _Absent, after: JSON | _Absent) -> bool:
    if isinstance(before, _Absent) or isinstance(after, _Absent):
        return before is after
    return next(_differences(before, after), None) is None


def _children(pair: _Pair) -> list[_Pair]:
    """The pairs inside two containers of one kind; none for all else."""
    pointer, before, after = pair
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [_Pair(pointer + pointer_step(key), before.get(key, _ABSENT), after.get(key, _ABSENT)) for key in keys]
    if isinstance(before, list) and isinstance(after, list):
        return [
            _Pair(
                pointer + pointer_step(index),
                before[index] if index < len(before) else _ABSENT,
                after[index] if index < len(after) else _ABSENT,
            )
            for index in range(max(len(before), len(after)))
        ]
    return []


def _written(value: JSON | _Absent) -> str:
    """Text that is equal exactly for values that are the same JSON, if at most one of them is a filled container."""
    if isinstance(value, dict | list | _Absent):
        return f"{type(value).__name__} {'filled' if value else 'empty'}"
    return f"{type(value).__name__} {value!r}"


def _change(pair: _Pair, secrets: Collection[str]) -> Change:
    op: Literal["added", "removed", "changed"] = "changed"
    if isinstance(pair.before, _Absent):
        op = "added"
    elif isinstance(pair.after, _Absent):
        op = "removed"
    before, hid_before = _masked(pair.pointer, pair.before, secrets)
    after, hid_after = _masked(pair.pointer, pair.after, secrets)
    told = op == "changed" and pair.pointer not in secrets
    type_changed = told and type(pair.before) is not type(pair.after)
    return Change(op, pair.pointer, before, after, type_changed, hid_before or hid_after)


def _masked(pointer: str, value: JSON | _Absent, secrets: Collection[str]) -> tuple[JSON, bool]:
    """The value with every secret at or below the pointer hidden in a copy, and whether there was one."""
    if isinstance(value, _Absent):
        return None, False
    hidden = pointers_into(value, secrets, at=pointer)
    shown: JSON = masked(value, hidden, MASK)
    return shown, bool(hidden)
