"""What a vendor is: the fields of its config, their types, and which of them hold secrets."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
Cast = Literal["integer", "number", "boolean"]
FieldType = Literal["string", "secret", "integer", "number", "boolean", "enum", "object"]

NEAR = 0.8


@dataclass(frozen=True)
class Field:
    """One value that a vendor's API takes, under the name it has there.

    `secret_values` is for objects such as HTTP headers, whose keys are open and whose every value is a secret.
    """

    key: str
    label: str
    type: FieldType
    required: bool = False
    default: JSON = None
    placeholder: str = ""
    help_text: str = ""
    choices: tuple[str, ...] = ()
    secret_values: bool = False

    @property
    def pointer(self) -> str:
        return pointer_to(self.key)


@dataclass(frozen=True)
class Variant:
    """A usual way to set a vendor up: values put beneath the given config, and the fields it cannot do without."""

    key: str
    label: str
    help_text: str
    preset: Mapping[str, JSON] = field(default_factory=dict)
    requires: tuple[str, ...] = ()

    def beneath(self, config: Mapping[str, JSON]) -> dict[str, JSON]:
        """The preset with the given config on top: what the config says wins, key by key."""
        return {**self.preset, **config}


@dataclass(frozen=True)
class Vendor:
    """A system that can receive events. Of each group in `one_of`, at least one field must be given."""

    key: str
    name: str
    category: str
    description: str
    documentation_url: str
    fields: tuple[Field, ...]
    variants: tuple[Variant, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()


def pointer_to(*keys: str) -> str:
    """The JSON Pointer (RFC 6901) that leads through these keys."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def nearest_field(vendor: Vendor, key: str) -> Field | None:
    """The field somebody most likely meant by a name the vendor does not know, if any is near."""
    plain = {_plain(known.key): known for known in vendor.fields}
    near = difflib.get_close_matches(_plain(key), plain, n=1, cutoff=NEAR)
    return plain[near[0]] if near else None


def secret_pointers(vendor: Vendor, config: Mapping[str, object]) -> frozenset[str]:
    """JSON Pointers of all secrets in this config, whether or not their values are well formed.

    A name that the vendor does not know counts as well if it is nearly that of a secret field, or ends as the names
    of secrets do: a misspelt secret is still a secret.
    """
    known = {candidate.key: candidate for candidate in vendor.fields}
    return frozenset(
        pointer
        for key, value in config.items()
        for pointer in _secrets_in(known.get(key) or _misspelt(vendor, key), key, value)
    )


def typed_pointers(vendor: Vendor) -> Mapping[str, Cast]:
    """JSON Pointers of the fields to which a parameter that fills the whole value is cast."""
    casts = {cast: cast for cast in _CASTS}
    return {known.pointer: casts[known.type] for known in vendor.fields if known.type in casts}


_CASTS: tuple[Cast, ...] = get_args(Cast)
_ENDINGS_OF_SECRETS = ("token", "secret", "password", "passphrase", "apikey", "writekey", "privatekey", "credentials")


def _misspelt(vendor: Vendor, key: str) -> Field | None:
    if _plain(key).endswith(_ENDINGS_OF_SECRETS):
        return Field(key, key, "secret")
    return nearest_field(vendor, key)


def _secrets_in(meant: Field | None, key: str, value: object) -> Iterator[str]:
    if meant is None:
        return
    if meant.secret_values and isinstance(value, Mapping):
        yield from (pointer_to(key, inner) for inner in value)
    elif meant.secret_values or meant.type == "secret":
        yield pointer_to(key)


def _plain(key: str) -> str:
    return "".join(letter for letter in key.lower() if letter.isalnum())
