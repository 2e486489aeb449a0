"""What a resolved config is recognised by: a digest that anyone can check, and a seal that only we can make."""

import hashlib
import hmac
import json
from functools import lru_cache

from django.conf import settings
from django.utils.crypto import salted_hmac

from integrations.json_tree import JSON

DIGEST_LENGTH = 64  # SHA-256 in hexadecimal
SEAL_LENGTH = 20  # 80 bits of the seal

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical(config: JSON) -> bytes:
    """The one way to write a config as bytes, so that equal configs have equal digests.

    JSON as Python's `json.dumps(config, sort_keys=True, separators=(",", ":"))` writes it: ASCII only, every other
    character as `\\uhhhh` in lower case (a pair of them beyond U+FFFF), keys in the order of their code points, no
    white space, integers in full, other numbers as the shortest decimal that reads back the same (`1.5`, `1e+300`).
    """
    return _encode(config).encode("ascii")


def config_hash(*, pin_id: str, revision_id: str, config: JSON) -> str:
    """`DIGEST-SEAL`: the SHA-256 of the canonical config, then a keyed seal over pin, revision and that digest.

    Who received the config can check the digest; that the config was ours for this pin is proved by the seal alone,
    with nothing stored.
    """
    digest = hashlib.sha256(canonical(config)).hexdigest()
    return sealed(pin_id=pin_id, revision_id=revision_id, digest=digest)


def sealed(*, pin_id: str, revision_id: str, digest: str) -> str:
    """The hash of a config whose digest is known already."""
    return f"{digest}-{_seal(settings.SECRET_KEY, pin_id, revision_id, digest)}"


def was_issued(*, pin_id: str, revision_id: str, config_hash: str) -> bool:
    """Whether `config_hash` ever made this for the pin at the revision, under the secret key or an earlier one."""
    digest, _, seal = config_hash.partition("-")
    if not config_hash.isascii() or len(digest) != DIGEST_LENGTH or len(seal) != SEAL_LENGTH:
        return False
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(hmac.compare_digest(seal, _seal(key, pin_id, revision_id, digest)) for key in keys)


def fingerprint(config_hash: str | None) -> str | None:
    """The seal of a hash that we made, for people who may not read secrets: the digest alone could be guessed at."""
    return config_hash.partition("-")[2][:SEAL_LENGTH] or None if config_hash else None


def _seal(secret: str, pin_id: str, revision_id: str, digest: str) -> str:
    """The length keeps one id from being taken for a part of the other."""
    maker = _keyed(secret).copy()
    maker.update(f"{len(pin_id)}:{pin_id}{revision_id}:{digest}".encode(errors="replace"))
    return maker.hexdigest()


@lru_cache(maxsize=16)
def _keyed(secret: str) -> "hashlib.blake2b":
    """BLAKE2 is a keyed hash by itself, a third of the work of an HMAC. The key is derived, so it seals nothing else."""
    key = salted_hmac("pinion.config-hash", "", secret, algorithm="sha256").digest()
    return hashlib.blake2b(key=key, digest_size=SEAL_LENGTH // 2)
