r"""The grammar of parameter placeholders, and everything that makes a config unacceptable as a revision.

`{{pipeline_param.KEY}}` is the one reference there is: exact case, KEY a letter or underscore and then up to 63
letters, digits or underscores (ASCII), spaces and tabs allowed between the braces and the name. It is read in one pass
from left to right. Its braces are the last two of a run, so `{{{pipeline_param.k}}}` gives `{value}`.

Backslashes directly before a reference escape it: an even run halves and the reference counts, an odd run halves
(rounded down) and the reference is text. This holds for whatever is *ours*, malformed and reserved references too:
otherwise nobody could write `{{secret.x}}` as text, and a config that never changes would change its meaning on the
day `secret.` arrives. All other backslashes are untouched.

What is ours, and what is a vendor's own templating? An opening `{{`, with the text up to the next `}}` or `{{`, is

- ours, if it is a well-formed reference;
- ours and refused, if it begins with a reserved name and a dot: `{{secret.x}}`, `{{ env.HOME }}`;
- ours and refused, if its first name means `pipeline_param`, read without case, white space and punctuation: begins
  with it (`{{pipeline_params.x}}`, `{{Pipeline_Param.x}}`, `{{pipelineParam.x}}`, `{{pipeline-param.x}}`,
  `{{pipeline_param}}`, `{{pipeline_param_x}}`) or is one slip away from it (`{{pipline_param.x}}`);
- ours and refused, if it is closed and holds `pipeline_param.` further in: `{{#if pipeline_param.x}}`,
  `{{ event.value || pipeline_param.x }}`. No vendor knows that name, so it would reach the vendor as it stands;
- else the vendor's, and passes byte for byte: `{{event.value}}`, `{{#if}}`, `{{ pipeline_name }}`, `{{param}}`,
  `{{ event.pipeline_param.x }}`, `{{Secret.x}}`, `{{ template .Name }}`.

`{pipeline_param.x}}` (the first brace lost) is refused as well. Wrong answers: letting `{{pipeline_param.x || 'none'}}`
pass as a vendor's; taking `{pipeline_param.x}` or `pipeline_param.x`, which are plain text, for a reference; refusing
`{{event.{{pipeline_param.x}}}}`, a vendor's tag around a good reference, which is filled in.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from accounts.errors import Detail
from integrations.json_tree import JSON, Place, compact_size, walk

__all__ = [
    "JSON",
    "KEY_PATTERN",
    "MASK",
    "MAX_CONFIG_BYTES",
    "MAX_DEPTH",
    "MAX_PLACEHOLDERS",
    "TYPE_NAMES",
    "FieldType",
    "Reference",
    "find_problems",
    "find_references",
    "holds_placeholder",
    "is_key",
]

MASK = "***"  # what is shown in place of every secret
MAX_CONFIG_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_PLACEHOLDERS = 500

FieldType: TypeAlias = Literal["integer", "number", "boolean"]
TYPE_NAMES: Mapping[FieldType, str] = {"integer": "an integer", "number": "a number", "boolean": "true or false"}

KEY_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_REFERENCE = re.compile(rf"\{{\{{[ \t]*pipeline_param\.({KEY_PATTERN.pattern})[ \t]*\}}\}}")
_OPENING = re.compile(
    rf"\{{\{{(?!\{{)|(?<!\{{)\{{(?=[ \t]*pipeline_param\.{KEY_PATTERN.pattern}[ \t]*\}}\}})",
)
_NEXT_BRACES = re.compile(r"\{\{|\}\}")
_RESERVED = re.compile(r"\s*(secret|env|org|template|revision|pipeline|params?|system)\.")
_FIRST_NAME = re.compile(r"""\s*[^.{}|:'"()\[\]]{0,60}""")
_MENTION = re.compile(r"(?<![\w.])pipeline_param\s*\.")
_QUOTABLE = re.compile(r"\W*([A-Za-z0-9_.]{0,40})", re.ASCII)
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_SPELLINGS = ("pipelineparam", "pipelineparams", "pipelineparameter", "pipelineparameters")

_WELL_FORMED = "write {{pipeline_param.KEY}}"
_NAME_OF_OURS = r"[ \t]*pipeline_param\."
_MENDS = tuple(
    (re.compile(pattern, re.DOTALL), mend)
    for pattern, mend in (
        (r"[^|]*\|", "leave out the default, which a placeholder cannot have"),
        (r".*(?:[^\S \t]|[\u00ad\u200b-\u200f\u2060\ufeff])", "use only spaces and tabs inside the braces"),
        (rf"(?!{_NAME_OF_OURS})", f"{_WELL_FORMED}, the name in exactly this spelling and then a dot"),
        (rf"{_NAME_OF_OURS}\s*\Z", "name a parameter after the dot"),
        (rf"{_NAME_OF_OURS}[0-9]", "use a key that starts with a letter or an underscore"),
        (rf"{_NAME_OF_OURS}[A-Za-z0-9_]{{65}}", "use a key of at most 64 characters"),
        (rf"{_NAME_OF_OURS}\w+\.", "use a key without a dot, because parameters have no parts"),
        ("", "use a key of ASCII letters, digits and underscores, and put nothing after it"),
    )
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference of ours in a string: backslashes from `start`, braces from `offset`, and `end` after the last one.

    A malformed one has no key and ends after its opening braces; `fault` is the sentence that says what to do.
    """

    start: int
    offset: int
    end: int
    key: str = ""
    fault: str = ""

    @property
    def is_escaped(self) -> bool:
        return (self.offset - self.start) % 2 == 1

    @property
    def is_live(self) -> bool:
        return bool(self.key) and not self.is_escaped

    @property
    def is_refused(self) -> bool:
        return not self.key and not self.is_escaped

    def is_whole(self, text: str) -> bool:
        """Whether the text is this reference and nothing else, not even white space outside the braces."""
        return self.offset == 0 and self.end == len(text)


def is_key(text: str) -> bool:
    return KEY_PATTERN.fullmatch(text) is not None


def holds_placeholder(text: str) -> bool:
    """Whether at least one well-formed, unescaped reference of ours is in the text."""
    return any(reference.is_live for reference in find_references(text))


def find_references(text: str) -> Iterator[Reference]:
    """What is ours in the text, from left to right: live, escaped and malformed references, and no vendor's tags."""
    for opening in _OPENING.finditer(text):
        offset = opening.start()
        if match := _REFERENCE.match(text, offset):
            yield Reference(_start_of_backslashes(text, offset), offset, match.end(), match[1])
        elif fault := _fault_of(text, opening):
            yield Reference(_start_of_backslashes(text, offset), offset, opening.end(), fault=fault)


def _start_of_backslashes(text: str, offset: int) -> int:
    while offset and text[offset - 1] == "\\":
        offset -= 1
    return offset


def _fault_of(text: str, opening: re.Match[str]) -> str:
    """The sentence about a tag that is ours and not well-formed; empty for a vendor's tag."""
    closing = _NEXT_BRACES.search(text, opening.end())
    inside = text[opening.end() : closing.start() if closing else None]
    is_closed = closing is not None and closing[0] == "}}"
    if len(opening[0]) == 1:
        return _fault(inside, "write both opening braces")
    if _RESERVED.match(inside):
        return _fault(inside, "use another name, because this one is reserved")
    if _means_ours(inside):
        return _fault(inside, _mend_of(inside) if is_closed else "close it with }} and put nothing else into it")
    if is_closed and (mention := _MENTION.search(inside)):
        return _fault(inside[mention.start() :], f"{_WELL_FORMED} in braces of its own")
    return ""


def _fault(inside: str, mend: str) -> str:
    quotable = _QUOTABLE.match(inside)
    name = quotable[1] if quotable else ""
    return f"Correct the reference {{{{{name}…: {mend}, or put a backslash before it to keep it as text."


def _mend_of(inside: str) -> str:
    return next(mend for pattern, mend in _MENDS if pattern.match(inside))


def _means_ours(inside: str) -> bool:
    first = _FIRST_NAME.match(inside)
    folded = unicodedata.normalize("NFKC", first[0] if first else "").casefold()
    name = "".join(character for character in folded if character.isalnum())
    return name.startswith(_SPELLINGS[0]) or any(_one_slip_apart(name, spelling) for spelling in _SPELLINGS)


def _one_slip_apart(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two neighbours swapped, make one name of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[same:], other[same:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def find_problems(config: JSON, types: Mapping[str, FieldType] | None = None) -> list[Detail]:
    """Every reason why the config cannot be a revision, in document order; none if it can.

    `types` are the vendor's fields that are not strings, by JSON Pointer. Such a field must be one whole placeholder
    or none: `"1{{pipeline_param.x}}"` or `" {{pipeline_param.x}}"` in an integer field could only ever give a string,
    so it is `wrong_type` here, once, and not on each pipeline. Depth counts containers: `{"a": []}` is two deep.
    Each detail has the pointer, and where it is about text the offset in characters; no message quotes a value, only
    the malformed reference's own name.
    """
    problems = list(_size_problems(config))
    room = MAX_PLACEHOLDERS
    for place in walk(config):
        problems += _key_problems(place)
        problems += _depth_problems(place)
        if isinstance(place.value, str):
            references = list(find_references(place.value))
            live = [reference for reference in references if reference.is_live]
            found = [*_text_problems(place, references), *_type_problems(place, live, types or {})]
            if 0 <= room < len(live):
                found.append(_too_many(place, live[room].offset))
            room -= len(live)
            problems += sorted(found, key=lambda detail: int(detail.extra["offset"]))
    return problems


def _size_problems(config: JSON) -> Iterator[Detail]:
    if compact_size(config) > MAX_CONFIG_BYTES:
        message = "Shorten the config to at most 256 KiB, counted as compact UTF-8 JSON."
        yield Detail("config", "too_large", message, {"pointer": "", "limit": MAX_CONFIG_BYTES})


def _depth_problems(place: Place) -> Iterator[Detail]:
    if place.depth == MAX_DEPTH and isinstance(place.value, dict | list):
        message = f"Nest objects and lists at most {MAX_DEPTH} deep: this one is too deep."
        yield _problem(place, "too_deep", message, limit=MAX_DEPTH)


def _key_problems(place: Place) -> Iterator[Detail]:
    if not isinstance(place.token, str):
        return
    if bad := _NOT_TEXT.search(place.token):
        message = "Remove the NUL character or lone surrogate from this key."
        yield _problem(place, "invalid_text", message, offset=bad.start())
    for reference in find_references(place.token):
        if not reference.is_escaped:
            message = "Move the placeholder into a value: keys are never filled in."
            yield _problem(place, "placeholder_in_key", message, offset=reference.offset)


def _text_problems(place: Place, references: Iterable[Reference]) -> Iterator[Detail]:
    text = str(place.value)
    if bad := _NOT_TEXT.search(text):
        message = "Remove the NUL character or lone surrogate from this text."
        yield _problem(place, "invalid_text", message, offset=bad.start())
    for reference in references:
        if reference.is_refused:
            yield _problem(place, "malformed_placeholder", reference.fault, offset=reference.offset)


def _type_problems(place: Place, live: list[Reference], types: Mapping[str, FieldType]) -> Iterator[Detail]:
    if not live or live[0].is_whole(str(place.value)):
        return
    if field_type := types.get(place.pointer):
        message = f"Make the whole value one placeholder: this field takes {TYPE_NAMES[field_type]}."
        yield _problem(place, "wrong_type", message, offset=live[0].offset)


def _too_many(place: Place, offset: int) -> Detail:
    message = f"Use at most {MAX_PLACEHOLDERS} placeholders in one config: the first one too many is here."
    return _problem(place, "too_many_placeholders", message, offset=offset, limit=MAX_PLACEHOLDERS)


def _problem(place: Place, code: str, message: str, **extra: int) -> Detail:
    pointer = place.pointer
    return Detail("config" + pointer, code, message, {"pointer": pointer, **extra})
