"""A vendor's fields as inputs: each kind shows the value a revision holds, and reads what somebody typed."""

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, ClassVar

from django import forms

from integrations.admin.json_text import NOTHING, parse, written
from integrations.placeholders import MASK, holds_placeholder
from integrations.vendors import Field, FieldType, pointer_to

SPARE_ROWS = 3
KEPT = "Kept unless you type a new one."
TYPED = "You typed a new one: it is kept while this form is open. Type again to replace it."

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,4})?")
_QUIET = {"autocomplete": "off", "spellcheck": "false"}

Inputs = dict[str, forms.Field]


class SecretInput(forms.PasswordInput):
    """Never sent back to the browser, not even after an error."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(attrs=_QUIET | {"autocomplete": "new-password"} | attributes, render_value=False)


class SecretText(forms.Textarea):
    """A secret of several lines, such as a private key, which a password input would join into one."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(attrs=_QUIET | {"rows": 4} | attributes)

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class Entry:
    """One field of a vendor. `held` is the masked value that the form starts from, or NOTHING."""

    kind: ClassVar = "plain"

    def __init__(self, field: Field, held: Any) -> None:
        self.field = field
        self.held = held
        self.name = f"field_{field.key}"

    @staticmethod
    def shows(value: Any) -> bool:
        """Whether this kind of input can hold the value without changing it."""
        return isinstance(value, str) and "\r" not in value

    @property
    def required(self) -> bool:
        return self.field.required

    def inputs(self, data: Mapping[str, Any], carried: Mapping[str, Any]) -> Inputs:
        """The form's fields by name, for what was sent and the secrets it carries."""
        return {self.name: self.text_input()}

    def read(self, texts: Mapping[str, Any], carried: Mapping[str, Any]) -> Any:
        """The value, or NOTHING. Raises forms.ValidationError."""
        text = _lines(texts.get(self.name, ""))
        return self.value_of(text) if text or self.held == "" else NOTHING

    def input_of(self, steps: list[str], texts: Mapping[str, Any]) -> str:
        """The name of the input that a message about this place in the value belongs to."""
        return self.name

    def text(self) -> str:
        return "" if self.held is NOTHING else self.held if isinstance(self.held, str) else json.dumps(self.held)

    def value_of(self, text: str) -> Any:
        return text

    def text_input(self, **attributes: Any) -> forms.CharField:
        known = _QUIET | {"placeholder": self.field.placeholder} | attributes
        if self.required:
            known["required"] = True
        text = self.text()
        widget = forms.Textarea(attrs=known | {"rows": 4}) if "\n" in text else forms.TextInput(attrs=known)
        return _input(self.field.label, self.help(), widget, initial=text)

    def help(self) -> str:
        default = "" if self.field.default is None else f" Left empty, it is {json.dumps(self.field.default)}."
        return f"{self.field.help_text}{default}"


class NumberEntry(Entry):
    """A number, or a parameter that gives one: hence a text input."""

    @staticmethod
    def shows(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number or (isinstance(value, str) and holds_placeholder(value))

    def text_input(self, **attributes: Any) -> forms.CharField:
        return super().text_input(inputmode="numeric" if self.field.type == "integer" else "decimal")

    def value_of(self, text: str) -> Any:
        """What is no number stays text, and the vendor's rules say what is wrong with it."""
        plain = text.strip()
        if _INTEGER.fullmatch(plain):
            return int(plain)
        is_number = _NUMBER.fullmatch(plain) and isfinite(float(plain))
        return float(plain) if is_number else plain


class ChoiceEntry(Entry):
    """A few choices, and beside them a text input for a parameter, which counts where it is filled in."""

    kind: ClassVar = "choice"

    def __init__(self, field: Field, held: Any) -> None:
        super().__init__(field, held)
        self.values = {"true": True, "false": False} if field.type == "boolean" else dict.fromkeys(field.choices)
        self.instead = f"{self.name}_instead"

    @staticmethod
    def shows(value: Any) -> bool:
        return isinstance(value, bool) or Entry.shows(value)

    def inputs(self, data: Mapping[str, Any], carried: Mapping[str, Any]) -> Inputs:
        text = self.text()
        nothing = "Not set" if self.field.default is None else f"Not set ({json.dumps(self.field.default)})"
        choices = [("", nothing), *((value, value) for value in self.values)]
        known = text in self.values
        return {
            self.name: forms.ChoiceField(
                label=self.field.label,
                help_text=self.field.help_text,
                choices=choices,
                required=False,
                initial=text if known else "",
            ),
            self.instead: _input(
                f"{self.field.label}: a pipeline’s parameter instead",
                "If you write one here, it counts instead of the choice above.",
                forms.TextInput(attrs=_QUIET | {"placeholder": "{{pipeline_param.KEY}}"}),
                initial="" if known else text,
            ),
        }

    def read(self, texts: Mapping[str, Any], carried: Mapping[str, Any]) -> Any:
        if instead := _lines(texts.get(self.instead, "")):
            return instead
        chosen = texts.get(self.name, "")
        return (self.values[chosen] if self.field.type == "boolean" else chosen) if chosen else NOTHING


class ObjectEntry(Entry):
    @staticmethod
    def shows(value: Any) -> bool:
        return isinstance(value, Mapping) or (isinstance(value, str) and holds_placeholder(value))

    def text(self) -> str:
        return written(self.held) if isinstance(self.held, Mapping) else super().text()

    def text_input(self, **attributes: Any) -> forms.CharField:
        widget = forms.Textarea(attrs=_QUIET | {"rows": 6, "placeholder": self.field.placeholder})
        return _input(self.field.label, f"{self.help()} A JSON object.", widget, initial=self.text())

    def value_of(self, text: str) -> Any:
        try:
            return parse(text)
        except forms.ValidationError:
            if holds_placeholder(text):
                return text.strip()
            raise


class SecretEntry(Entry):
    """A secret: typed, else carried from the last answer, else kept from the revision it starts from."""

    kind: ClassVar = "secret"

    def __init__(self, field: Field, held: Any) -> None:
        super().__init__(field, held)
        self.remove = f"{self.name}_remove"

    @property
    def required(self) -> bool:
        return self.field.required and self.held is NOTHING

    def inputs(self, data: Mapping[str, Any], carried: Mapping[str, Any]) -> Inputs:
        is_typed, is_held = self.field.pointer in carried or data.get(self.name), self.held is not NOTHING
        note = TYPED if is_typed else KEPT if is_held else ""
        attributes = {"placeholder": "" if is_typed or is_held else self.field.placeholder}
        widget = SecretText(**attributes) if "\n" in self.field.placeholder else SecretInput(**attributes)
        inputs: Inputs = {self.name: _input(self.field.label, f"{self.field.help_text} {note}".strip(), widget)}
        if (is_typed or is_held) and not self.field.required:
            inputs[self.remove] = forms.BooleanField(label=f"Remove {self.field.label}", required=False)
        return inputs

    def read(self, texts: Mapping[str, Any], carried: Mapping[str, Any]) -> Any:
        if typed := _lines(texts.get(self.name, "")):
            return typed
        if texts.get(self.remove):
            return NOTHING
        kept = NOTHING if self.held is NOTHING else MASK
        return carried.get(self.field.pointer, kept)


class PairsEntry(Entry):
    """An object whose every value is a secret, such as HTTP headers: rows of a name and a password input."""

    kind: ClassVar = "pairs"

    @staticmethod
    def shows(value: Any) -> bool:
        return isinstance(value, Mapping)

    def inputs(self, data: Mapping[str, Any], carried: Mapping[str, Any]) -> Inputs:
        held = list(self.held) if isinstance(self.held, Mapping) else []
        count = 0
        while self._key(count) in data:
            count += 1
        inputs: Inputs = {}
        for number in range(max(len(held) + SPARE_ROWS, count)):
            key = held[number] if number < len(held) else ""
            inputs |= self._row(number, key, str(data.get(self._key(number), key)), data, carried)
        return inputs

    def _row(self, number: int, initial: str, key: str, data: Mapping[str, Any], carried: Mapping[str, Any]) -> Inputs:
        is_typed = pointer_to(self.field.key, key) in carried or data.get(self._value(number))
        is_held = isinstance(self.held, Mapping) and key in self.held
        note = TYPED if is_typed else KEPT if is_held else ""
        name = forms.TextInput(attrs=_QUIET)
        return {
            self._key(number): _input(f"{self.field.label}: name {number + 1}", "", name, initial=initial),
            self._value(number): _input(f"{self.field.label}: value {number + 1}", note, SecretInput()),
        }

    def read(self, texts: Mapping[str, Any], carried: Mapping[str, Any]) -> Any:
        value: dict[str, Any] = {}
        for key, typed in self._pairs(texts):
            if key in value:
                raise forms.ValidationError(f"The name {key!a} stands twice. Write it once.")
            value[key] = typed or carried.get(pointer_to(self.field.key, key), MASK)
        return value if value or self.held == {} else NOTHING

    def input_of(self, steps: list[str], texts: Mapping[str, Any]) -> str:
        keys = [str(texts.get(self._key(number), "")) for number in range(self._count(texts))]
        return self._value(keys.index(steps[0])) if steps and steps[0] in keys else self._key(0)

    def _pairs(self, texts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for number in range(self._count(texts)):
            key, typed = str(texts.get(self._key(number), "")), str(texts.get(self._value(number), ""))
            if typed and not key:
                raise forms.ValidationError(f"Value {number + 1} has no name. Write one beside it.")
            if key:
                yield key, typed

    def _count(self, texts: Mapping[str, Any]) -> int:
        prefix = f"{self.name}_key_"
        return 1 + max((int(name.removeprefix(prefix)) for name in texts if name.startswith(prefix)), default=-1)

    def _key(self, number: int) -> str:
        return f"{self.name}_key_{number}"

    def _value(self, number: int) -> str:
        return f"{self.name}_value_{number}"


_KINDS: Mapping[FieldType, type[Entry]] = {
    "string": Entry,
    "secret": SecretEntry,
    "integer": NumberEntry,
    "number": NumberEntry,
    "boolean": ChoiceEntry,
    "enum": ChoiceEntry,
    "object": ObjectEntry,
}


def entry_for(field: Field, held: Any) -> Entry | None:
    """The field's inputs; None where they cannot show what the revision holds, which then stays JSON."""
    kind = PairsEntry if field.secret_values else _KINDS[field.type]
    return kind(field, held) if held is NOTHING or kind.shows(held) else None


def _input(label: str, help_text: str, widget: forms.Widget, initial: str = "") -> forms.CharField:
    return forms.CharField(
        label=label, help_text=help_text, widget=widget, initial=initial, required=False, strip=False
    )


def _lines(text: str) -> str:
    """Browsers send line ends as CR LF."""
    return text.replace("\r\n", "\n")
