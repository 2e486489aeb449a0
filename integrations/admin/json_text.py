"""JSON that people type: read as strictly as a request's body, with a sentence that says where it went wrong."""

import json
from math import isinf
from typing import Any, NoReturn

from django import forms

DEEPEST = 64  # twice what a config may be; far from what would exhaust the parser


class _Nothing:
    """Nothing was typed, which is not the same as a JSON null."""

    def __bool__(self) -> bool:
        return False


NOTHING = _Nothing()


class JSONText(forms.CharField):
    """A text area of JSON; cleaned to its value, or to NOTHING where it was left empty."""

    widget = forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, **options})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return parse(text) if text else NOTHING


class JSONObject(JSONText):
    def clean(self, value: Any) -> Any:
        parsed = super().clean(value)
        if parsed is not NOTHING and not isinstance(parsed, dict):
            raise forms.ValidationError('Write a JSON object, such as {"name": "value"}.')
        return parsed


def parse(text: str) -> Any:
    """Raises forms.ValidationError, which never holds the text itself."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise forms.ValidationError(f"This is not JSON: {error.msg} at {place}.") from None
    except RecursionError:
        raise forms.ValidationError(_TOO_DEEP) from None
    except ValueError:  # Python's own limit on the digits of one integer
        raise forms.ValidationError("There is a number in it that is too long to be read.") from None
    if _is_too_deep(value):
        raise forms.ValidationError(_TOO_DEEP)
    return value


def written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_TOO_DEEP = f"This is nested too deep. At most {DEEPEST} levels are read."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise forms.ValidationError("A key stands twice in one object. Write it once.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise forms.ValidationError(f"{name} is not JSON. Write a number, a string or null.")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise forms.ValidationError("There is a number in it that is too large to be read.")
    return number


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
