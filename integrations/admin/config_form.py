"""A form made from a vendor's fields; secrets that were typed stay with it sealed, and are never sent back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms import BoundField
from django.http import QueryDict

from accounts.errors import Detail, Refused
from integrations import secrets
from integrations.admin.entries import Entry, entry_for
from integrations.admin.json_text import NOTHING, JSONObject, written
from integrations.placeholders import MASK
from integrations.pointers import masked, steps, value_at, with_values
from integrations.vendors import Vendor, secret_pointers

LOST = "The secrets you typed before could not be read back. Type them again."


@dataclass(frozen=True)
class Row:
    """One field of the vendor as the page shows it: its first input, and those that belong to it."""

    kind: str
    entry: Entry
    main: BoundField
    more: tuple[BoundField, ...]

    @property
    def pairs(self) -> list[tuple[BoundField, BoundField]]:
        """For rows of a name and a value."""
        inputs = [self.main, *self.more]
        return list(zip(inputs[::2], inputs[1::2], strict=True))

    @property
    def is_open(self) -> bool:
        """Whether what usually stays folded is in use."""
        return any(field.value() or field.errors for field in self.more)


class ConfigForm(forms.Form):
    """`held` is the masked config that the form starts from; `owner` names who may open what it seals, and for what.

    Once it is clean, `config` is ready for the services: typed secrets in place, kept ones as the mask.
    """

    def __init__(
        self, data: QueryDict | None = None, *, vendor: Vendor, held: Mapping[str, Any], owner: str, **options: Any
    ) -> None:
        super().__init__(data.dict() if data is not None else None, **options)
        self.vendor = vendor
        self.owner = owner
        self.config: dict[str, Any] = {}
        self.lost_secrets = False
        self._typed = self._carried()
        entries = [entry_for(field, held.get(field.key, NOTHING)) for field in vendor.fields]
        self.entries = [entry for entry in entries if entry]
        self._inputs = {entry: entry.inputs(self.data, self._typed) for entry in self.entries}
        for inputs in self._inputs.values():
            self.fields.update(inputs)
        shown = {entry.field.key for entry in self.entries}
        rest = {key: value for key, value in held.items() if key not in shown}
        self.fields["other"] = JSONObject(
            label="Other fields",
            initial=written(rest) if rest else "",
            help_text=f"What {vendor.name} takes beside the fields above, as a JSON object. Kept as it is. "
            f"“{MASK}” stands for a secret that is kept.",
        )

    @property
    def rows(self) -> list[Row]:
        return [self._row(entry, [self[name] for name in inputs]) for entry, inputs in self._inputs.items()]

    @property
    def own_fields(self) -> list[BoundField]:
        """What is not part of the config, in its order."""
        ours = {name for inputs in self._inputs.values() for name in inputs} | {"other"}
        return [field for field in self.visible_fields() if field.name not in ours]

    @property
    def other(self) -> BoundField:
        return self["other"]

    @property
    def sealed(self) -> str:
        """The secrets typed so far, for a hidden input; empty where there are none."""
        return secrets.seal(json.dumps(self._typed), context=self.owner) if self._typed else ""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        config = dict(self._values(cleaned))
        other = cleaned.get("other") or {}
        for key in other.keys() & config.keys():
            self.add_error("other", f"“{key}” has its own field above. Use that, or leave it empty.")
        self.config = self._with_carried({**other, **config})
        self._remember(other)
        if self.lost_secrets:
            self.add_error(None, LOST)
        return cleaned

    def take(self, refusal: Refused) -> None:
        """Put every reason of a refusal at its input."""
        told = [(self._input_of(detail), self._sentence(detail)) for detail in refusal.details]
        for name, message in dict.fromkeys(told or [(None, refusal.message)]):
            self.add_error(name, message)

    def _row(self, entry: Entry, fields: list[BoundField]) -> Row:
        return Row(entry.kind, entry, fields[0], tuple(fields[1:]))

    def _values(self, cleaned: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for entry in self.entries:
            try:
                value = entry.read(cleaned, self._typed)
            except forms.ValidationError as error:
                self.add_error(entry.input_of([], cleaned), error)
                continue
            if value is not NOTHING:
                yield entry.field.key, value

    def _with_carried(self, config: dict[str, Any]) -> dict[str, Any]:
        """The config with each mask for which something was typed before replaced by that."""
        asked = [place for place in secret_pointers(self.vendor, config) if value_at(config, place) == MASK]
        whole: dict[str, Any] = with_values(config, {key: self._typed[key] for key in asked if key in self._typed})
        return whole

    def _remember(self, other: Mapping[str, Any]) -> None:
        """Keep the typed secrets for the next answer, and take them out of the text that goes back."""
        pointers = secret_pointers(self.vendor, self.config)
        typed = {place: value_at(self.config, place) for place in pointers}
        self._typed |= {place: value for place, value in typed.items() if value != MASK}
        if hidden := secret_pointers(self.vendor, other):
            self.data = {**self.data, "other": written(masked(other, hidden, MASK))}

    def _carried(self) -> dict[str, Any]:
        sealed = self.data.get("typed", "")
        if not sealed:
            return {}
        try:
            carried: dict[str, Any] = json.loads(secrets.unseal(sealed, context=self.owner))
        except (secrets.Unreadable, ValueError):
            self.lost_secrets = True
            return {}
        return carried

    def _input_of(self, detail: Detail) -> str | None:
        """The input at fault; None for the form as a whole."""
        first, *inner = steps(f"/{detail.field}")
        if first != "config":
            return first if first in self.fields else None
        entry = next((entry for entry in self.entries if inner and entry.field.key == inner[0]), None)
        if entry and entry.field.key not in (self.cleaned_data.get("other") or {}):
            return entry.input_of(inner[1:], self.cleaned_data)
        return "other" if inner else None

    def _sentence(self, detail: Detail) -> str:
        if self._input_of(detail) == "other":
            return f"{detail.field.removeprefix('config')}: {detail.message}"
        return detail.message
