"""JSON Pointers into a tree: finding, reading, writing."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.json_tree import walk
from integrations.pointers import masked, pointers_into, steps, value_at, with_values

TREE: Any = {"a": {"b/c": [1, {"~": 2}]}, "d": 3, "": 4}
trees = st.recursive(
    st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "~1", "/", "0", ""]), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("pointer", "path", "value"),
    [
        ("", [], TREE),
        ("/", [""], 4),
        ("/d", ["d"], 3),
        ("/a/b~1c/0", ["a", "b/c", "0"], 1),
        ("/a/b~1c/1/~0", ["a", "b/c", "1", "~"], 2),
    ],
)
def test_a_pointer_leads_to_its_value(pointer: str, path: list[str], value: object) -> None:
    assert steps(pointer) == path
    assert value_at(TREE, pointer) == value


@pytest.mark.parametrize("pointer", ["/x", "/a/b~1c/7", "/a/x/y"])
def test_a_pointer_to_nowhere_is_an_error(pointer: str) -> None:
    with pytest.raises(LookupError):
        value_at(TREE, pointer)


def test_writing_makes_a_copy_and_shares_what_it_does_not_touch() -> None:
    before = copy.deepcopy(TREE)
    changed = with_values(TREE, {"/a/b~1c/0": "x", "/a/b~1c/1/~0": "y"})
    assert changed == {"a": {"b/c": ["x", {"~": "y"}]}, "d": 3, "": 4}
    assert before == TREE
    assert with_values(TREE, {"/d": 0})["a"] is TREE["a"]
    assert with_values(TREE, {"": 5}) == 5


def test_a_value_that_is_written_is_never_written_into() -> None:
    inner: Any = {"x": 1}
    assert with_values({"a": 0}, {"/a": inner, "/a/x": 2}) == {"a": {"x": 2}}
    assert inner == {"x": 1}


@given(trees, st.data())
def test_every_place_can_be_found_read_and_masked(tree: Any, data: st.DataObject) -> None:
    pointers = [place.pointer for place in walk(tree)]
    chosen = data.draw(st.sets(st.sampled_from([*pointers, "/nowhere", "/a/a/a/a/a"])))
    found = pointers_into(tree, chosen)
    outermost = {p for p in chosen & set(pointers) if not any(p.startswith(f"{o}/") for o in chosen & set(pointers))}
    assert set(found) == outermost
    hidden = masked(tree, found, "***")
    assert all(value_at(hidden, pointer) == "***" for pointer in found)
    assert with_values(hidden, {pointer: value_at(tree, pointer) for pointer in found}) == tree


def test_places_are_told_relative_to_where_the_tree_stands() -> None:
    assert pointers_into({"b": 1}, {"/a/b", "/b"}, at="/a") == ["/b"]
    assert pointers_into(5, {"/a"}, at="/a") == [""]
    assert pointers_into({"b": 1}, ()) == []
