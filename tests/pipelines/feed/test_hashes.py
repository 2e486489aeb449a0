"""The hash of a config: the same for the same config, and nobody else can make one."""

import hashlib
import json
from typing import Any

import pytest

from pipelines.feed.hashes import canonical, config_hash, was_issued

CONFIG: dict[str, Any] = {"b": [1, 1.5, 1e300, None, True], "a": {"ü": "“😀”\n"}}
PIN = {"pin_id": "pi_abc123", "revision_id": "rev_xyz789"}


def test_the_canonical_form_is_as_documented() -> None:
    written = b'{"a":{"\\u00fc":"\\u201c\\ud83d\\ude00\\u201d\\n"},"b":[1,1.5,1e+300,null,true]}'
    assert canonical(CONFIG) == written
    assert json.loads(written) == CONFIG


def test_the_first_part_is_the_sha_256_of_the_canonical_form() -> None:
    digest, _, seal = config_hash(**PIN, config=CONFIG).partition("-")
    assert digest == hashlib.sha256(canonical(CONFIG)).hexdigest()
    assert len(seal) == 20


def test_the_order_of_keys_does_not_matter() -> None:
    turned = dict(reversed(CONFIG.items()))
    assert list(turned) != list(CONFIG)
    assert config_hash(**PIN, config=turned) == config_hash(**PIN, config=CONFIG)


def test_a_hash_that_was_issued_is_known_again() -> None:
    assert was_issued(**PIN, config_hash=config_hash(**PIN, config=CONFIG))


@pytest.mark.parametrize("other", [{"pin_id": "pi_other"}, {"revision_id": "rev_other"}])
def test_a_hash_says_nothing_for_another_pin_or_revision(other: dict[str, str]) -> None:
    made = config_hash(**PIN, config=CONFIG)
    assert not was_issued(**{**PIN, **other}, config_hash=made)


def test_ids_cannot_be_shifted_into_one_another() -> None:
    made = config_hash(pin_id="pi_a", revision_id="rev_b", config={})
    for pin_id, revision_id in (("pi_arev_b", ""), ("", "pi_arev_b"), ('pi_a", "rev_b', ""), ("pi_a\nrev_b", "")):
        assert not was_issued(pin_id=pin_id, revision_id=revision_id, config_hash=made)


def test_what_was_not_issued_is_not_known() -> None:
    made = config_hash(**PIN, config=CONFIG)
    digest, _, seal = made.partition("-")
    forged = hashlib.sha256(b"{}").hexdigest()
    for wrong in (
        "",
        "-",
        digest,
        f"{digest}-",
        f"{forged}-{seal}",
        f"{digest}-{'0' * 20}",
        f"{made}0",
        "é" * 85,
        f"{digest}-{chr(0xD800) * 20}",
    ):
        assert not was_issued(**PIN, config_hash=wrong)


def test_a_hash_outlives_the_secret_key_as_long_as_the_key_is_a_fallback(settings: Any) -> None:
    made = config_hash(**PIN, config=CONFIG)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new secret key", [settings.SECRET_KEY]
    assert was_issued(**PIN, config_hash=made)
    assert config_hash(**PIN, config=CONFIG) != made
    settings.SECRET_KEY_FALLBACKS = []
    assert not was_issued(**PIN, config_hash=made)
