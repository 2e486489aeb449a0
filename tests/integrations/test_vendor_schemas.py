"""The JSON Schema of a vendor says the same as its checks."""

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from integrations.vendors import VENDORS, Field, Variant, Vendor, check_config, json_schema
from tests.integrations.vendor_samples import FITS, SAMPLE, SMALLEST, every_vendor

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
