"""The difference of two configs."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.changes import Change, KeyChanges, diff_configs, diff_keys

documents = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 1.0, 1.5]) | st.sampled_from("ab/~"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "~", "/", "0", ""]), inner),
    max_leaves=12,
)


def applied(document: Any, changes: list[Change]) -> Any:
    """The document with the changes made, removals from the last to the first."""
    root = [copy.deepcopy(document)]
    additions = [change for change in changes if change.op != "removed"]
    removals = [change for change in reversed(changes) if change.op == "removed"]
    for change in removals + additions:
        place: Any = root
        steps = ["0", *(step.replace("~1", "/").replace("~0", "~") for step in change.pointer.split("/")[1:])]
        for step in steps[:-1]:
            place = place[int(step) if isinstance(place, list) else step]
        key: Any = int(steps[-1]) if isinstance(place, list) else steps[-1]
        if change.op == "removed":
            assert same(place.pop(key), change.before)
        elif change.op == "added" and isinstance(place, list):
            assert key == len(place)
            place.append(change.after)
        else:
            place[key] = change.after
    return root[0]


def same(one: Any, other: Any) -> bool:
    """Whether both are the same JSON value, and not only equal to Python."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


@given(documents, documents)
def test_applying_the_changes_to_before_gives_after(before: Any, after: Any) -> None:
    assert same(applied(before, diff_configs(before, after)), after)


@given(documents, documents)
def test_there_are_changes_exactly_where_the_configs_differ(before: Any, after: Any) -> None:
    assert diff_configs(before, copy.deepcopy(before)) == []
    assert (diff_configs(before, after) == []) == same(before, after)


@given(documents, documents)
def test_the_way_back_names_the_same_places(before: Any, after: Any) -> None:
    there, back = diff_configs(before, after), diff_configs(after, before)
    assert {change.pointer for change in there} == {change.pointer for change in back}


def test_members_are_added_removed_and_changed_in_document_order() -> None:
    before: Any = {"z": 1, "gone": {"x": [1]}, "same": "s", "deep": {"y": "a", "x": None}}
    after: Any = {"new": None, "deep": {"x": None, "y": "b", "n": {}}, "same": "s", "z": 2}
    assert diff_configs(before, after) == [
        Change("changed", "/z", 1, 2),
        Change("removed", "/gone", {"x": [1]}, None),
        Change("changed", "/deep/y", "a", "b"),
        Change("added", "/deep/n", None, {}),
        Change("added", "/new", None, None),
    ]


def test_the_order_of_an_objects_keys_is_no_difference() -> None:
    assert diff_configs({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []


def test_lists_are_compared_by_index_and_their_tail_is_added_or_removed() -> None:
    assert diff_configs([1, 2, 3, 4], [1, 5]) == [
        Change("changed", "/1", 2, 5),
        Change("removed", "/2", 3, None),
        Change("removed", "/3", 4, None),
    ]
    assert diff_configs({"l": []}, {"l": ["a", ["b"]]}) == [
        Change("added", "/l/0", None, "a"),
        Change("added", "/l/1", None, ["b"]),
    ]


def test_pointers_escape_tildes_and_slashes() -> None:
    assert [change.pointer for change in diff_configs({"a/b": {"~": 1, "": 1}}, {"a/b": {"~": 2, "": 2}})] == [
        "/a~1b/~0",
        "/a~1b/",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, True), (0, False), (1, 1.0), (1, "1"), (None, False), ([], {}), ({}, None), ("", None), ([1], {"0": 1})],
)
def test_values_of_different_json_types_are_a_change_of_type(before: Any, after: Any) -> None:
    assert diff_configs({"a": before}, {"a": after}) == [Change("changed", "/a", before, after, type_changed=True)]
    assert diff_configs(before, after) == [Change("changed", "", before, after, type_changed=True)]


def test_minus_zero_is_written_differently_and_so_is_a_change() -> None:
    assert [(change.op, change.type_changed) for change in diff_configs([0.0], [-0.0])] == [("changed", False)]


def test_a_secret_shows_only_that_it_changed() -> None:
    assert diff_configs({"s": "old", "t": "same"}, {"s": "new", "t": "same"}, ["/s", "/t"], ["/s", "/t"]) == [
        Change("changed", "/s", "***", "***", secret=True)
    ]


def test_a_secret_does_not_tell_its_type() -> None:
    assert diff_configs({"s": "old"}, {"s": 5}, ["/s"]) == [Change("changed", "/s", "***", "***", secret=True)]
    assert diff_configs({"s": {"a": 1}}, {"s": {"a": 2, "b": 3}}, [], ["/s"]) == [
        Change("changed", "/s", "***", "***", secret=True)
    ]


def test_what_is_secret_on_one_side_is_hidden_on_both() -> None:
    expected = [Change("changed", "/s", "***", "***", secret=True)]
    assert diff_configs({"s": "old"}, {"s": "new"}, ["/s"], []) == expected
    assert diff_configs({"s": "old"}, {"s": "new"}, [], ["/s"]) == expected


def test_an_added_or_removed_secret_is_hidden_where_it_stands() -> None:
    assert diff_configs({}, {"s": "new"}, [], ["/s"]) == [Change("added", "/s", None, "***", secret=True)]
    assert diff_configs({"s": "old"}, {}, ["/s"], []) == [Change("removed", "/s", "***", None, secret=True)]


def test_a_secret_inside_a_subtree_that_comes_goes_or_changes_its_type_is_hidden() -> None:
    config: Any = {"auth": {"user": "u", "keys": [{"a/b": "hunter2"}, "plain"]}}
    hidden: Any = {"user": "u", "keys": [{"a/b": "***"}, "plain"]}
    secrets = ["/auth/keys/0/a~1b", "/auth/nowhere", "/authx", "/auth/keys/7"]
    assert diff_configs({}, config, [], secrets) == [Change("added", "/auth", None, hidden, secret=True)]
    assert diff_configs(config, {}, secrets) == [Change("removed", "/auth", hidden, None, secret=True)]
    assert diff_configs(config, {"auth": 1}, secrets) == [
        Change("changed", "/auth", hidden, 1, type_changed=True, secret=True)
    ]
    assert config["auth"]["keys"][0]["a/b"] == "hunter2"


def test_the_whole_config_may_be_secret() -> None:
    assert diff_configs({"a": 1}, {"a": 2}, [""]) == [Change("changed", "", "***", "***", secret=True)]


@given(documents, documents, st.sets(st.sampled_from(["", "/a", "/b", "/a/0", "/a/b", "/~0", "/0"])))
def test_secrets_hide_values_and_never_a_difference(before: Any, after: Any, secrets: set[str]) -> None:
    assert (diff_configs(before, after, secrets) == []) == same(before, after)


def test_a_tree_far_too_deep_does_not_crash() -> None:
    def deep(leaf: str) -> Any:
        tree: Any = leaf
        for _ in range(10_000):
            tree = [tree]
        return tree

    assert diff_configs(deep("x"), deep("x")) == []
    assert diff_configs(deep("x"), deep("y")) == [Change("changed", "/0" * 10_000, "x", "y")]
    assert [change.before for change in diff_configs(deep("x"), deep("y"), ["/0"])] == ["***"]
    assert diff_configs(deep("x"), [], [], ["/0" * 10_000])[0].secret


def test_newly_needed_and_no_longer_used_keys_are_told_sorted() -> None:
    assert diff_keys(["c", "a", "b"], ("e", "b", "d")) == KeyChanges(newly_needed=("d", "e"), no_longer_used=("a", "c"))
    assert diff_keys((), ()) == KeyChanges((), ())
