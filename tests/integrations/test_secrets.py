"""Sealing and opening: bound to a place, under a ring of keys, and silent about values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.secrets import Unreadable, current_key_id, reseal, seal, unseal

OLD, NEW = b"o" * 32, b"n" * 32
VALUE = "hunter2"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_again(text: str) -> None:
    assert unseal(seal(text, context="here"), context="here") == text


def test_the_same_value_is_never_sealed_to_the_same_text() -> None:
    boxes = {seal(VALUE, context="here") for _ in range(100)}
    assert len(boxes) == 100
    assert all(VALUE not in box for box in boxes)


def test_a_sealed_value_opens_in_its_own_place_only() -> None:
    with pytest.raises(Unreadable, match="moved from another row") as caught:
        unseal(seal(VALUE, context="here"), context="there")
    assert VALUE not in str(caught.value)


def test_the_first_key_seals_and_every_key_of_the_ring_opens(settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {"old": OLD}
    box = seal(VALUE, context="here")
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    assert current_key_id() == "new"
    assert unseal(box, context="here") == VALUE
    fresh = reseal(box, context="here")
    assert (box.partition(":")[0], fresh.partition(":")[0]) == ("old", "new")
    settings.PINION_SECRET_KEYS = {"new": NEW}
    assert unseal(fresh, context="here") == VALUE


def test_a_key_that_is_missing_is_named(settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {"old": OLD}
    box = seal(VALUE, context="here")
    settings.PINION_SECRET_KEYS = {"new": NEW}
    with pytest.raises(Unreadable, match=r"^A secret is sealed with the key 'old', which is not in PINION_SECRET_KEYS"):
        unseal(box, context="here")


def test_another_key_under_the_same_id_is_noticed(settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {"k": OLD}
    box = seal(VALUE, context="here")
    settings.PINION_SECRET_KEYS = {"k": NEW}
    with pytest.raises(Unreadable, match="the key has changed under the same id"):
        unseal(box, context="here")


@pytest.mark.parametrize("tail", ["", "a", "AAAA", "!!!!", "é", "A" * 40])
def test_a_box_that_was_altered_does_not_open(tail: str) -> None:
    with pytest.raises(Unreadable):
        unseal(f"{current_key_id()}:{tail}", context="here")


def test_what_is_not_sealed_at_all_is_not_quoted() -> None:
    with pytest.raises(Unreadable, match="is not one") as caught:
        unseal(VALUE, context="here")
    assert VALUE not in str(caught.value)
