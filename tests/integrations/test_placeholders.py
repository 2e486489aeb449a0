"""The grammar of placeholders, and what makes a config unacceptable."""

import json
from typing import Any

import pytest

from accounts.errors import Detail
from integrations.placeholders import find_problems, find_references, holds_placeholder, is_key

KEY_64 = "k" * 64
NBSP = "\u00a0"


def faults(text: str) -> list[tuple[str, int]]:
    return [(detail.code, detail.extra["offset"]) for detail in find_problems({"a": text})]


def codes(config: Any) -> list[str]:
    return [detail.code for detail in find_problems(config)]


def nested(depth: int) -> list[Any]:
    """That many lists inside one another."""
    tree: list[Any] = []
    for _ in range(depth - 1):
        tree = [tree]
    return tree


@pytest.mark.parametrize("key", ["k", "_", "K9", "pixel_id", KEY_64, "_1"])
def test_a_key_is_a_letter_or_underscore_and_up_to_63_letters_digits_or_underscores(key: str) -> None:
    assert is_key(key)
    assert holds_placeholder(f"{{{{pipeline_param.{key}}}}}")


@pytest.mark.parametrize("key", ["", "1k", "k" * 65, "ä", "k-1", "a.b", "k\n", " k", "k²", "٣"])
def test_anything_else_is_no_key(key: str) -> None:
    assert not is_key(key)
    assert not holds_placeholder(f"{{{{pipeline_param.{key or '.'}}}}}") or key == " k"


def test_keys_are_told_apart_by_case() -> None:
    text = "{{pipeline_param.Key}}{{pipeline_param.key}}"
    assert [reference.key for reference in find_references(text)] == ["Key", "key"]


@pytest.mark.parametrize("text", ["{{ pipeline_param.k }}", "{{\tpipeline_param.k\t \t}}", "{{pipeline_param.k}}"])
def test_spaces_and_tabs_are_allowed_inside_the_braces(text: str) -> None:
    assert holds_placeholder(text)
    assert faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "pipeline_param.k",
        "{pipeline_param.k}",
        "${pipeline_param.k}",
        "{{event.value}}",
        "{{ user.email }}",
        "{{#if}}",
        "{{#if event.id}}x{{/if}}",
        "{{{raw}}}",
        "{{}}",
        "{{",
        "}}",
        "{{ pipeline }}",
        "{{pipeline_name}}",
        "{{pipeline_part.x}}",
        "{{param}}",
        "{{parameters.x}}",
        "{{secret}}",
        "{{Secret.x}}",
        "{{secrets.x}}",
        "{{organisation.x}}",
        "{{ template .Name }}",
        "{{event.secret.x}}",
        "{{event.pipeline_param.x}}",
        "{{ lookup 'pipeline_param' }}",
        "{{ opens but never closes pipeline_param.k",
        "{{event.value || 'x'}}",
        "{{event.\nvalue}}",
        r"\{{event.value}}",
        r"C:\new\{x}",
    ],
)
def test_what_belongs_to_a_vendor_is_neither_a_placeholder_nor_a_problem(text: str) -> None:
    assert not holds_placeholder(text)
    assert faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{pipeline_params.x}}",
        "{{Pipeline_Param.x}}",
        "{{PIPELINE_PARAM.x}}",
        "{{pipelineParam.x}}",
        "{{pipeline-param.x}}",
        "{{pipeline param.x}}",
        "{{pipeline_parameter.x}}",
        "{{pipline_param.x}}",
        "{{pipeline_parma.x}}",
        "{{pipeline_parametrs.x}}",
        "{{pipeline_param.a.b}}",
        "{{pipeline_param.}}",
        "{{pipeline_param. }}",
        "{{pipeline_param}}",
        "{{ pipeline_param }}",
        "{{pipeline_param.x",
        "{{pipeline_param.x}",
        "{{pipeline_param.x} }",
        "{{pipeline_param",
        "{{pipeline_param.x\n}}",
        "{{\npipeline_param.x}}",
        "{{pipeline_param\n.x}}",
        f"{{{{{NBSP}pipeline_param.x}}}}",
        f"{{{{pipeline_param.x{NBSP}}}}}",
        "{{\u200bpipeline_param.x}}",
        "{{pipeline_\u200bparam.x}}",
        "{{pipeline_param.x || 'x'}}",
        "{{pipeline_param.x|default}}",
        "{{pipeline_param.x ?? 'x'}}",
        "{{pipeline_param.x, 1}}",
        "{{pipeline_param . x}}",
        "{{pipeline_param.1x}}",
        "{{pipeline_param.x-y}}",
        "{{pipeline_param.ä}}",
        "{{pipeline_param['x']}}",
        "{{pipeline_param_x}}",
        "{{pipeline_param:x}}",
        "{{" + f"pipeline_param.{KEY_64}k" + "}}",
        "{{$pipeline_param.x}}",
        "{{~pipeline_param.x~}}",
        "{{- pipeline_param.x -}}",
        "{{#if pipeline_param.x}}",
        "{{ event.value || pipeline_param.x }}",
        "{pipeline_param.x}}",
    ],
)
def test_a_misspelt_or_malformed_reference_of_ours_is_refused_where_it_opens(text: str) -> None:
    assert not holds_placeholder(text)
    assert faults(text) == [("malformed_placeholder", 0)]
    assert faults("ab" + text) == [("malformed_placeholder", 2)]


@pytest.mark.parametrize(
    "namespace", ["secret", "env", "org", "template", "revision", "pipeline", "param", "params", "system"]
)
@pytest.mark.parametrize("padding", ["", " ", "\t", "\n", NBSP])
def test_namespaces_reserved_for_later_are_refused_the_same_way(namespace: str, padding: str) -> None:
    assert faults(f"x{{{{{padding}{namespace}.KEY{padding}}}}}") == [("malformed_placeholder", 1)]


def test_one_nested_in_another_is_refused_once_where_the_outer_one_opens() -> None:
    assert faults("{{pipeline_param.{{pipeline_param.x}}}}") == [("malformed_placeholder", 0)]
    assert faults("{{pipeline_param.{{event.x}}}}") == [("malformed_placeholder", 0)]
    assert faults("{{pipeline_param.x{{pipeline_param.y}}") == [("malformed_placeholder", 0)]


def test_one_nested_in_a_vendors_tag_is_a_placeholder_like_any_other() -> None:
    assert faults("{{event.{{pipeline_param.x}}}}") == []
    assert holds_placeholder("{{event.{{pipeline_param.x}}}}")


@pytest.mark.parametrize(("backslashes", "counts"), [(0, True), (1, False), (2, True), (3, False), (4, True)])
def test_an_odd_run_of_backslashes_escapes_a_placeholder(backslashes: int, counts: bool) -> None:
    assert holds_placeholder("\\" * backslashes + "{{pipeline_param.k}}") is counts


@pytest.mark.parametrize("text", ["{{pipeline_params.x}}", "{{pipeline_param.x", "{{secret.x}}", "{pipeline_param.x}}"])
def test_an_odd_run_of_backslashes_escapes_a_malformed_reference_and_an_even_one_does_not(text: str) -> None:
    assert faults("\\" + text) == []
    assert faults("\\\\" + text) == [("malformed_placeholder", 2)]
    assert faults("\\\\\\" + text) == []


def test_a_backslash_escapes_only_the_reference_that_it_stands_directly_before() -> None:
    assert holds_placeholder(r"\{{{pipeline_param.k}}}")
    assert holds_placeholder(r"\{{pipeline_param.k}}{{pipeline_param.k}}")
    assert holds_placeholder(r"\ {{pipeline_param.k}}")


def test_all_problems_are_listed_in_document_order_with_pointer_and_offset() -> None:
    config: Any = {
        "b": ["ok {{pipeline_param.x}}", "{{env.A}} and {{pipeline_param.}}"],
        "a/b": {"c~d": "\x00{{secret.x}}"},
        "{{pipeline_param.k}}": 1,
        "last": {"x {{pipeline_params.k}}": "{{org.x}}"},
    }
    assert [(found.code, found.extra["pointer"], found.extra["offset"]) for found in find_problems(config)] == [
        ("malformed_placeholder", "/b/1", 0),
        ("malformed_placeholder", "/b/1", 14),
        ("invalid_text", "/a~1b/c~0d", 0),
        ("malformed_placeholder", "/a~1b/c~0d", 1),
        ("placeholder_in_key", "/{{pipeline_param.k}}", 0),
        ("placeholder_in_key", "/last/x {{pipeline_params.k}}", 2),
        ("malformed_placeholder", "/last/x {{pipeline_params.k}}", 0),
    ]


def test_a_detail_names_the_field_by_its_pointer_and_says_what_to_do() -> None:
    assert find_problems({"tags": ["a {{pipeline_params.pixel}}"]}) == [
        Detail(
            "config/tags/0",
            "malformed_placeholder",
            "Correct the reference {{pipeline_params.pixel…: write {{pipeline_param.KEY}}, the name in exactly this "
            "spelling and then a dot, or put a backslash before it to keep it as text.",
            {"pointer": "/tags/0", "offset": 2},
        )
    ]


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("{{pipeline_param.x || 'x'}}", "leave out the default, which a placeholder cannot have"),
        ("{{pipeline_param.x\n}}", "use only spaces and tabs inside the braces"),
        ("{{pipeline_param.}}", "name a parameter after the dot"),
        ("{{pipeline_param.1x}}", "use a key that starts with a letter or an underscore"),
        ("{{pipeline_param." + "k" * 65 + "}}", "use a key of at most 64 characters"),
        ("{{pipeline_param.a.b}}", "use a key without a dot, because parameters have no parts"),
        ("{{pipeline_param.a-b}}", "use a key of ASCII letters, digits and underscores, and put nothing after it"),
        ("{{pipeline_param.x}", "close it with }} and put nothing else into it"),
        ("{pipeline_param.x}}", "write both opening braces"),
        ("{{secret.x}}", "use another name, because this one is reserved"),
        ("{{#if pipeline_param.x}}", "write {{pipeline_param.KEY}} in braces of its own"),
    ],
)
def test_the_message_says_how_to_mend_this_very_fault(text: str, mend: str) -> None:
    assert f"…: {mend}, or put a backslash" in find_problems([text])[0].message


@pytest.mark.parametrize(
    "text",
    [
        "hunter2 {{pipeline_param.x || 'hunter2'}} hunter2",
        "{{pipeline_param x hunter2}}",
        "{{ 'hunter2' + pipeline_param.x }}",
        "{{pipeline_param.x\nhunter2}}",
        "{{pipeline_param.(hunter2",
        "{{ hunter2 pipeline_param.x}}",
        "hunter2\x00",
        "{{pipeline_param." + "k" * 60 + "hunter2}}",
    ],
)
def test_no_message_quotes_more_than_the_malformed_name(text: str) -> None:
    assert [found for found in find_problems({"a": text}) if "hunter2" in found.message] == []
    assert find_problems({"a": text}) != []


def test_a_vendors_tag_and_an_escaped_reference_may_stand_in_a_key() -> None:
    assert find_problems({"{{event.x}}": 1, r"\{{pipeline_param.k}}": 2, r"\{{secret.k}}": 3}) == []


def test_nul_and_lone_surrogates_are_refused_in_values_and_keys_with_a_pointer_that_can_be_printed() -> None:
    config: Any = {"a": "x\x00y\x00", "b": ["\ud800"], "k\udc00": "ok", "n\x00": 1, "fine": "😀\x01"}
    found = find_problems(config)
    assert [(detail.code, detail.extra["pointer"], detail.extra["offset"]) for detail in found] == [
        ("invalid_text", "/a", 1),
        ("invalid_text", "/b/0", 0),
        ("invalid_text", "/k\ufffd", 1),
        ("invalid_text", "/n\x00", 1),
    ]
    assert json.dumps([[detail.field, detail.message] for detail in found], ensure_ascii=False).encode()


def test_a_config_has_at_most_256_kib_of_compact_utf_8() -> None:
    room = 256 * 1024 - len('{"a":""}')
    assert find_problems({"a": "ä" * (room // 2)}) == []
    assert find_problems({"a": "ä" * (room // 2) + "x"}) == [
        Detail(
            "config",
            "too_large",
            "Shorten the config to at most 256 KiB, counted as compact UTF-8 JSON.",
            {"pointer": "", "limit": 262144},
        )
    ]


def test_escapes_count_as_they_are_written() -> None:
    assert codes({"a": '"' * (128 * 1024 - 4)}) == []
    assert codes({"a": '"' * (128 * 1024 - 3)}) == ["too_large"]


def test_a_config_is_at_most_32_deep() -> None:
    assert find_problems(nested(32)) == []
    assert find_problems({"a": nested(31)}) == []
    assert find_problems([*nested(33), *nested(33)]) == [
        Detail(
            f"config{pointer}",
            "too_deep",
            "Nest objects and lists at most 32 deep: this one is too deep.",
            {"pointer": pointer, "limit": 32},
        )
        for pointer in ("/0" * 32, "/1" + "/0" * 31)
    ]


def test_what_lies_too_deep_is_looked_at_all_the_same() -> None:
    tree: Any = "{{secret.x}}"
    for _ in range(10_000):
        tree = [tree]
    assert codes(tree) == ["too_deep", "malformed_placeholder"]


def test_a_config_holds_at_most_500_placeholders() -> None:
    two = "{{pipeline_param.a}} {{pipeline_param.b}}"
    escaped: dict[str, Any] = {"escaped": r"\{{pipeline_param.k}}", "vendor": "{{event.x}}"}
    assert find_problems({"a": [two] * 250} | escaped) == []
    assert find_problems({"a": [two] * 249 + ["{{pipeline_param.c}}", two, two]} | escaped) == [
        Detail(
            "config/a/250",
            "too_many_placeholders",
            "Use at most 500 placeholders in one config: the first one too many is here.",
            {"pointer": "/a/250", "offset": 21, "limit": 500},
        )
    ]


@pytest.mark.parametrize("text", ["1{{pipeline_param.x}}", " {{pipeline_param.x}}", r"\\{{pipeline_param.x}}"])
def test_a_typed_field_takes_one_whole_placeholder_or_none(text: str) -> None:
    offset = text.index("{{")
    assert find_problems({"n": [text]}, {"/n/0": "integer"}) == [
        Detail(
            "config/n/0",
            "wrong_type",
            "Make the whole value one placeholder: this field takes an integer.",
            {"pointer": "/n/0", "offset": offset},
        )
    ]
    assert find_problems({"n": [text]}) == []
    assert find_problems({"n": [text]}, {"/n/1": "integer"}) == []


def test_a_typed_field_may_be_one_placeholder_with_spaces_inside_its_braces() -> None:
    assert find_problems({"n": "{{ pipeline_param.x\t}}"}, {"/n": "boolean"}) == []


@pytest.mark.parametrize("config", [None, 1, 1.5, True, "text", [], {}, {"a": [None, {"b": False}]}])
def test_a_config_without_references_has_no_problem(config: Any) -> None:
    assert find_problems(config) == []
