"""Configs are checked against their vendor: what is wrong, what looks wrong, and what a placeholder excuses."""

from collections.abc import Mapping

import pytest

from integrations.vendors import VENDORS, Vendor, check_config
from tests.integrations.vendor_samples import FITS, NOTED, SAMPLE, SMALLEST


def codes(config: Mapping[str, object], vendor: Vendor = SAMPLE) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in check_config(vendor, config).errors]


def test_a_missing_required_field_is_named() -> None:
    (error,) = check_config(SAMPLE, {"left": "l"}).errors
    assert error.field == "config/name"
    assert error.code == "required"
    assert error.message == 'Sample needs "name" (Name): add it to the config.'
    assert error.extra == {"pointer": "/name"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 1234567890, '"name" (Name) must be a string; found a number.'),
        ("note", None, '"note" (Note) must be a string; found null.'),
        ("token", 5, '"token" (Token) must be a string; found a number.'),
        ("token", ["t"], '"token" (Token) must be a string; found an array.'),
        ("retries", "3", '"retries" (Retries) must be a whole number; found a string.'),
        ("retries", True, '"retries" (Retries) must be a whole number; found a boolean.'),
        ("retries", 3.0, '"retries" (Retries) must be a whole number; found a number.'),
        ("ratio", False, '"ratio" (Ratio) must be a number; found a boolean.'),
        ("ratio", "0.5", '"ratio" (Ratio) must be a number; found a string.'),
        ("strict", 1, '"strict" (Strict) must be true or false; found a number.'),
        ("strict", "true", '"strict" (Strict) must be true or false; found a string.'),
        ("mode", {}, '"mode" (Mode) must be a string; found an object.'),
        ("extras", [], '"extras" (Extras) must be an object; found an array.'),
        ("headers", "Authorization: x", '"headers" (Headers) must be an object; found a string.'),
    ],
)
def test_a_wrong_type_says_what_is_expected_and_what_was_found(key: str, value: object, message: str) -> None:
    (error,) = check_config(SAMPLE, {**FITS, key: value}).errors
    assert (error.field, error.code, error.message) == (f"config/{key}", "wrong_type", message)
    assert error.extra == {"pointer": f"/{key}"}


@pytest.mark.parametrize(
    ("key", "value"), [("retries", 3), ("ratio", 1), ("ratio", 0.5), ("strict", False), ("extras", {"a": [1]})]
)
def test_values_of_the_right_type_pass(key: str, value: object) -> None:
    assert codes({**FITS, key: value}) == []


def test_a_value_outside_the_choices_is_refused_with_the_choices() -> None:
    (error,) = check_config(SAMPLE, {**FITS, "mode": "Fast"}).errors
    assert (error.field, error.code) == ("config/mode", "not_a_choice")
    assert error.message == '"mode" (Mode) must be one of "fast", "safe".'
    assert error.extra == {"pointer": "/mode", "choices": ["fast", "safe"]}


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_what_must_say_something_may_not_be_empty(blank: str) -> None:
    assert codes({"name": blank, "token": blank, "right": blank}) == [
        ("config/name", "empty"),
        ("config/token", "empty"),
        ("config/right", "empty"),
    ]


def test_an_optional_plain_string_may_be_empty() -> None:
    assert codes({**FITS, "note": ""}) == []
    assert codes({"bucket": "b", "prefix": ""}, VENDORS["s3"]) == []


def test_one_of_a_group_is_enough_and_none_is_too_few() -> None:
    assert codes({"name": "n", "left": "l"}) == []
    assert codes({"name": "n", "right": "r"}) == []
    assert codes({"name": "n", "left": "l", "right": "r"}) == []
    (error,) = check_config(SAMPLE, {"name": "n"}).errors
    assert (error.field, error.code) == ("config/left", "one_of_required")
    assert error.message == 'Sample needs at least one of "left" (Left) or "right" (Right).'
    assert error.extra == {"pointer": "/left", "one_of": ["left", "right"]}


def test_ga4_takes_a_website_or_an_app() -> None:
    assert codes({"api_secret": "s"}, VENDORS["ga4"]) == [("config/measurement_id", "one_of_required")]
    assert codes({"api_secret": "s", "firebase_app_id": "1:2:ios:3"}, VENDORS["ga4"]) == []


def test_every_error_is_listed_in_the_order_of_the_fields() -> None:
    config = {"mode": "odd", "headers": {"A": 1, "B": ""}, "retries": "x", "token": ""}
    assert codes(config) == [
        ("config/name", "required"),
        ("config/token", "empty"),
        ("config/retries", "wrong_type"),
        ("config/mode", "not_a_choice"),
        ("config/headers/A", "wrong_type"),
        ("config/headers/B", "empty"),
        ("config/left", "one_of_required"),
    ]


def test_header_values_must_be_strings_and_their_pointers_are_escaped() -> None:
    (error,) = check_config(SAMPLE, {**FITS, "headers": {"a/b~c": 1}}).errors
    assert error.field == "config/headers/a~1b~0c"
    assert error.message == '"a/b~c" in "headers" (Headers) must be a string; found a number.'
    assert error.extra == {"pointer": "/headers/a~1b~0c"}


def test_a_variant_requires_what_it_says() -> None:
    findings = check_config(SAMPLE, FITS, variant=NOTED)
    assert [(error.field, error.code) for error in findings.errors] == [
        ("config/note", "required"),
        ("config/token", "required"),
    ]
    assert check_config(SAMPLE, {**FITS, "note": "", "token": "t"}, variant=NOTED).errors[0].code == "empty"


def test_what_the_config_says_wins_over_the_preset() -> None:
    assert NOTED.beneath({"note": "mine"}) == {"note": "mine", "retries": 3}


@pytest.mark.parametrize("value", ["SENTINEL", ["SENTINEL"], {"inner": ["SENTINEL"]}])
def test_a_secret_never_shows_in_a_message(value: object) -> None:
    for vendor in (*VENDORS.values(), SAMPLE):
        config = {field.key: value for field in vendor.fields} | {"no_such_field": value, "acces_token": value}
        findings = check_config(vendor, config)
        assert "SENTINEL" not in repr(findings)


@pytest.mark.parametrize("key", [field.key for field in SAMPLE.fields])
@pytest.mark.parametrize("text", ["{{pipeline_param.k}}", "a-{{ pipeline_param.k }}-z"])
def test_a_value_that_holds_a_placeholder_passes_whatever_the_type(key: str, text: str) -> None:
    assert codes({**FITS, key: text}) == []


@pytest.mark.parametrize("text", [r"\{{pipeline_param.k}}", "{{user.id}}", "{{pipeline_params.k}}"])
def test_what_is_not_a_placeholder_of_ours_is_checked_like_any_text(text: str) -> None:
    assert codes({**FITS, "retries": text, "mode": text}) == [
        ("config/retries", "wrong_type"),
        ("config/mode", "not_a_choice"),
    ]


def test_a_demo_config_with_a_parameter_is_accepted() -> None:
    config = {"measurement_id": "{{pipeline_param.ga4_measurement_id}}", "api_secret": "s", "debug_mode": False}
    assert codes(config, VENDORS["ga4"]) == []


def test_an_unknown_field_is_reported_with_the_nearest_known_name() -> None:
    findings = check_config(VENDORS["meta_capi"], SMALLEST["meta_capi"] | {"test_event_cod": "T"})
    assert findings.errors == ()
    (warning,) = findings.warnings
    assert (warning.field, warning.code) == ("config/test_event_cod", "unknown_field")
    assert warning.message == (
        'Meta Conversions API has no field "test_event_cod". It is kept as it is. Did you mean "test_event_code"?'
    )
    assert warning.extra == {"pointer": "/test_event_cod", "did_you_mean": "test_event_code"}


@pytest.mark.parametrize("written", ["pixelId", "PIXEL_ID", "pixel-id", "pixel_ids"])
def test_other_spellings_of_a_name_are_recognised(written: str) -> None:
    (warning,) = check_config(VENDORS["meta_capi"], SMALLEST["meta_capi"] | {written: "1"}).warnings
    assert warning.extra["did_you_mean"] == "pixel_id"


def test_an_unknown_field_with_no_near_name_gets_no_suggestion() -> None:
    (warning,) = check_config(SAMPLE, {**FITS, "a/b~c": 1}).warnings
    assert warning.field == "config/a~1b~0c"
    assert warning.message == 'Sample has no field "a/b~c". It is kept as it is.'
    assert warning.extra == {"pointer": "/a~1b~0c"}


def test_a_placeholder_for_a_whole_object_is_kept_with_a_warning() -> None:
    findings = check_config(SAMPLE, {**FITS, "headers": "{{pipeline_param.k}}", "mood": 1})
    assert findings.errors == ()
    assert [(warning.field, warning.code) for warning in findings.warnings] == [
        ("config/headers", "string_for_object"),
        ("config/mood", "unknown_field"),
    ]
    assert findings.warnings[0].message == (
        '"headers" (Headers) takes an object, and a parameter only ever gives a string. Put it inside the object.'
    )
