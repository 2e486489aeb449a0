"""The one resolver: a config is compiled once, and then only filled in with each pipeline's parameters."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from accounts.errors import Detail, PreflightFailed
from integrations.json_tree import JSON, Place, compact_size, pointer_step, text_size, walk
from integrations.placeholders import MASK, TYPE_NAMES, FieldType, find_problems, find_references

MAX_RESOLVED_BYTES = 1024 * 1024
MAX_SAFE_INTEGER = 2**53 - 1  # the largest integer that every JSON reader keeps exactly
_BYTES_PER_CHARACTER = 6  # at most, in JSON: a control character is \u0001

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,15}")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Unresolvable(PreflightFailed):
    """A config cannot be filled in for a pipeline; `details` lists every reason, and never a value."""


def cast(text: str, field_type: FieldType) -> int | float | bool | None:
    """The parameter's text as the type its field takes; None if it is not one.

    An integer is written as JSON writes it (`12`, `-3`; not `+1`, `-0`, `007`, `1.0`) and lies within ±(2^53 - 1). A
    number is any finite number that JSON can write, and one without fraction and exponent stays an exact integer.
    """
    return _CASTS[field_type](text)


def _as_boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def _as_integer(text: str) -> int | None:
    value = int(text) if _INTEGER.fullmatch(text) else None
    return value if value is not None and abs(value) <= MAX_SAFE_INTEGER else None


def _as_number(text: str) -> int | float | None:
    written = _NUMBER.fullmatch(text)
    if not written or abs(float(text)) == float("inf"):
        return None
    return float(text) if written[1] or written[2] else int(text)


_CASTS: Mapping[FieldType, Callable[[str], int | float | bool | None]] = {
    "boolean": _as_boolean,
    "integer": _as_integer,
    "number": _as_number,
}


@dataclass(frozen=True, slots=True)
class _Blank:
    """A string value to fill in: `pieces` are literal text and keys in turn, beginning and ending with text."""

    pointer: str
    pieces: tuple[str, ...] = field(repr=False)
    keys: frozenset[str]
    field_type: FieldType | None

    def filled(self, parameters: Mapping[str, str], hidden: Collection[str]) -> JSON:
        if hidden and not self.keys.isdisjoint(hidden):
            return MASK
        if self.field_type:
            return cast(parameters[self.pieces[1]], self.field_type)
        pieces = list(self.pieces)
        pieces[1::2] = [parameters[key] for key in self.pieces[1::2]]
        return "".join(pieces)

    @property
    def fixed_size(self) -> int:
        """The bytes that do not depend on parameters; a cast value has no quotes."""
        return 0 if self.field_type else 2 + sum(_inner_size(piece) for piece in self.pieces[::2])


@dataclass(frozen=True, slots=True)
class _Branch:
    """A container to copy: `plain` as it stands, and the places in it that have to be filled in or copied in turn."""

    plain: dict[str, JSON] | list[JSON] = field(repr=False)
    moving: tuple[tuple[Any, "_Branch | _Blank"], ...]

    def filled(self, parameters: Mapping[str, str], hidden: Collection[str]) -> Any:
        tree: Any = self.plain.copy()
        for key, part in self.moving:
            tree[key] = part.filled(parameters, hidden)
        return tree


@dataclass(frozen=True, slots=True)
class _Use:
    """All places of one key: how often it is text there, and where it is cast."""

    key: str
    pointers: tuple[str, ...]
    times_as_text: int
    casts: tuple[tuple[str, FieldType], ...]
    types: tuple[FieldType, ...]
    most_bytes: int  # per character of the value, over all places


class Need(NamedTuple):
    """What a config asks of one parameter: the types it is cast to, and the most bytes per character it adds."""

    key: str
    types: tuple[FieldType, ...]
    most_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class CompiledConfig:
    """A config that has been read once and can be filled in for any number of pipelines.

    `keys` are the parameters it needs, sorted. `faults` are what `find_problems` says of the config itself: whoever
    compiles a config that could never be a revision gets one that refuses every resolution for those reasons.
    """

    keys: tuple[str, ...]
    faults: tuple[Detail, ...]
    _template: _Branch = field(repr=False)  # a list that holds the config
    _uses: tuple[_Use, ...] = field(repr=False)
    _fixed_size: int = field(repr=False)

    @property
    def needs(self) -> tuple[Need, ...]:
        """For whoever asks many pipelines at once which of them surely have what it takes."""
        return tuple(Need(use.key, use.types, use.most_bytes) for use in self._uses)

    @property
    def spare_bytes(self) -> int:
        """How many bytes all parameters together may add."""
        return MAX_RESOLVED_BYTES - self._fixed_size

    def resolve(self, parameters: Mapping[str, str], conceal: Collection[str] = ()) -> JSON:
        """The config with every placeholder filled in, as a new tree.

        A value that uses any key in `conceal` comes out as `"***"`; concealing never changes whether the config can
        be resolved. Raises Unresolvable with what `problems` returns, if that is anything.
        """
        if problems := self.problems(parameters):
            raise Unresolvable("This config cannot be filled in with these parameters: mend what is listed.", problems)
        resolved: JSON = self._template.filled(parameters, frozenset(conceal))[0]
        return resolved

    def problems(self, parameters: Mapping[str, str]) -> tuple[Detail, ...]:
        """Every reason why `resolve` would refuse, one per key and kind, without building the tree.

        The size counts what is there: a key that is missing or cannot be cast adds nothing to it.
        """
        if self._is_surely_fine(parameters):
            return ()
        by_key = [detail for use in self._uses for detail in _key_problems(use, parameters)]
        return (*self.faults, *by_key, *self._size_problems(parameters))

    def _is_surely_fine(self, parameters: Mapping[str, str]) -> bool:
        """The cheap answer for nearly every pipeline, with an upper bound for the size."""
        if self.faults:
            return False
        size = self._fixed_size
        for use in self._uses:
            value = parameters.get(use.key)
            if not value:
                return False
            for wanted in use.types:
                if _CASTS[wanted](value) is None:
                    return False
            size += use.most_bytes * len(value)
        return size <= MAX_RESOLVED_BYTES

    def _size_problems(self, parameters: Mapping[str, str]) -> Iterator[Detail]:
        used = ((use, parameters.get(use.key)) for use in self._uses)
        if self._fixed_size + sum(_used_size(use, value) for use, value in used if value) > MAX_RESOLVED_BYTES:
            message = "Shorten the parameters: the config filled in with them may have at most 1 MiB as compact JSON."
            yield Detail("config", "too_large", message, {"pointer": "", "limit": MAX_RESOLVED_BYTES})


def compile_config(config: JSON, types: Mapping[str, FieldType] | None = None) -> CompiledConfig:
    """Reads the config once; `types` are the vendor's fields that are not strings, by JSON Pointer. Never raises."""
    declared = types or {}
    faults = tuple(find_problems(config, declared))
    places = [place for place in walk(config) if isinstance(place.value, str) and any(find_references(place.value))]
    blanks = [_blank_of(place, declared) for place in places]
    keys = tuple(sorted({key for blank in blanks for key in blank.keys}))
    template = _branch_of([] if faults else [config], {blank.pointer: blank for blank in blanks})
    replaced = sum(compact_size(place.value) for place in places)
    size = compact_size(config) - replaced + sum(blank.fixed_size for blank in blanks)
    return CompiledConfig(keys, faults, template, tuple(_use_of(key, blanks) for key in keys), size)


def _blank_of(place: Place, types: Mapping[str, FieldType]) -> _Blank:
    text = str(place.value)
    pieces, literal, done = [], "", 0
    for reference in find_references(text):
        literal += text[done : reference.start] + "\\" * ((reference.offset - reference.start) // 2)
        done = reference.end if reference.is_live else reference.offset
        if reference.is_live:
            pieces += [literal, reference.key]
            literal = ""
    pieces.append(literal + text[done:])
    is_whole = len(pieces) == 3 and pieces[0] == pieces[2] == ""
    return _Blank(place.pointer, tuple(pieces), frozenset(pieces[1::2]), types.get(place.pointer) if is_whole else None)


def _branch_of(node: dict[str, JSON] | list[JSON], blanks: Mapping[str, _Blank], pointer: str | None = None) -> _Branch:
    """The container at the pointer; the outermost one, a list around the config, has none."""
    plain: Any = node.copy()
    moving: list[tuple[str | int, _Branch | _Blank]] = []
    for key, child in _items(node):
        at = "" if pointer is None else pointer + pointer_step(key)
        if isinstance(child, dict | list):
            moving.append((key, _branch_of(child, blanks, at)))
        elif blank := blanks.get(at):
            plain[key] = blank.pieces[0]
            moving += [(key, blank)] if blank.keys else []
    return _Branch(plain, tuple(moving))


def _items(node: dict[str, JSON] | list[JSON]) -> Iterable[tuple[str | int, JSON]]:
    return node.items() if isinstance(node, dict) else enumerate(node)


def _use_of(key: str, blanks: Sequence[_Blank]) -> _Use:
    using = [blank for blank in blanks if key in blank.keys]
    casts = tuple((blank.pointer, blank.field_type) for blank in using if blank.field_type)
    times = sum(blank.pieces[1::2].count(key) for blank in using)
    pointers = tuple(blank.pointer for blank in using)
    types = tuple({field_type: None for _, field_type in casts})
    return _Use(key, pointers, times - len(casts), casts, types, times * _BYTES_PER_CHARACTER)


def _key_problems(use: _Use, parameters: Mapping[str, str]) -> Iterator[Detail]:
    value = parameters.get(use.key)
    if value is None:
        message = f"Set the parameter {use.key} on this pipeline: the config needs it."
        yield _key_problem(use.key, "missing_parameter", message, use.pointers)
    elif value == "":
        message = f"Give the parameter {use.key} a value: it is empty, and the config needs it."
        yield _key_problem(use.key, "empty_parameter", message, use.pointers)
    elif refused := [(pointer, wanted) for pointer, wanted in use.casts if cast(value, wanted) is None]:
        wanted_types = " and ".join(dict.fromkeys(TYPE_NAMES[wanted] for _, wanted in refused))
        message = f"Set the parameter {use.key} to {wanted_types}, written as in JSON: its field takes nothing else."
        yield _key_problem(use.key, "wrong_type", message, tuple(pointer for pointer, _ in refused))


def _key_problem(key: str, code: str, message: str, pointers: tuple[str, ...]) -> Detail:
    return Detail(f"parameters/{key}", code, message, {"key": key, "pointers": list(pointers)})


def _used_size(use: _Use, value: str) -> int:
    cast_values = [cast(value, wanted) for _, wanted in use.casts]
    cast_size = sum(compact_size(found) for found in cast_values if found is not None)
    return use.times_as_text * _inner_size(value) + cast_size


def _inner_size(text: str) -> int:
    return text_size(text) - 2
