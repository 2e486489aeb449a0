"""The shrink guard: what is declared is obeyed at once, and what nobody declared ends nothing."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.client.configs import DAMAGED, PipelineConfig, Unreadable
from pipelines.client.running import Running, from_lines, to_lines
from tests.pipelines.client.said import SECRET, damaged, hash_of, integration, line, pipeline, unresolvable

MISSING = "The parameter “host” is missing."


def running(*said: dict[str, Any], epoch: str = "ep_1", version: int = 10) -> Running:
    return Running().after_snapshot(epoch, version, map(line, said))


def fleet(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [pipeline(f"pip_{number}", 1, integration(f"pi_{number}")) for number in range(start, start + count)]


def change(here: Running, said: dict[str, Any], version: int = 11) -> PipelineConfig:
    """What runs of a pipeline after the feed told of a change of it."""
    here.take_changes(version, [line(said)], [])
    found = here.find(said["pipeline_id"])
    assert found is not None
    return found


def revisions(config: PipelineConfig | None) -> dict[str, int]:
    return {entry.id: entry.revision_number for entry in config.integrations} if config else {}


def names(here: Running) -> list[str]:
    return sorted(here.pipelines)


# --- one pipeline -----------------------------------------------------------------------------------------------------


def test_a_pipeline_is_found_by_its_id_and_by_its_key() -> None:
    here = running(pipeline("pip_a", 1, integration()))
    assert here.find("pip_a") is here.find("pk_a")
    assert here.find("pip_b") is None
    here.take_changes(11, [], ["pip_a"])
    assert (here.find("pip_a"), here.find("pk_a"), here.version) == (None, None, 11)


def test_a_change_replaces_the_whole_of_a_pipeline() -> None:
    here = running(pipeline("pip_a", 1, integration("pi_a"), integration("pi_b")))
    after = change(here, pipeline("pip_a", 11, integration("pi_b", 2), integration("pi_c")))
    assert revisions(after) == {"pi_b": 2, "pi_c": 1}
    assert after.integrations[0].config == {"pixel_id": "pi_b 2", "access_token": SECRET}


def test_a_disabled_pipeline_runs_nothing_whatever_it_is_sent_with() -> None:
    here = running(pipeline("pip_a", 1, integration()))
    after = change(here, pipeline("pip_a", 11, integration(), unresolvable("pi_b"), enabled=False))
    assert (after.enabled, after.integrations, after.rejected) == (False, (), ())


def test_what_cannot_be_resolved_goes_on_at_its_last_good_config() -> None:
    here = running(pipeline("pip_a", 1, integration("pi_a", 1), integration("pi_b", 1)))
    after = change(here, pipeline("pip_a", 11, unresolvable("pi_a", 2), integration("pi_b", 2)))
    kept, taken = after.integrations
    assert (kept.revision_number, kept.kept, kept.refused_hash) == (1, MISSING, "")
    assert kept.config == {"pixel_id": "pi_a 1", "access_token": SECRET}
    assert (taken.revision_number, taken.kept) == (2, "")
    again = change(here, pipeline("pip_a", 12, unresolvable("pi_a", 3)), version=12)
    assert revisions(again) == {"pi_a": 1}
    mended = change(here, pipeline("pip_a", 13, integration("pi_a", 3)), version=13)
    assert (revisions(mended), mended.integrations[0].kept) == ({"pi_a": 3}, "")


def test_a_config_that_does_not_match_its_hash_is_not_run() -> None:
    here = running(pipeline("pip_a", 1, integration("pi_a", 1)))
    after = change(here, pipeline("pip_a", 11, damaged("pi_a", 2), damaged("pi_b", 2)))
    (kept,), (rejected,) = after.integrations, after.rejected
    assert (kept.id, kept.revision_number, kept.kept) == ("pi_a", 1, DAMAGED)
    assert kept.refused_hash == damaged("pi_a", 2)["config_hash"]
    assert (rejected.id, rejected.revision_number, rejected.reason) == ("pi_b", 2, DAMAGED)
    assert after.troubled


def test_what_never_ran_and_cannot_be_resolved_is_rejected() -> None:
    after = change(running(), pipeline("pip_a", 11, unresolvable("pi_a"), integration("pi_b")))
    assert revisions(after) == {"pi_b": 1}
    assert [(entry.id, entry.reason, entry.config_hash) for entry in after.rejected] == [("pi_a", MISSING, "")]


def test_an_integration_that_is_removed_stops_even_if_it_was_kept() -> None:
    here = running(pipeline("pip_a", 1, integration()))
    change(here, pipeline("pip_a", 11, unresolvable()))
    assert change(here, pipeline("pip_a", 12), version=12).integrations == ()


def test_an_older_config_is_ignored() -> None:
    here = running(pipeline("pip_a", 9, integration("pi_a", 3)))
    assert here.take_changes(11, [line(pipeline("pip_a", 8, integration("pi_a", 2)))], []) == []
    assert (revisions(here.find("pip_a")), here.version) == ({"pi_a": 3}, 11)
    here.take_changes(10, [], [])
    assert here.version == 11


def test_a_change_that_changes_nothing_is_none() -> None:
    here = running(pipeline("pip_a", 9, integration()))
    assert here.take_changes(11, [line(pipeline("pip_a", 9, integration()))], ["pip_unknown"]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"pipeline_id": "pip_a"}',
        line(pipeline("pip_a", 11) | {"version": "new"}),
        line(pipeline("pip_a", 11) | {"integrations": None}),
        line(pipeline("pip_a", 11, {"id": "pi_a"})),
        line(pipeline("pip_a", 11, integration(config_hash=None))),
    ],
)
def test_nothing_is_taken_of_what_cannot_be_read(wrong: bytes) -> None:
    here = running(pipeline("pip_a", 1, integration()))
    with pytest.raises(Unreadable) as caught:
        here.take_changes(11, [line(pipeline("pip_b", 11, integration())), wrong], ["pip_a"])
    assert (names(here), here.version) == (["pip_a"], 10)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


# --- a snapshot -------------------------------------------------------------------------------------------------------


def after(before: Running, said: Sequence[dict[str, Any]], epoch: str = "ep_1") -> Running:
    return before.after_snapshot(epoch, 20, map(line, said))


def held(here: Running) -> list[str]:
    return sorted(config.pipeline_id for config in here.pipelines.values() if config.held)


def test_a_snapshot_replaces_everything() -> None:
    taken = after(running(*fleet(4)), [*fleet(2), pipeline("pip_new", 15, integration())])
    assert (names(taken), held(taken)) == (["pip_0", "pip_1", "pip_new"], [])
    assert (taken.epoch, taken.version) == ("ep_1", 20)


def test_what_is_known_already_of_a_later_version_stays() -> None:
    here = running(pipeline("pip_a", 25, integration("pi_a", 2)), pipeline("pip_b", 1, integration("pi_b")))
    said = [pipeline("pip_a", 19, integration("pi_a", 1)), pipeline("pip_b", 19, integration("pi_b", 2))]
    taken = after(here, said)
    assert [revisions(taken.find(name)) for name in ("pip_a", "pip_b")] == [{"pi_a": 2}, {"pi_b": 2}]
    assert revisions(after(here, said, "ep_2").find("pip_a")) == {"pi_a": 1}  # whose versions say nothing of ours


@pytest.mark.parametrize(
    ("left", "gone_on_with"), [(5, []), (4, ["pip_4", "pip_5", "pip_6", "pip_7", "pip_8", "pip_9"])]
)
def test_a_snapshot_that_lacks_more_than_half_of_what_runs_holds_it(left: int, gone_on_with: list[str]) -> None:
    taken = after(running(*fleet(10)), fleet(left))
    assert held(taken) == gone_on_with
    assert len(taken.pipelines) == left + len(gone_on_with)
    assert all(config.integrations for config in taken.pipelines.values())


@pytest.mark.parametrize("epoch", ["ep_1", "ep_2"])
def test_a_snapshot_that_suddenly_holds_nothing_ends_nothing(epoch: str) -> None:
    taken = after(running(*fleet(1)), [], epoch)
    assert (names(taken), held(taken)) == (["pip_0"], ["pip_0"])
    assert (taken.epoch, taken.version) == (epoch, 20)


def test_pipelines_named_empty_at_the_version_that_runs_here_were_changed_by_nobody() -> None:
    said = [pipeline(f"pip_{number}", 1) for number in range(3)]
    taken = after(running(*fleet(3)), said)
    assert held(taken) == ["pip_0", "pip_1", "pip_2"]


def emptied(count: int, version: int = 15) -> list[dict[str, Any]]:
    """As in a backup from before the pins were made."""
    return [pipeline(f"pip_{number}", version) for number in range(count)]


@pytest.mark.parametrize(("count", "gone_on_with"), [(2, []), (3, ["pip_0", "pip_1", "pip_2"])])
def test_pipelines_named_empty_in_another_epoch_count_as_lacking(count: int, gone_on_with: list[str]) -> None:
    taken = after(running(*fleet(4)), [*emptied(count), *fleet(4 - count, count)], "ep_2")
    assert held(taken) == gone_on_with
    assert [len(taken.pipelines[f"pip_{number}"].integrations) for number in range(count)] == [
        1 if gone_on_with else 0
    ] * count


def test_pipelines_disabled_in_another_epoch_stop_however_many_they_are() -> None:
    said = [pipeline(f"pip_{number}", 15, enabled=False) for number in range(3)]
    assert [config.running for config in after(running(*fleet(3)), said, "ep_2").pipelines.values()] == [0, 0, 0]


def test_what_is_held_though_it_is_named_stays_so_until_somebody_changes_it() -> None:
    here = after(running(*fleet(3)), emptied(3), "ep_2")
    back = from_lines(list(to_lines(here)))
    again = after(back, [*emptied(2), pipeline("pip_2", 18)], "ep_2")
    assert held(again) == ["pip_0", "pip_1"]
    change(again, pipeline("pip_0", 21, integration("pi_0", 5)), version=21)
    change(again, pipeline("pip_1", 22), version=22)
    assert [(revisions(again.find(f"pip_{number}")), held(again)) for number in range(3)] == [
        ({"pi_0": 5}, []),
        ({}, []),
        ({}, []),
    ]


def test_pipelines_that_somebody_emptied_or_disabled_stop_however_many_they_are() -> None:
    emptied = [pipeline("pip_0", 15), pipeline("pip_1", 16)]
    disabled = [pipeline("pip_2", 1, enabled=False)]
    taken = after(running(*fleet(3)), emptied + disabled)
    assert held(taken) == []
    assert [config.integrations for config in taken.pipelines.values()] == [(), (), ()]


def test_pipelines_that_run_nothing_are_missed_by_nobody() -> None:
    idle = [pipeline(f"pip_idle_{number}", 1) for number in range(8)]
    assert names(after(running(*fleet(2), *idle), fleet(1))) == ["pip_0"]


def test_what_a_snapshot_cannot_resolve_goes_on() -> None:
    taken = after(running(pipeline("pip_a", 1, integration())), [pipeline("pip_a", 15, unresolvable())], "ep_2")
    config = taken.find("pip_a")
    assert config is not None
    assert [(entry.revision_number, entry.kept) for entry in config.integrations] == [(1, MISSING)]


def test_what_is_held_stays_so_until_it_is_named_again() -> None:
    here = after(running(*fleet(3)), [], "ep_2")
    again = after(here, fleet(1), "ep_2")
    assert (names(again), held(again)) == (["pip_0", "pip_1", "pip_2"], ["pip_1", "pip_2"])
    change(again, pipeline("pip_1", 0, integration("pi_1", 7)))  # of the new epoch, whose numbers begin anew
    again.take_changes(22, [], ["pip_2"])
    assert (names(again), held(again)) == (["pip_0", "pip_1"], [])
    assert revisions(again.find("pip_1")) == {"pi_1": 7}


def test_a_snapshot_that_cannot_be_read_changes_nothing() -> None:
    here = running(*fleet(2))
    with pytest.raises(Unreadable):
        here.after_snapshot("ep_1", 20, [line(pipeline("pip_a", 1)), b"{"])
    assert (names(here), here.version) == (["pip_0", "pip_1"], 10)


# --- what differs, and the disk ---------------------------------------------------------------------------------------


def test_the_changes_between_two_states_are_those_that_differ() -> None:
    before = running(*fleet(3))
    taken = after(before, [*fleet(2, 1), pipeline("pip_new", 15, integration())])
    found = {change.pipeline_id: (change.before, change.after) for change in before.changes_to(taken)}
    assert found == {
        "pip_0": (before.find("pip_0"), None),
        "pip_new": (None, taken.find("pip_new")),
    }


def test_everything_comes_back_from_the_disk_as_it_was() -> None:
    here = running(pipeline("pip_a", 1, integration("pi_a"), integration("pi_b")), *fleet(5))
    change(
        here, pipeline("pip_a", 11, unresolvable("pi_a"), damaged("pi_b"), unresolvable("pi_c"), integration("pi_d"))
    )
    here = after(here, [pipeline("pip_a", 11, unresolvable("pi_a"), damaged("pi_b"), integration("pi_d"))], "ep_2")
    assert held(here)
    back = from_lines(list(to_lines(here)))
    assert list(back.changes_to(here)) == []
    assert (back.epoch, back.version) == ("ep_2", 20)
    assert from_lines(list(to_lines(back))).pipelines == here.pipelines


@pytest.mark.parametrize("lines", [[], [b""], [b"{}"], [b'{"epoch": "e", "version": 1, "count": 1}'], [b"[]"]])
def test_lines_without_their_head_are_refused(lines: list[bytes]) -> None:
    with pytest.raises(Unreadable):
        from_lines(lines)


def test_neither_configs_nor_what_holds_them_print_a_secret() -> None:
    here = running(pipeline("pip_a", 1, integration()))
    change(here, pipeline("pip_a", 11, unresolvable()))
    assert SECRET not in repr(here.pipelines)
    assert hash_of({}) not in repr(here.pipelines)
