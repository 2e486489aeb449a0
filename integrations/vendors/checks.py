"""Whether a config fits its vendor, told to people (findings) and to programs (JSON Schema)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from accounts.errors import Detail
from integrations.placeholders import holds_placeholder
from integrations.vendors.vendor import Field, FieldType, Variant, Vendor, nearest_field, pointer_to

EXPECTED: Mapping[FieldType, str] = {
    "string": "a string",
    "secret": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "enum": "a string",
    "object": "an object",
}
SCHEMA_TYPES: Mapping[FieldType, str] = {
    "string": "string",
    "secret": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "enum": "string",
    "object": "object",
}
NOT_BLANK = r"\S"


@dataclass(frozen=True)
class Findings:
    """All that is wrong with a config (`errors`) and all that merely looks wrong (`warnings`)."""

    errors: tuple[Detail, ...] = ()
    warnings: tuple[Detail, ...] = ()


def check_config(vendor: Vendor, config: Mapping[str, object], *, variant: Variant | None = None) -> Findings:
    """Every error in the order of the vendor's fields, and a warning for every field the vendor does not know.

    A string that holds a placeholder passes for any type and any choice, with a warning where an object belongs. With
    a variant, the fields it requires are required too. No message ever holds a value of the config.
    """
    known = {field.key for field in vendor.fields}
    odd = (_filled_object(field) for field in vendor.fields if _is_filled_object(field, config.get(field.key)))
    unknown = (_unknown(vendor, key) for key in config if key not in known)
    return Findings(
        errors=tuple(fault for field in vendor.fields for fault in _faults(vendor, field, config, variant)),
        warnings=(*odd, *unknown),
    )


def json_schema(vendor: Vendor, *, variant: Variant | None = None) -> dict[str, Any]:
    """The same rules as JSON Schema 2020-12, for configs without placeholders.

    One difference is JSON Schema's own: it takes 3.0 for a whole number, and `check_config` does not.
    """
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": vendor.name,
        "description": vendor.description,
        "type": "object",
        "properties": {field.key: _property_schema(vendor, field, variant) for field in vendor.fields},
        "required": [field.key for field in vendor.fields if _is_required(field, variant)],
        "additionalProperties": True,
    }
    if vendor.one_of:
        schema["allOf"] = [{"anyOf": [{"required": [key]} for key in group]} for group in vendor.one_of]
    return schema


def _faults(vendor: Vendor, field: Field, config: Mapping[str, object], variant: Variant | None) -> Iterator[Detail]:
    if field.key in config:
        yield from _value_faults(vendor, field, config[field.key], variant)
    elif _is_required(field, variant):
        yield _detail(field.pointer, "required", f"{vendor.name} needs {_named(field)}: add it to the config.")
    yield from _group_faults(vendor, field, config)


def _value_faults(vendor: Vendor, field: Field, value: object, variant: Variant | None) -> Iterator[Detail]:
    if isinstance(value, str) and holds_placeholder(value):
        return
    if not _fits(field.type, value):
        yield _wrong_type(field.pointer, _named(field), EXPECTED[field.type], value)
    elif field.choices and value not in field.choices:
        choices = ", ".join(f'"{choice}"' for choice in field.choices)
        message = f"{_named(field)} must be one of {choices}."
        yield _detail(field.pointer, "not_a_choice", message, choices=list(field.choices))
    elif isinstance(value, str) and not value.strip() and _may_not_be_blank(vendor, field, variant):
        yield _empty(field.pointer, _named(field))
    elif isinstance(value, Mapping) and field.secret_values:
        yield from _secret_value_faults(field, value)


def _secret_value_faults(field: Field, values: Mapping[str, object]) -> Iterator[Detail]:
    for key, value in values.items():
        pointer, named = pointer_to(field.key, key), f'"{key}" in {_named(field)}'
        if not isinstance(value, str):
            yield _wrong_type(pointer, named, EXPECTED["secret"], value)
        elif not value.strip():
            yield _empty(pointer, named)


def _group_faults(vendor: Vendor, field: Field, config: Mapping[str, object]) -> Iterator[Detail]:
    """The groups that start with this field and of which the config has no field at all."""
    labels = {known.key: _named(known) for known in vendor.fields}
    for group in vendor.one_of:
        if group[0] == field.key and not any(key in config for key in group):
            message = f"{vendor.name} needs at least one of {' or '.join(labels[key] for key in group)}."
            yield _detail(field.pointer, "one_of_required", message, one_of=list(group))


def _unknown(vendor: Vendor, key: str) -> Detail:
    message = f'{vendor.name} has no field "{key}". It is kept as it is.'
    if not (near := nearest_field(vendor, key)):
        return _detail(pointer_to(key), "unknown_field", message)
    return _detail(pointer_to(key), "unknown_field", f'{message} Did you mean "{near.key}"?', did_you_mean=near.key)


def _is_filled_object(field: Field, value: object) -> bool:
    return field.type == "object" and isinstance(value, str) and holds_placeholder(value)


def _filled_object(field: Field) -> Detail:
    message = f"{_named(field)} takes an object, and a parameter only ever gives a string. Put it inside the object."
    return _detail(field.pointer, "string_for_object", message)


def _is_required(field: Field, variant: Variant | None) -> bool:
    return field.required or (variant is not None and field.key in variant.requires)


def _may_not_be_blank(vendor: Vendor, field: Field, variant: Variant | None) -> bool:
    """An optional plain string may be empty, as an S3 prefix may; anything that has to say something may not."""
    return field.type == "secret" or _is_required(field, variant) or any(field.key in group for group in vendor.one_of)


def _fits(type_: FieldType, value: object) -> bool:
    match type_:
        case "string" | "secret" | "enum":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, Mapping)


def _property_schema(vendor: Vendor, field: Field, variant: Variant | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"title": field.label, "description": field.help_text, "type": SCHEMA_TYPES[field.type]}
    if field.choices:
        schema["enum"] = list(field.choices)
    elif schema["type"] == "string" and _may_not_be_blank(vendor, field, variant):
        schema["pattern"] = NOT_BLANK
    if field.type == "secret":
        schema["writeOnly"] = True
    if field.secret_values:
        schema["additionalProperties"] = {"type": "string", "pattern": NOT_BLANK, "writeOnly": True}
    if field.default is not None:
        schema["default"] = field.default
    return schema


def _wrong_type(pointer: str, named: str, expected: str, value: object) -> Detail:
    return _detail(pointer, "wrong_type", f"{named} must be {expected}; found {_json_type(value)}.")


def _empty(pointer: str, named: str) -> Detail:
    return _detail(pointer, "empty", f"{named} is empty: give it a value.")


def _detail(pointer: str, code: str, message: str, **extra: object) -> Detail:
    return Detail(f"config{pointer}", code, message, {"pointer": pointer, **extra})


def _named(field: Field) -> str:
    return f'"{field.key}" ({field.label})'


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case Mapping():
            return "an object"
        case _:
            return "an array"
