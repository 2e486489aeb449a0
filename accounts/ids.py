"""Identifiers: opaque text with its type in front, the same in the row, the URL, the log and raw SQL."""

import secrets

from django.db import models

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that is misread aloud
LENGTH = 16  # 80 random bits


def new_id(prefix: str) -> str:
    """A fresh identifier such as `pip_7zk3m9q0x4w8r2ta`."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(LENGTH))}"


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
