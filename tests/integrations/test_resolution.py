"""Filling a compiled config in with a pipeline's parameters."""

from typing import Any

import pytest

from accounts.errors import Detail, PreflightFailed
from integrations.json_tree import compact_size
from integrations.resolution import CompiledConfig, Unresolvable, cast, compile_config

MIB = 1024 * 1024


def filled(text: str, **parameters: str) -> Any:
    resolved: Any = compile_config({"a": text}).resolve(parameters)
    return resolved["a"]


def typed(field_type: Any, value: str) -> Any:
    resolved: Any = compile_config(["{{pipeline_param.x}}"], {"/0": field_type}).resolve({"x": value})
    return resolved[0]


def refusals(compiled: CompiledConfig, parameters: dict[str, str]) -> list[Detail]:
    """What `resolve` raises, which is what `problems` says."""
    with pytest.raises(Unresolvable) as caught:
        compiled.resolve(parameters)
    assert caught.value.details == compiled.problems(parameters)
    return list(caught.value.details)


def test_a_whole_value_placeholder_gives_a_string() -> None:
    assert filled("{{pipeline_param.k}}", k="123") == "123"


def test_a_partial_placeholder_concatenates() -> None:
    assert filled("a-{{pipeline_param.k}}-b{{ pipeline_param.l }}{{\tpipeline_param.k\t}}", k="1", l="2") == "a-1-b21"


def test_three_braces_give_the_value_in_braces() -> None:
    assert filled("{{{pipeline_param.k}}}", k="value") == "{value}"
    assert filled("{{{{{pipeline_param.k}}}}", k="value") == "{{{value}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\{{pipeline_param.k}}", "{{pipeline_param.k}}"),
        (r"\\{{pipeline_param.k}}", r"\V"),
        (r"\\\{{pipeline_param.k}}", r"\{{pipeline_param.k}}"),
        (r"\\\\{{pipeline_param.k}}", r"\\V"),
        (r"\\\\\{{pipeline_param.k}}", r"\\{{pipeline_param.k}}"),
        (r"\{{ pipeline_param.k }}{{pipeline_param.k}}", "{{ pipeline_param.k }}V"),
        (r"{{pipeline_param.k}}\{{pipeline_param.k}}", "V{{pipeline_param.k}}"),
        (r"{{pipeline_param.k}}\\{{pipeline_param.k}}\\", r"V\V" + "\\\\"),
    ],
)
def test_an_even_run_of_backslashes_halves_and_substitutes_an_odd_run_halves_and_leaves_the_text(
    text: str, expected: str
) -> None:
    assert filled(text, k="V") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\{{secret.k}}", "{{secret.k}}"),
        (r"\\\{{secret.k}}", r"\{{secret.k}}"),
        (r"\{{pipeline_params.k}}", "{{pipeline_params.k}}"),
        (r"\{{pipeline_param.k", "{{pipeline_param.k"),
        (r"\{{pipeline_param.k || 'x'}}", "{{pipeline_param.k || 'x'}}"),
        (r"\{pipeline_param.k}}", "{pipeline_param.k}}"),
        (r"\{{pipeline_param.{{pipeline_param.k}}}}", "{{pipeline_param.V}}"),
    ],
)
def test_an_odd_run_before_a_malformed_or_reserved_reference_halves_as_well(text: str, expected: str) -> None:
    assert filled(text, k="V") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\\server\{share} {{pipeline_param.k}}\n", r"\\server\{share} V\n"),
        (r"\{{event.value}}\\{{event.value}}", r"\{{event.value}}\\{{event.value}}"),
        (r"\{{{pipeline_param.k}}}", r"\{V}"),
        (r"\ {{pipeline_param.k}}", r"\ V"),
        (r"\{pipeline_param.k}", r"\{pipeline_param.k}"),
    ],
)
def test_backslashes_elsewhere_are_untouched(text: str, expected: str) -> None:
    assert filled(text, k="V") == expected


@pytest.mark.parametrize(
    "text", ["{{event.value}}", "{{ user.email }}", "{{#if x}}{{{y}}}{{/if}}", "{{", "{{}}", "}}{{"]
)
def test_a_vendors_own_templating_passes_byte_for_byte(text: str) -> None:
    assert filled(text) == text
    assert filled(text + " {{pipeline_param.k}} " + text, k="V") == f"{text} V {text}"


def test_a_vendors_tag_around_a_placeholder_is_filled_in() -> None:
    assert filled("{{event.{{pipeline_param.k}}}}", k="V") == "{{event.V}}"


def test_values_are_never_scanned_again() -> None:
    assert filled("{{pipeline_param.k}}", k="{{pipeline_param.l}}", l="no") == "{{pipeline_param.l}}"
    assert filled("{{pipeline_param.k}}{pipeline_param.l}", k="{", l="no") == "{{pipeline_param.l}"
    assert filled("{{pipeline_param.k}}{{pipeline_param.l}}", k="\\", l="V") == "\\V"
    assert filled("{{pipeline_param.k}}{{pipeline_param.l}}", k="{{pipeline_", l="param.k}}") == "{{pipeline_param.k}}"
    assert filled("{{pipeline_param.k}}", k=r"\\1\g<0>%s{0}") == r"\\1\g<0>%s{0}"


def test_only_string_values_are_looked_at_at_any_depth_and_never_keys() -> None:
    config: Any = {
        "{{event.k}}": [1, 1.5, True, None, {"x": [["{{pipeline_param.k}}"]]}],
        r"\{{pipeline_param.k}}": "k",
    }
    assert compile_config(config).resolve({"k": "V"}) == {
        "{{event.k}}": [1, 1.5, True, None, {"x": [["V"]]}],
        r"\{{pipeline_param.k}}": "k",
    }


def test_the_result_is_a_new_tree_each_time_and_the_config_stays_as_it_was() -> None:
    config: Any = {"static": {"list": [1]}, "text": "{{pipeline_param.k}}"}
    compiled = compile_config(config)
    first: Any = compiled.resolve({"k": "1"})
    first["static"]["list"].append(2)
    config["static"]["list"].append(3)
    assert compiled.resolve({"k": "2"}) == {"static": {"list": [1]}, "text": "2"}
    assert config == {"static": {"list": [1, 3]}, "text": "{{pipeline_param.k}}"}


def test_the_order_of_keys_is_kept() -> None:
    config: Any = {"z": "{{pipeline_param.k}}", "a": {"y": r"\{{pipeline_param.k}}", "b": 1}, "m": 0}
    resolved: Any = compile_config(config).resolve({"k": "V"})
    assert (list(resolved), list(resolved["a"])) == (["z", "a", "m"], ["y", "b"])


@pytest.mark.parametrize("config", [None, 1, True, "text", [], {}])
def test_a_config_that_is_no_container_resolves_to_itself(config: Any) -> None:
    assert compile_config(config).resolve({}) == config


def test_a_single_string_may_be_the_whole_config() -> None:
    assert compile_config("{{pipeline_param.k}}").resolve({"k": "V"}) == "V"
    assert compile_config("{{pipeline_param.k}}", {"": "integer"}).resolve({"k": "5"}) == 5


def test_keys_are_the_sorted_parameters_that_the_config_uses() -> None:
    text = r"{{pipeline_param.b}}\{{pipeline_param.z}}{{event.y}}{{pipeline_param.a}}{{pipeline_param.b}}"
    assert compile_config({"x": text, "y": ["{{pipeline_param._}}"]}).keys == ("_", "a", "b")


def test_missing_and_empty_parameters_are_refused_with_every_place_that_needs_them() -> None:
    compiled = compile_config(
        {
            "one": "{{pipeline_param.b}}{{pipeline_param.b}}",
            "a/b": ["{{pipeline_param.b}} {{pipeline_param.a}}"],
            "fine": "{{pipeline_param.c}}",
        }
    )
    assert refusals(compiled, {"a": "", "c": "ok", "other": ""}) == [
        Detail(
            "parameters/a",
            "empty_parameter",
            "Give the parameter a a value: it is empty, and the config needs it.",
            {"key": "a", "pointers": ["/a~1b/0"]},
        ),
        Detail(
            "parameters/b",
            "missing_parameter",
            "Set the parameter b on this pipeline: the config needs it.",
            {"key": "b", "pointers": ["/one", "/a~1b/0"]},
        ),
    ]


def test_a_parameter_of_other_case_does_not_count() -> None:
    assert [found.code for found in refusals(compile_config(["{{pipeline_param.Key}}"]), {"key": "x"})] == [
        "missing_parameter"
    ]


def test_white_space_is_a_value() -> None:
    assert filled("{{pipeline_param.k}}", k=" ") == " "


def test_a_refusal_is_a_failed_preflight() -> None:
    with pytest.raises(PreflightFailed) as caught:
        compile_config("{{pipeline_param.k}}").resolve({})
    assert caught.value.code == "PREFLIGHT_FAILED"


@pytest.mark.parametrize(
    ("field_type", "text", "value"),
    [
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("integer", "0", 0),
        ("integer", "-7", -7),
        ("integer", "9007199254740991", 9007199254740991),
        ("integer", "-9007199254740991", -9007199254740991),
        ("number", "0", 0),
        ("number", "12", 12),
        ("number", "-1.5", -1.5),
        ("number", "1.0", 1.0),
        ("number", "0.25e+2", 25.0),
        ("number", "1E3", 1000.0),
        ("number", "12345678901234567890", 12345678901234567890),
    ],
)
def test_a_whole_placeholder_in_a_typed_field_is_cast(field_type: Any, text: str, value: Any) -> None:
    assert (typed(field_type, text), type(typed(field_type, text))) == (value, type(value))


@pytest.mark.parametrize(
    ("field_type", "text"),
    [
        *[("boolean", text) for text in ("True", "1", "yes", " true", "true\n", "null")],
        *[("integer", text) for text in ("007", "-0", "+1", "1.0", "1e3", " 1", "1 ", "1\n", "-", "٣", "1_000", "0x1")],
        *[("integer", text) for text in ("9007199254740992", "-9007199254740992", "9" * 5000, "true", "x")],
        *[("number", text) for text in ("01", "+1", ".5", "1.", "1e", "NaN", "Infinity", "-Infinity", "1e400", "1_0")],
        *[("number", text) for text in (" 1", "1\n", "0x1", "1,5", "9" * 5000, "-1e999", "٣")],
    ],
)
def test_a_value_that_is_not_of_the_fields_type_is_refused(field_type: Any, text: str) -> None:
    assert cast(text, field_type) is None
    compiled = compile_config({"n": "{{ pipeline_param.x }}"}, {"/n": field_type})
    found = refusals(compiled, {"x": text})
    names = {"boolean": "true or false", "integer": "an integer", "number": "a number"}
    assert found == [
        Detail(
            "parameters/x",
            "wrong_type",
            f"Set the parameter x to {names[field_type]}, written as in JSON: its field takes nothing else.",
            {"key": "x", "pointers": ["/n"]},
        )
    ]


def test_one_detail_per_key_lists_the_places_whose_type_it_fails() -> None:
    text = "{{pipeline_param.x}}"
    config: Any = {"a": text, "i": text, "b": text, "n": text}
    compiled = compile_config(config, {"/i": "integer", "/b": "boolean", "/n": "number"})
    assert [(found.message, found.extra) for found in refusals(compiled, {"x": "1.5"})] == [
        (
            "Set the parameter x to an integer and true or false, written as in JSON: its field takes nothing else.",
            {"key": "x", "pointers": ["/i", "/b"]},
        )
    ]


def test_a_type_is_declared_for_one_pointer_only() -> None:
    config: Any = {"a/b": ["{{pipeline_param.x}}", "{{pipeline_param.x}}"]}
    assert compile_config(config, {"/a~1b/1": "integer"}).resolve({"x": "5"}) == {"a/b": ["5", 5]}


def test_a_typed_field_with_more_than_one_placeholder_can_never_be_resolved() -> None:
    compiled = compile_config({"n": "1{{pipeline_param.x}}"}, {"/n": "integer"})
    assert [(found.field, found.code) for found in refusals(compiled, {"x": "5"})] == [("config/n", "wrong_type")]


def test_an_escaped_placeholder_in_a_typed_field_is_left_to_the_vendors_own_check() -> None:
    assert compile_config({"n": r"\{{pipeline_param.x}}"}, {"/n": "integer"}).resolve({}) == {
        "n": "{{pipeline_param.x}}"
    }


def test_no_refusal_quotes_a_value() -> None:
    compiled = compile_config({"n": "{{pipeline_param.x}}"}, {"/n": "integer"})
    with pytest.raises(Unresolvable) as caught:
        compiled.resolve({"x": "hunter2"})
    assert "hunter2" not in f"{caught.value.message} {caught.value.details}"
    assert "hunter2" not in repr(compile_config({"a": "hunter2 {{pipeline_param.x}}"}))


def test_values_that_use_a_concealed_key_come_out_as_three_stars() -> None:
    config: Any = {"a": "Bearer {{pipeline_param.s}}", "b": "{{pipeline_param.p}}", "c": r"\{{pipeline_param.s}}"}
    config["n"] = "{{pipeline_param.s}}"
    compiled = compile_config(config, {"/n": "integer"})
    assert compiled.resolve({"s": "5", "p": "x"}, conceal=["s"]) == {
        "a": "***",
        "b": "x",
        "c": "{{pipeline_param.s}}",
        "n": "***",
    }


@pytest.mark.parametrize("value", ["", "x", "5" * MIB])
def test_concealing_a_key_does_not_make_it_acceptable(value: str) -> None:
    compiled = compile_config({"n": "{{pipeline_param.s}}"}, {"/n": "integer"})
    with pytest.raises(Unresolvable):
        compiled.resolve({"s": value}, conceal={"s"})


@pytest.mark.parametrize("character", ["x", "ä", "😀", '"', "\x01", "\u2028"])
def test_a_resolved_config_has_at_most_1_mib_counted_exactly(character: str) -> None:
    compiled = compile_config({"a": [r"\\ä{{pipeline_param.k}}", "{{pipeline_param.l}}", r"\{{secret.x}}", 1.5]})
    room = MIB - compact_size(compiled.resolve({"k": "1", "l": "1"})) + 1
    each = compact_size(character) - 2
    parameters = {"k": character * (room // each) + "x" * (room % each), "l": "1"}
    assert compact_size(compiled.resolve(parameters)) == MIB
    assert refusals(compiled, parameters | {"l": "12"}) == [
        Detail(
            "config",
            "too_large",
            "Shorten the parameters: the config filled in with them may have at most 1 MiB as compact JSON.",
            {"pointer": "", "limit": MIB},
        )
    ]


def test_the_size_limit_is_listed_beside_the_other_reasons() -> None:
    config: Any = ["{{pipeline_param.k}}"] * 2 + ["{{pipeline_param.l}}"]
    assert [found.code for found in refusals(compile_config(config), {"k": "x" * (MIB // 2)})] == [
        "missing_parameter",
        "too_large",
    ]


def test_a_config_that_could_be_no_revision_is_never_resolved() -> None:
    compiled = compile_config({"a": "{{pipeline_params.k}}", "b": "{{pipeline_param.k}}"})
    assert [found.code for found in refusals(compiled, {"k": "x"})] == ["malformed_placeholder"]
    assert [found.code for found in refusals(compiled, {})] == ["malformed_placeholder", "missing_parameter"]


def test_a_tree_far_too_deep_is_refused_and_does_not_crash() -> None:
    tree: Any = "{{pipeline_param.k}}"
    for _ in range(10_000):
        tree = [tree]
    compiled = compile_config(tree)
    assert compiled.keys == ("k",)
    assert [found.code for found in refusals(compiled, {"k": "x"})] == ["too_deep"]
