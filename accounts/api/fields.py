"""Bodies, read strictly: a field that does not exist is refused, and text, numbers and flags are what JSON says."""

import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rest_framework import serializers

from accounts.errors import Detail, Malformed

UNPRINTABLE = ("Cc", "Zl", "Zp")  # control characters, line and paragraph separators


class Body(serializers.Serializer[Any]):
    """The body of a write."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            writable = [name for name, field in self.fields.items() if not field.read_only]
            details = [_unknown(name, writable) for name in data if name not in writable]
            if details:
                raise Malformed(details[0].message, details)
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A JSON string; a number is not silently made into one, and blanks around it are the client's to keep."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be a string.", code="wrong_type")
        return super().to_internal_value(data)


class Line(Text):
    """Text in one line: no control characters."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if any(unicodedata.category(character) in UNPRINTABLE for character in text):
            raise serializers.ValidationError("This must not hold control characters.", code="control_character")
        return text


class Name(Line):
    """A name for people: no blanks around it, no control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 200, **options})

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, str) and data != data.strip():
            raise serializers.ValidationError("This must not begin or end with white space.", code="blanks")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """true or false, and nothing that merely looks like it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("This must be true or false.", code="wrong_type")
        return data


class Whole(serializers.IntegerField):
    """A JSON integer, and nothing that merely looks like it."""

    default_error_messages = {
        "min_value": "This must be at least {min_value}.",
        "max_value": "This must be at most {max_value}.",
    }

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError("This must be a whole number.", code="wrong_type")
        return data


class Ratio(serializers.FloatField):
    """A JSON number from 0 to 1."""

    default_error_messages = Whole.default_error_messages

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": 1, **options})

    def to_internal_value(self, data: Any) -> float:
        if not isinstance(data, int | float) or isinstance(data, bool):
            raise serializers.ValidationError("This must be a number from 0 to 1.", code="wrong_type")
        return float(data)


class Choice(serializers.ChoiceField):
    """One of a few strings."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            known = ", ".join(str(choice) for choice in self.choices)
            raise serializers.ValidationError(f"This must be one of: {known}.", code="not_a_choice")
        return data


def _unknown(name: str, known: list[str]) -> Detail:
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
    return Detail(name[:64], "unknown_field", f"There is no field named {name[:64]!a}. {hint}")
