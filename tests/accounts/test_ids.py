"""Identifiers: opaque, with their type in front."""

import re

from accounts.ids import IdField, known_ids, new_id


def test_an_id_tells_its_type_and_nothing_else() -> None:
    ids = {new_id("pip") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"pip_[0-9a-hjkmnp-tv-z]{16}", made) for made in ids)


def test_known_ids_are_given_in_order_by_type_and_then_no_more() -> None:
    with known_ids(pip=["pip_1", "pip_2"]):
        given = [new_id("pip"), new_id("pi"), new_id("pip"), new_id("pip")]
    assert (given[0], given[2]) == ("pip_1", "pip_2")
    assert given[1].startswith("pi_")
    assert re.fullmatch(r"pip_.{16}", given[3])
    assert re.fullmatch(r"pip_.{16}", new_id("pip"))


def test_a_migration_writes_the_field_as_short_as_people_do() -> None:
    field = IdField("pip")
    assert field.deconstruct()[1:] == ("accounts.ids.IdField", ["pip"], {})
    assert (field.primary_key, field.max_length, field.editable) == (True, 40, False)
