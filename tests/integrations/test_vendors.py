"""The vendor catalogue: its entries are sound, and configs are checked against them."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from integrations.vendors import (
    CATEGORIES,
    VENDORS,
    Field,
    Variant,
    Vendor,
    check_config,
    json_schema,
    secret_pointers,
    typed_pointers,
)

SMALLEST: Mapping[str, dict[str, Any]] = {
    "amplitude": {"api_key": "a"},
    "appsflyer": {"app_id": "id1", "s2s_token": "t"},
    "awin": {"advertiser_id": "1", "api_key": "k"},
    "bigquery": {"project_id": "p", "dataset_id": "d", "table_id": "t"},
    "braze": {"api_key": "k", "rest_endpoint": "https://rest.iad-01.braze.com"},
    "customer_io": {"site_id": "s", "api_key": "k"},
    "ga4": {"measurement_id": "G-AAAA", "api_secret": "s"},
    "google_ads": {
        "customer_id": "1",
        "conversion_action_id": "2",
        "developer_token": "d",
        "refresh_token": "r",
    },
    "google_pubsub": {"project_id": "p", "topic_id": "t"},
    "hubspot": {"access_token": "t"},
    "intercom": {"access_token": "t"},
    "iterable": {"api_key": "k"},
    "kafka": {"rest_endpoint": "https://kafka.example.com", "cluster_id": "c", "topic_name": "t"},
    "kinesis": {"region": "eu-west-1", "stream_name": "s"},
    "klaviyo": {"api_key": "k"},
    "linkedin": {"conversion_id": "1", "access_token": "t"},
    "matomo": {"tracking_url": "https://example.com/matomo.php", "idsite": "1"},
    "meta_capi": {"pixel_id": "1234567890", "access_token": "..."},
    "microsoft_ads": {"tag_id": "1", "access_token": "t"},
    "mixpanel": {"token": "t"},
    "mparticle": {"api_key": "k", "api_secret": "s"},
    "onesignal": {"app_id": "a", "api_key": "k"},
    "pinterest": {"ad_account_id": "1", "access_token": "t"},
    "plausible": {"domain": "example.com"},
    "posthog": {"api_key": "phc_1"},
    "reddit": {"pixel_id": "a2_1", "access_token": "t"},
    "redshift": {"region": "eu-west-1", "workgroup_name": "w", "database": "d", "table": "t"},
    "rudderstack": {"write_key": "k", "data_plane_url": "https://example.com"},
    "s3": {"bucket": "b"},
    "segment": {"write_key": "k"},
    "snapchat": {"pixel_id": "p", "access_token": "t"},
    "snowflake": {"account": "a", "private_key": "k", "database": "d", "table": "t"},
    "the_trade_desk": {"advertiser_id": "a", "upixel_id": "u"},
    "tiktok": {"pixel_code": "C1", "access_token": "t"},
    "webhook": {"url": "https://example.com"},
    "x_ads": {
        "pixel_id": "o8z6j",
        "event_id": "tw-o8z6j-o87ne",
        "consumer_key": "a",
        "consumer_secret": "b",
        "access_token": "c",
        "access_token_secret": "d",
    },
}

SAMPLE = Vendor(
    key="sample",
    name="Sample",
    category="streams",
    description="Holds one field of each type.",
    documentation_url="https://example.com",
    fields=(
        Field("name", "Name", "string", required=True),
        Field("note", "Note", "string"),
        Field("token", "Token", "secret"),
        Field("retries", "Retries", "integer"),
        Field("ratio", "Ratio", "number"),
        Field("strict", "Strict", "boolean"),
        Field("mode", "Mode", "enum", choices=("fast", "safe")),
        Field("extras", "Extras", "object"),
        Field("headers", "Headers", "object", secret_values=True),
        Field("left", "Left", "string"),
        Field("right", "Right", "string"),
    ),
    variants=(Variant("noted", "Noted", "Needs a note.", {"note": "preset", "retries": 3}, ("note", "token")),),
    one_of=(("left", "right"),),
)
FITS: dict[str, Any] = {"name": "n", "left": "l"}
NOTED = SAMPLE.variants[0]

every_vendor = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)


def codes(config: Mapping[str, object], vendor: Vendor = SAMPLE) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in check_config(vendor, config).errors]


# The entries


def test_the_catalogue_holds_36_vendors_by_category_and_name() -> None:
    assert len(VENDORS) == 36
    assert sorted(VENDORS) == sorted(SMALLEST)
    order = [(vendor.category, vendor.name.casefold()) for vendor in VENDORS.values()]
    assert order == sorted(order)
    assert {vendor.category for vendor in VENDORS.values()} == set(CATEGORIES)


@every_vendor
def test_a_vendor_is_found_under_its_own_key(vendor: Vendor) -> None:
    assert VENDORS[vendor.key] is vendor


@every_vendor
def test_a_vendor_says_what_it_is(vendor: Vendor) -> None:
    assert vendor.name
    assert vendor.description.endswith(".")
    assert vendor.documentation_url.startswith("https://")
    assert vendor.fields


@every_vendor
def test_every_field_says_what_it_is_and_where_to_find_it(vendor: Vendor) -> None:
    for field in vendor.fields:
        assert field.key.isidentifier()
        assert field.key == field.key.lower()
        assert field.label
        assert field.help_text.endswith("."), field.key
        assert field.placeholder or field.type in {"boolean", "enum"}, field.key


@every_vendor
def test_keys_are_unique(vendor: Vendor) -> None:
    field_keys = [field.key for field in vendor.fields]
    variant_keys = [variant.key for variant in vendor.variants]
    assert len(field_keys) == len(set(field_keys))
    assert len(variant_keys) == len(set(variant_keys))


@every_vendor
def test_enums_and_only_enums_have_choices(vendor: Vendor) -> None:
    for field in vendor.fields:
        assert bool(field.choices) == (field.type == "enum"), field.key
        assert len(field.choices) == len(set(field.choices))


@every_vendor
def test_only_objects_have_secret_values(vendor: Vendor) -> None:
    assert all(field.type == "object" for field in vendor.fields if field.secret_values)


@every_vendor
def test_whatever_is_called_a_secret_is_one(vendor: Vendor) -> None:
    endings = ("token", "token_secret", "api_key", "write_key", "secret", "password", "passphrase", "private_key")
    for field in vendor.fields:
        if field.key.endswith(endings):
            assert field.type == "secret", field.key


@every_vendor
def test_no_secret_has_a_default(vendor: Vendor) -> None:
    assert all(field.default is None for field in vendor.fields if field.type == "secret")


@every_vendor
def test_groups_and_variants_name_fields_that_exist(vendor: Vendor) -> None:
    known = {field.key for field in vendor.fields}
    for group in vendor.one_of:
        assert len(group) > 1
        assert set(group) <= known
    for variant in vendor.variants:
        assert variant.label
        assert variant.help_text
        assert {*variant.requires, *variant.preset} <= known


@every_vendor
def test_defaults_fit_their_own_fields(vendor: Vendor) -> None:
    defaults = {field.key: field.default for field in vendor.fields if field.default is not None}
    assert check_config(vendor, SMALLEST[vendor.key] | defaults).errors == ()


@every_vendor
def test_presets_fit_the_fields_they_fill(vendor: Vendor) -> None:
    for variant in vendor.variants:
        filled = SMALLEST[vendor.key] | dict.fromkeys(variant.requires, "x") | dict(variant.preset)
        assert check_config(vendor, filled, variant=variant).errors == ()


@every_vendor
def test_the_smallest_config_is_accepted_without_a_word(vendor: Vendor) -> None:
    findings = check_config(vendor, SMALLEST[vendor.key])
    assert findings.errors == ()
    assert findings.warnings == ()


@every_vendor
def test_nothing_can_be_left_out_of_the_smallest_config(vendor: Vendor) -> None:
    for key in SMALLEST[vendor.key]:
        rest = {other: value for other, value in SMALLEST[vendor.key].items() if other != key}
        assert len(check_config(vendor, rest).errors) == 1


@every_vendor
def test_the_placeholders_shown_to_people_are_values_that_fit(vendor: Vendor) -> None:
    shown = {field.key: field.placeholder for field in vendor.fields if field.type in {"string", "secret"}}
    assert check_config(vendor, shown).errors == ()


def test_the_catalogue_needs_no_django() -> None:
    program = "import sys, integrations.vendors; print([name for name in sys.modules if name.startswith('django')])"
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


# Errors


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


# Placeholders


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


# Warnings


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


# Secrets and casts


def test_secrets_are_found_where_they_are_present() -> None:
    assert secret_pointers(SAMPLE, FITS) == frozenset()
    assert secret_pointers(SAMPLE, {**FITS, "token": "t"}) == {"/token"}
    assert secret_pointers(VENDORS["meta_capi"], SMALLEST["meta_capi"]) == {"/access_token"}


@pytest.mark.parametrize("value", [5, None, ["t"], {"a": "t"}])
def test_a_secret_of_the_wrong_type_is_still_a_secret(value: object) -> None:
    assert secret_pointers(SAMPLE, {"token": value}) == {"/token"}


def test_every_header_is_a_secret() -> None:
    headers = {"Authorization": "Bearer x", "a/b~c": "1", "deep": {"x": "y"}}
    assert secret_pointers(VENDORS["webhook"], {"url": "https://example.com", "headers": headers}) == {
        "/headers/Authorization",
        "/headers/a~1b~0c",
        "/headers/deep",
    }


def test_headers_that_are_no_object_are_a_secret_as_a_whole() -> None:
    assert secret_pointers(SAMPLE, {"headers": "Authorization: x"}) == {"/headers"}
    assert secret_pointers(SAMPLE, {"headers": ["Authorization: x"]}) == {"/headers"}
    assert secret_pointers(SAMPLE, {"headers": {}}) == frozenset()


def test_a_misspelt_secret_is_still_a_secret() -> None:
    config = {"pixelId": "1", "acces_token": "t", "accessToken": "t", "unrelated": "u"}
    assert secret_pointers(VENDORS["meta_capi"], config) == {"/acces_token", "/accessToken"}
    assert secret_pointers(SAMPLE, {"header": {"Authorization": "x"}}) == {"/header/Authorization"}


def test_numbers_and_booleans_are_cast_and_nothing_else() -> None:
    assert typed_pointers(SAMPLE) == {"/retries": "integer", "/ratio": "number", "/strict": "boolean"}
    assert typed_pointers(VENDORS["webhook"]) == {"/timeout_seconds": "number"}
    assert typed_pointers(VENDORS["hubspot"]) == {}


# The JSON Schema says the same

TEXTS = st.text(st.characters(exclude_characters="{", exclude_categories=["Cs"]), max_size=8)
# JSON Schema takes 3.0 for a whole number, and we do not.
FRACTIONS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    FRACTIONS,
    TEXTS,
    st.lists(TEXTS, max_size=2),
    st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers()), max_size=2),
)


def fitting(field: Field) -> st.SearchStrategy[object]:
    """Mostly values that fit the field, and now and then a blank one."""
    match field.type:
        case "string" | "secret":
            return st.one_of(TEXTS, st.sampled_from(["x", " ", "***"]))
        case "enum":
            return st.sampled_from(field.choices)
        case "integer":
            return st.integers()
        case "number":
            return st.one_of(st.integers(), FRACTIONS)
        case "boolean":
            return st.booleans()
        case "object":
            return st.dictionaries(TEXTS, TEXTS, max_size=2)


@st.composite
def configs(draw: st.DrawFn) -> tuple[Vendor, Variant | None, dict[str, object]]:
    """A vendor, perhaps a variant, and a config that fits but for a few changes."""
    vendor = draw(st.sampled_from([*VENDORS.values(), SAMPLE]))
    variant = draw(st.sampled_from([None, *vendor.variants]))
    config: dict[str, object] = dict(SMALLEST.get(vendor.key, FITS))
    for field in draw(st.lists(st.sampled_from(vendor.fields), max_size=4)):
        config[field.key] = draw(st.one_of(fitting(field), fitting(field), fitting(field), ANYTHING))
    if draw(st.integers(0, 3)) == 0:
        del config[draw(st.sampled_from([*config]))]
    return vendor, variant, config


@settings(max_examples=400, deadline=None)
@given(configs())
def test_a_config_is_accepted_exactly_when_its_json_schema_validates(
    drawn: tuple[Vendor, Variant | None, dict[str, object]],
) -> None:
    vendor, variant, config = drawn
    accepted = check_config(vendor, config, variant=variant).errors == ()
    assert accepted == Draft202012Validator(json_schema(vendor, variant=variant)).is_valid(config)


@every_vendor
def test_the_json_schema_is_one_and_accepts_the_smallest_config(vendor: Vendor) -> None:
    schema = json_schema(vendor)
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(SMALLEST[vendor.key])


def test_the_json_schema_tells_all_there_is_to_know() -> None:
    schema = json_schema(SAMPLE)
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is True
    assert schema["allOf"] == [{"anyOf": [{"required": ["left"]}, {"required": ["right"]}]}]
    assert schema["properties"]["mode"] == {
        "title": "Mode",
        "description": "",
        "type": "string",
        "enum": ["fast", "safe"],
    }
    assert schema["properties"]["token"]["writeOnly"] is True
    assert json_schema(VENDORS["webhook"])["properties"]["timeout_seconds"]["default"] == 10
