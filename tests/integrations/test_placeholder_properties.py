"""Placeholders against a slow, plain reading of the rules, on any config and any parameters."""

import json
import string
import unicodedata
from collections import defaultdict
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from accounts.errors import Detail
from integrations.json_tree import Place, compact_size, walk
from integrations.placeholders import find_problems, holds_placeholder, is_key
from integrations.resolution import CompiledConfig, Unresolvable, cast, compile_config

RESERVED = ("secret", "env", "org", "template", "revision", "pipeline", "param", "params", "system")
SPELLINGS = ("pipelineparam", "pipelineparams", "pipelineparameter", "pipelineparameters")
LETTERS = string.ascii_letters + "_"

MARKS = ["{{", "}}", "{{", "}}", "{{{", "\\\\", *"{}{}\\\\.|#'_-1kxé", "k" * 64]
NAMES = ["pipeline_param", "pipeline_params", "Pipeline_Param", "pipline_param", "pipeline_parma", "pipeline", "param"]
REFERENCES = ["{{pipeline_param.k}}", "{{pipeline_param.x}}", "{{pipeline_param.k", "{pipeline_param.x}}", "secret."]
GOOD = ["{{pipeline_param.k}}", "{{ pipeline_param.x }}", "{{pipeline_param._1}}", "{{event.k}}", *"\\{}a "]
ESCAPED = [r"\{{pipeline_param.k}}", r"\{{secret.k}}"]

spaces = st.sampled_from(" \t\n\u00a0\u200b")
texts = st.lists(st.sampled_from(MARKS + NAMES + REFERENCES) | spaces, max_size=9).map("".join)
good_texts = st.lists(st.sampled_from(GOOD + ESCAPED), max_size=5).map("".join)
keys = st.sampled_from(["a", "b", "a/b", "~", "{{event.k}}", ""])
values = st.sampled_from(["v", "", "5", "-1.5", "true", "{{pipeline_param.x}}", r"\{{pipeline_param.k}}", "}}", "\\"])
parameter_sets = st.dictionaries(st.sampled_from(["k", "x", "_1", "K", "other"]), values)


def trees(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves | leaves | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=10,
    )


def well_formed_at(text: str, at: int) -> tuple[str, int] | None:
    """The key and the end of a well-formed reference whose braces begin here."""
    if text[at : at + 2] != "{{":
        return None
    at += 2
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    if text[at : at + 15] != "pipeline_param.":
        return None
    at += 15
    begin = at
    while text[at : at + 1] and text[at] in LETTERS + string.digits:
        at += 1
    key = text[begin:at]
    if not key or key[0] not in LETTERS or len(key) > 64:
        return None
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return (key, at + 2) if text[at : at + 2] == "}}" else None


def slips(name: str) -> set[str]:
    """Everything that one wrong, missing, added or swapped letter makes of a name; `?` is any letter."""
    made = {name}
    for at in range(len(name) + 1):
        made.add(name[:at] + "?" + name[at:])
        made.add(name[:at] + "?" + name[at + 1 :])
        made.add(name[:at] + name[at + 1 :])
        made.add(name[:at] + name[at : at + 2][::-1] + name[at + 2 :])
    return made


SLIPS = {slip for spelling in SPELLINGS for slip in slips(spelling)}


def is_a_slip(name: str) -> bool:
    return name in SLIPS or any(name[:at] + "?" + name[at + 1 :] in SLIPS for at in range(len(name)))


def means_ours(inside: str) -> bool:
    inside = inside.lstrip()
    first = ""
    while len(first) < min(60, len(inside)) and inside[len(first)] not in ".{}|:'\"()[]":
        first += inside[len(first)]
    name = "".join(letter for letter in unicodedata.normalize("NFKC", first).casefold() if letter.isalnum())
    return name.startswith("pipelineparam") or is_a_slip(name)


def mentions_ours(inside: str) -> bool:
    for at in range(len(inside)):
        before = inside[at - 1 : at] if at else ""
        if inside.startswith("pipeline_param", at) and not (before and (before.isalnum() or before in "_.")):
            return inside[at + len("pipeline_param") :].lstrip().startswith(".") or mentions_ours(inside[at + 1 :])
    return False


def is_malformed_at(text: str, at: int) -> bool:
    if text[at : at + 2] != "{{":
        lost_a_brace = text[at : at + 1] == "{" and text[at - 1 : at] != "{"
        return lost_a_brace and well_formed_at("{" + text[at:], 0) is not None
    if text[at + 2 : at + 3] == "{":
        return False
    end = at + 2
    while end < len(text) and text[end : end + 2] not in ("{{", "}}"):
        end += 1
    inside = text[at + 2 : end]
    if any(inside.lstrip().startswith(f"{name}.") for name in RESERVED) or means_ours(inside):
        return True
    return text[end : end + 2] == "}}" and mentions_ours(inside)


def plainly_read(text: str) -> tuple[list[tuple[str, str]], list[int]]:
    """The text as (kind, content) pieces, one character or one key each, and the offsets of malformed references."""
    pieces, malformed, at = [], [], 0
    while at < len(text):
        run = 0
        while text[at + run : at + run + 1] == "\\":
            run += 1
        offset = at + run
        found, bad = well_formed_at(text, offset), is_malformed_at(text, offset)
        if not found and not bad:
            end = max(offset, at + 1)
            pieces += [("text", character) for character in text[at:end]]
            at = end
            continue
        pieces += [("text", "\\")] * (run // 2)
        if found and run % 2 == 0:
            pieces.append(("key", found[0]))
            at = found[1]
            continue
        if bad and run % 2 == 0:
            malformed.append(offset)
        at = offset + (2 if text[offset : offset + 2] == "{{" else 1)
        pieces += [("text", "{")] * (at - offset)
    return pieces, malformed


def plainly_filled(node: Any, parameters: dict[str, str], types: dict[str, Any], pointer: str = "") -> Any:
    if isinstance(node, dict):
        steps = {key: key.replace("~", "~0").replace("/", "~1") for key in node}
        return {key: plainly_filled(node[key], parameters, types, f"{pointer}/{steps[key]}") for key in node}
    if isinstance(node, list):
        return [plainly_filled(child, parameters, types, f"{pointer}/{index}") for index, child in enumerate(node)]
    if not isinstance(node, str):
        return node
    pieces, _ = plainly_read(node)
    if pointer in types and any(kind == "key" for kind, _ in pieces):
        return json.loads(parameters[pieces[0][1]])
    return "".join(content if kind == "text" else parameters[content] for kind, content in pieces)


def references_in(config: Any) -> list[tuple[Place, str]]:
    """Each place with each key it uses, once."""
    found = []
    for place in walk(config):
        if isinstance(place.value, str):
            used = dict.fromkeys(content for kind, content in plainly_read(place.value)[0] if kind == "key")
            found += [(place, key) for key in used]
    return found


def expected_refusals(config: Any, parameters: dict[str, str], types: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """The places by key and reason."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for place, key in references_in(config):
        value = parameters.get(key)
        is_cast = place.pointer in types and plainly_read(str(place.value))[0] == [("key", key)]
        if value is None:
            reasons[key, "missing_parameter"].append(place.pointer)
        elif not value:
            reasons[key, "empty_parameter"].append(place.pointer)
        elif is_cast and cast(value, types[place.pointer]) is None:
            reasons[key, "wrong_type"].append(place.pointer)
    return reasons


def refusals(compiled: CompiledConfig, parameters: dict[str, str]) -> tuple[Detail, ...]:
    try:
        compiled.resolve(parameters)
    except Unresolvable as refusal:
        return refusal.details
    return ()


@settings(max_examples=1500, deadline=None)
@given(texts)
@example("{{pipeline_param.{{pipeline_param.k}}}}")
@example("\\\\\\{{{pipeline_param.k}}}")
@example("{{event.\\{{pipeline_param.k}}}}")
@example("{{ a pipeline_paramx pipeline_param.k }}")
def test_a_text_is_read_as_a_plain_reading_of_the_rules_reads_it(text: str) -> None:
    pieces, malformed = plainly_read(text)
    found = [detail for detail in find_problems({"a": text}) if detail.code == "malformed_placeholder"]
    assert [detail.extra["offset"] for detail in found] == malformed
    assert holds_placeholder(text) == any(kind == "key" for kind, _ in pieces)
    assert compile_config({"a": text}).keys == tuple(sorted({content for kind, content in pieces if kind == "key"}))
    if not malformed:
        parameters = {content: f"<{content}>" for kind, content in pieces if kind == "key"}
        filled = "".join(content if kind == "text" else f"<{content}>" for kind, content in pieces)
        assert compile_config({"a": text}).resolve(parameters) == {"a": filled}


@settings(max_examples=300, deadline=None)
@given(texts)
def test_the_same_text_in_a_key_is_refused_at_the_same_places(text: str) -> None:
    references = [detail for detail in find_problems({text: 1}) if detail.code == "placeholder_in_key"]
    assert bool(references) == (holds_placeholder(text) or bool(plainly_read(text)[1]))


@settings(max_examples=500, deadline=None)
@given(trees(good_texts), parameter_sets, st.data())
def test_any_config_and_parameters_resolve_or_are_refused_with_every_reason(
    config: Any, parameters: dict[str, str], data: st.DataObject
) -> None:
    places = sorted({place.pointer for place, _ in references_in(config)})
    kinds = st.sampled_from(["integer", "number", "boolean"])
    types: Any = data.draw(st.dictionaries(st.sampled_from(places), kinds)) if places else {}
    compiled = compile_config(config, types)
    found = refusals(compiled, parameters)
    faults = find_problems(config, types)
    assert found == compiled.problems(parameters)
    assert [*found[: len(faults)]] == faults
    listed = {(detail.extra["key"], detail.code): detail.extra["pointers"] for detail in found[len(faults) :]}
    assert listed == expected_refusals(config, parameters, types)
    if not found:
        resolved: Any = compiled.resolve(parameters)
        assert repr(resolved) == repr(plainly_filled(config, parameters, types))
        assert all(one.value is not other.value for one, other in containers_side_by_side(config, resolved))


def containers_side_by_side(config: Any, resolved: Any) -> list[tuple[Place, Place]]:
    pairs = zip(walk(config), walk(resolved), strict=True)
    return [(one, other) for one, other in pairs if isinstance(one.value, dict | list)]


@settings(max_examples=300, deadline=None)
@given(trees(texts), parameter_sets)
def test_nothing_malformed_ever_gets_through(config: Any, parameters: dict[str, str]) -> None:
    compiled = compile_config(config)
    assert compiled.faults == tuple(find_problems(config))
    malformed = [place for place in walk(config) if isinstance(place.value, str) and plainly_read(place.value)[1]]
    assert not malformed or compiled.problems(parameters) != ()


@settings(max_examples=200, deadline=None)
@given(trees(st.text() | good_texts))
def test_sizes_are_those_of_compact_json(config: Any) -> None:
    written = json.dumps(config, ensure_ascii=False, separators=(",", ":"))
    assert compact_size(config) == len(written.encode("utf-8", "surrogatepass"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 200_000), st.sampled_from('xä"\x01😀')), max_size=4))
def test_the_size_limit_is_exact_however_it_is_computed(uses: list[tuple[int, int, str]]) -> None:
    config: Any = [[f"{{{{pipeline_param.k{index}}}}}."] * times for index, (times, _, _) in enumerate(uses)]
    parameters = {f"k{index}": character * length for index, (_, length, character) in enumerate(uses)}
    resolved = plainly_filled(config, parameters, {})
    too_large = compact_size(resolved) > 1024 * 1024
    assert [found.code for found in compile_config(config).problems(parameters)] == ["too_large"] * too_large


@given(st.text(max_size=70))
def test_a_key_is_what_a_reference_takes(text: str) -> None:
    found = well_formed_at(f"{{{{pipeline_param.{text}}}}}", 0)
    assert is_key(text) == (found is not None and found[0] == text)


@settings(max_examples=500)
@given(
    st.floats()
    | st.integers()
    | st.text(alphabet="0123456789+-.eE_ ", max_size=8)
    | st.from_regex(r"\A-?[0-9]{1,20}\Z")
)
def test_a_cast_number_is_what_json_reads(value: Any) -> None:
    text = str(value)
    try:
        read = json.loads(text, parse_constant=lambda _: None) if text == text.strip() else None
    except ValueError:
        read = None
    number = None if isinstance(read, float) and abs(read) == float("inf") else read
    assert repr(cast(text, "number")) == repr(number)
    is_integer = isinstance(number, int) and abs(number) < 2**53 and text != "-0"
    assert cast(text, "integer") == (number if is_integer else None)
