"""The vendor catalogue: its entries are sound."""

import subprocess
import sys
from pathlib import Path

from integrations.vendors import CATEGORIES, VENDORS, Vendor, check_config
from tests.integrations.vendor_samples import SMALLEST, every_vendor


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
