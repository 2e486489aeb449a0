"""What is kept in memory: never more than allowed, and never what was read before a change that is known."""

from datetime import datetime

from pipelines.feed.documents import Document
from pipelines.feed.reading import Head, Row
from pipelines.feed.serving.memory import OVERHEAD, Entry, Memory, Organisation, entry_of


def row(name: str, version: int) -> Row:
    removed_at: datetime | None = None
    return Row("org_a", f"pip_{name}", f"pk_{name}", True, removed_at, version)


def at(number: int, epoch: str = "ep_a") -> Head:
    return Head(epoch, number)


def knowing(*names: str) -> Organisation:
    """One at version 5 that knows these pipelines, each as of version 1."""
    organisation = Memory(1_000_000).organisation("org_a", at(5))
    for name in names:
        organisation.keep(f"pip_{name}", made(row(name, 1)))
    return organisation


def made(row: Row, length: int = 10) -> Entry:
    return entry_of("ep_a", Document(row, b"x" * length), row)


def test_bodies_take_no_more_than_they_may_and_the_one_used_last_stays() -> None:
    memory = Memory(3 * (1000 + OVERHEAD))
    organisation = memory.organisation("org_a", at(1))
    entries = [made(row(str(number), 1), 1000) for number in range(4)]
    for number, entry in enumerate(entries):
        organisation.keep(f"pip_{number}", entry)
        memory.bodies.used(entries[0])
    assert [entry.body is None for entry in entries] == [False, True, False, False]
    assert [entry.unchanged["status"] for entry in organisation.entries.values()] == [304] * 4


def test_the_body_of_what_has_changed_goes_at_once_and_does_not_wait_until_memory_is_short() -> None:
    memory = Memory(1_000_000)
    organisation = memory.organisation("org_a", at(1))
    for version in range(1, 101):
        organisation.keep("pip_a", made(row("a", version)))
        organisation.keep("pip_b", made(row("b", version)))
        organisation.forget(["pip_a"], version + 1)
    assert (list(organisation.entries), len(memory.bodies)) == (["pip_b"], 1)
    organisation.forget(None, 102)
    assert len(memory.bodies) == 0
    organisation.keep("pip_a", made(row("a", 102)))
    memory.forget("org_a")  # nobody reads it any more
    assert (memory.organisations, len(memory.bodies)) == ({}, 0)


def test_what_was_read_before_a_change_is_not_taken_for_what_is_after_it() -> None:
    organisation = knowing("a")
    organisation.awaited["pip_a"] = 0
    organisation.forget(["pip_a"], 6)
    assert organisation.entries == {}
    assert not organisation.accepts("pip_a", at(5))
    assert organisation.accepts("pip_a", at(5)), "the next read begins after the change"
    organisation.awaited["pip_a"] = 0
    organisation.forget(["pip_a"], 6)
    assert organisation.accepts("pip_a", at(6))


def test_what_was_read_in_another_epoch_is_not_taken() -> None:
    assert not knowing().accepts("pip_a", at(9, "ep_b"))


def test_asking_the_database_forgets_only_what_is_older() -> None:
    organisation = knowing("a", "b")
    organisation.confirm(at(7), [row("a", 7), row("b", 1)])
    assert (list(organisation.entries), organisation.head, organisation.confirmed) == (["pip_b"], at(7), at(7))


def test_asking_the_database_leads_back_only_where_the_database_went_back() -> None:
    organisation = knowing("a")
    organisation.move(at(8))
    organisation.confirm(at(7), [])
    assert (organisation.head, organisation.confirmed) == (at(8), at(7))
    organisation.confirm(at(7), None)  # too many changed to say which, and one more was told of meanwhile
    assert (organisation.head, organisation.entries) == (at(8), {})
    organisation.confirm(at(3), None)
    assert (organisation.head, organisation.confirmed) == (at(3), at(3)), "a backup was restored"
    organisation.confirm(at(2, "ep_b"), None)
    assert (organisation.head, organisation.entries) == (at(2, "ep_b"), {})
