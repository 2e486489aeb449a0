"""The file of the last good configuration: whole and ours, or absent; and what happens where the disk is full."""

import logging
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.client.running import Running
from pipelines.client.shelf import Shelf
from pipelines.client.store import CHUNK, Damaged, Store
from tests.pipelines.client.disks import Disk
from tests.pipelines.client.said import SECRET, integration, line, pipeline

TOKEN = "pinion_a-token"
LINES = [b'{"head": 1}', SECRET.encode(), b""]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "kept" / "pinion.state", TOKEN)


def test_lines_come_back_as_they_were_written(store: Store) -> None:
    assert store.read() is None
    store.write(LINES)
    assert store.read() == LINES
    store.write([b"others"])
    assert store.read() == [b"others"]
    store.write([])
    assert store.read() == [b""]


def test_only_the_owner_may_read_the_file_and_it_shows_nothing(store: Store) -> None:
    store.write(LINES)
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
    assert SECRET.encode() not in store.path.read_bytes()
    assert list(store.path.parent.iterdir()) == [store.path]


def test_the_same_lines_are_sealed_under_another_key_each_time(store: Store) -> None:
    store.write(LINES)
    first = store.path.read_bytes()
    store.write(LINES)
    second = store.path.read_bytes()
    assert first[:16] == second[:16]  # what kind of file it is
    assert first[16:32] != second[16:32]  # the salt, and with it the key
    assert first[36:] != second[36:]


def test_another_token_opens_nothing(store: Store) -> None:
    store.write(LINES)
    with pytest.raises(Damaged):
        Store(store.path, "pinion_another-token").read()


def test_a_file_cut_at_any_length_is_refused(store: Store) -> None:
    store.write(LINES)
    whole = store.path.read_bytes()
    for length in range(len(whole)):
        store.path.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            store.read()
    store.path.write_bytes(whole)
    assert store.read() == LINES


def test_a_file_with_any_byte_altered_or_added_is_refused(store: Store) -> None:
    store.write(LINES)
    whole = store.path.read_bytes()
    for place in range(len(whole)):
        store.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(Damaged):
            store.read()
    store.path.write_bytes(whole + b"\0")
    with pytest.raises(Damaged):
        store.read()


def test_what_does_not_fit_into_one_chunk_comes_back_and_lets_none_be_missing_or_moved(store: Store) -> None:
    lines = [bytes([65 + number]) * (CHUNK // 2) for number in range(5)] + [b"x" * (3 * CHUNK)]
    store.write(lines)
    assert store.read() == lines
    whole = store.path.read_bytes()
    head, size = 32, 4 + CHUNK + 16
    first, second, rest = whole[head : head + size], whole[head + size : head + 2 * size], whole[head + 2 * size :]
    for altered in (first + second, first + rest, second + first + rest, first + first + second + rest):
        store.path.write_bytes(whole[:head] + altered)
        with pytest.raises(Damaged):
            store.read()


def test_a_draft_that_a_killed_process_left_is_written_over(store: Store) -> None:
    store.write(LINES)
    store.path.with_name("pinion.state.draft").write_bytes(b"half of")
    assert store.read() == LINES
    store.write([b"others"])
    assert list(store.path.parent.iterdir()) == [store.path]
    assert store.read() == [b"others"]


# --- a disk that is full ----------------------------------------------------------------------------------------------


def test_where_the_disk_is_full_the_old_file_stays_and_no_draft_is_left(tmp_path: Path) -> None:
    with Disk(tmp_path / "disk") as disk:
        store = Store(disk.folder / "pinion.state", TOKEN)
        store.write(LINES)
        before = sorted(disk.folder.iterdir())
        disk.fill()
        for _ in range(3):
            with pytest.raises(OSError, match=r"No space left|Permission denied"):
                store.write([b"others"])
        assert store.read() == LINES
        disk.free()
        assert sorted(disk.folder.iterdir()) == before
        store.write([b"others"])
        assert store.read() == [b"others"]


def test_where_a_file_may_grow_no_larger_the_old_one_stays_and_no_draft_is_left(store: Store) -> None:
    store.write(LINES)
    with small_files_only():
        for _ in range(3):
            with pytest.raises(OSError, match="File too large"):
                store.write([b"x" * 100_000])
    assert store.read() == LINES
    assert list(store.path.parent.iterdir()) == [store.path]


@contextmanager
def small_files_only() -> Generator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_shelf_says_once_that_it_cannot_write_and_once_that_it_can_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "file-in-the-way" / "pinion.state", TOKEN)
    shelf, here = Shelf(store), Running("ep_1", 1)
    here.take_changes(1, [line(pipeline("pip_a", 1, integration()))], [])
    store.path.parent.write_text("a file where a folder should be")
    shelf.mark()
    for _ in range(3):
        shelf.write(here)
    assert shelf.seconds_until_due() is not None
    store.path.parent.unlink()
    shelf.write(here)
    assert shelf.seconds_until_due() is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages == [
        f"{store.path} cannot be written: File exists. Going on from memory.",
        f"{store.path} is written again.",
    ]
    loaded = Shelf(store).load()
    assert loaded is not None
    assert loaded.pipelines == here.pipelines


def test_a_fault_that_is_not_the_disks_touches_nothing_that_runs_and_is_told_by_its_type(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "no\0path", TOKEN)
    shelf = Shelf(store)
    shelf.mark()
    for _ in range(2):
        shelf.write(Running("ep_1", 1))
    assert shelf.seconds_until_due() is not None
    assert caplog.messages == [f"{store.path} cannot be written: ValueError. Going on from memory."]
    assert caplog.records[0].exc_info is None


def test_a_shelf_without_a_store_keeps_nothing() -> None:
    shelf = Shelf(None)
    shelf.mark()
    shelf.write(Running())
    assert (shelf.load(), shelf.seconds_until_due()) == (None, None)


@pytest.mark.parametrize("length", [0, 5, 20, 100])
def test_a_file_that_is_not_whole_counts_as_absent_and_the_log_holds_no_secret(
    length: int, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    here = Running("ep_1", 1)
    here.take_changes(1, [line(pipeline("pip_a", 1, integration()))], [])
    Shelf(store).mark()
    Shelf(store).write(here)
    store.path.write_bytes(store.path.read_bytes()[:length])
    assert Shelf(store).load() is None
    assert len(caplog.records) == 1
    assert str(store.path) in caplog.text
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text


def test_a_large_fleet_is_written_a_tenth_of_the_time_at_most(store: Store) -> None:
    shelf, here = Shelf(store), Running("ep_1", 1)
    shelf.mark()
    assert shelf.seconds_until_due() == 0
    shelf.write(here)
    shelf.mark()
    due = shelf.seconds_until_due()
    assert due is not None
    assert due > 0
