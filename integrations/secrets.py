"""Secrets at rest: sealed with authenticated encryption, bound to the row that holds them, under a ring of keys."""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

NONCE_BYTES = 12


class Unreadable(ImproperlyConfigured):
    """A sealed value cannot be opened: its key is not in the ring, or it was moved or altered."""


def current_key_id() -> str:
    """The id of the key that seals: the first of PINION_SECRET_KEYS."""
    return next(iter(settings.PINION_SECRET_KEYS))


def seal(text: str, *, context: str) -> str:
    """`key id:nonce and ciphertext`. `context` names the row and column; the value opens nowhere else."""
    key_id = current_key_id()
    nonce = os.urandom(NONCE_BYTES)
    box = nonce + _cipher(settings.PINION_SECRET_KEYS[key_id]).encrypt(nonce, text.encode(), context.encode())
    return f"{key_id}:{urlsafe_b64encode(box).decode()}"


def unseal(sealed: str, *, context: str) -> str:
    """Raises Unreadable, which names the key that is missing and never the value."""
    key_id, colon, box = sealed.partition(":")
    if not colon:
        raise Unreadable("What should be a sealed secret is not one: it names no key.")
    key = settings.PINION_SECRET_KEYS.get(key_id)
    if key is None:
        raise Unreadable(f"A secret is sealed with the key {key_id!r}, which is not in PINION_SECRET_KEYS. Add it.")
    try:
        raw = urlsafe_b64decode(box)
        return _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode()).decode()
    except (InvalidTag, ValueError):  # ValueError: cut short, or not base64
        raise Unreadable(
            f"A secret does not open with the key {key_id!r}: the key has changed under the same id, "
            "or the value was altered or moved from another row."
        ) from None


def reseal(sealed: str, *, context: str) -> str:
    """The same value under the current key."""
    return seal(unseal(sealed, context=context), context=context)


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)
