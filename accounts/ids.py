"""Identifiers: opaque text with its type in front, the same in the row, the URL, the log and raw SQL."""

import secrets
from base64 import b32encode
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import models

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that is misread aloud
RANDOM_BYTES = 10  # which are 16 letters
LETTERS = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET.encode())

_known: ContextVar[dict[str, deque[str]] | None] = ContextVar("known", default=None)


def new_id(prefix: str) -> str:
    """A fresh identifier such as `pip_7zk3m9q0x4w8r2ta`."""
    waiting = (_known.get() or {}).get(prefix)
    if waiting:
        return waiting.popleft()
    return f"{prefix}_{b32encode(secrets.token_bytes(RANDOM_BYTES)).translate(LETTERS).decode()}"


@contextmanager
def known_ids(**ids: Sequence[str]) -> Iterator[None]:
    """Inside, the next rows made get these ids instead, by prefix and in order: for data that documents speak of."""
    token = _known.set({prefix: deque(sequence) for prefix, sequence in ids.items()})
    try:
        yield
    finally:
        _known.reset(token)


class IdField(models.CharField):  # type: ignore[type-arg]  # the class takes no parameters at run time
    """A primary key that makes its own value: `IdField("pip")`."""

    def __init__(self, prefix: str = "", **options: object) -> None:
        self.prefix = prefix
        options |= {"primary_key": True, "max_length": 40, "editable": False}
        super().__init__(**options)  # type: ignore[arg-type]  # the options are Django's own, checked by Django

    def deconstruct(self) -> tuple[str, str, list[object], dict[str, object]]:
        name, path, positional, options = super().deconstruct()
        for implied in ("primary_key", "max_length", "editable"):
            options.pop(implied, None)
        return name, path, [self.prefix, *positional], options

    def get_default(self) -> str:
        return new_id(self.prefix)

    def has_default(self) -> bool:
        return True
