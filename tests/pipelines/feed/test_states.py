"""The verdict on one instance and the state of one pin, case by case."""

import pytest

from accounts.errors import Detail
from pipelines.feed.hashes import config_hash, fingerprint
from pipelines.feed.states import Applied, Served, State, Verdict, Word, conclude, judge

PIN = "pi_1"
NEW, OLD = "rev_2", "rev_1"


def hash_of(revision: str, value: str = "a", pin: str = PIN) -> str:
    return config_hash(pin_id=pin, revision_id=revision, config={"pixel_id": value})


SERVED = Served(NEW, hash_of(NEW))
UNRESOLVABLE = Served(NEW, None, (Detail("parameters/host", "missing_parameter", "Set the parameter host."),))
NOTHING = None
SILENT = None


def word(claim: str, revision: str | None, made: str, refused: str = "") -> Word:
    return Word(claim, revision, made, refused)


NOW = word("applied", NEW, hash_of(NEW))
BEFORE = word("applied", OLD, hash_of(OLD))
OTHER_PARAMETERS = word("applied", NEW, hash_of(NEW, "b"))
KEPT_NOW = word("kept_last_good", NEW, hash_of(NEW))
KEPT_OLD = word("kept_last_good", OLD, hash_of(OLD), hash_of(NEW))
KEPT_OLD_SAYS_NOT_WHY = word("kept_last_good", OLD, hash_of(OLD))
KEPT_OLD_SINCE_BEFORE = word("kept_last_good", OLD, hash_of(OLD), hash_of(NEW, "b"))
REFUSED_NOW = word("rejected", NEW, hash_of(NEW))
REFUSED_OLD = word("rejected", OLD, hash_of(OLD))
MADE_UP = word("applied", NEW, "f" * 64)
OF_ANOTHER_PIN = word("applied", NEW, hash_of(NEW, pin="pi_2"))
OF_ANOTHER_REVISION = word("applied", NEW, hash_of(OLD))
OF_NO_REVISION = word("applied", None, hash_of(NEW))
KEPT_MADE_UP = word("kept_last_good", OLD, "f" * 64, hash_of(NEW))


@pytest.mark.parametrize(
    ("served", "said", "verdict"),
    [
        (SERVED, NOW, "in_sync"),
        (SERVED, KEPT_NOW, "in_sync"),
        (SERVED, REFUSED_NOW, "rejected"),
        (SERVED, KEPT_OLD, "rejected"),
        (SERVED, KEPT_OLD_SAYS_NOT_WHY, "rejected"),
        (SERVED, KEPT_OLD_SINCE_BEFORE, "pending"),
        (SERVED, BEFORE, "pending"),
        (SERVED, OTHER_PARAMETERS, "pending"),
        (SERVED, REFUSED_OLD, "pending"),
        (SERVED, SILENT, "pending"),
        (SERVED, MADE_UP, "drift"),
        (SERVED, OF_ANOTHER_PIN, "drift"),
        (SERVED, OF_ANOTHER_REVISION, "drift"),
        (SERVED, OF_NO_REVISION, "drift"),
        (SERVED, KEPT_MADE_UP, "drift"),
        (UNRESOLVABLE, BEFORE, "pending"),
        (UNRESOLVABLE, OTHER_PARAMETERS, "pending"),
        (UNRESOLVABLE, KEPT_OLD_SAYS_NOT_WHY, "pending"),
        (UNRESOLVABLE, REFUSED_OLD, "pending"),
        (UNRESOLVABLE, SILENT, "pending"),
        (UNRESOLVABLE, MADE_UP, "drift"),
        (NOTHING, SILENT, "in_sync"),
        (NOTHING, REFUSED_NOW, "in_sync"),
        (NOTHING, NOW, "pending"),
        (NOTHING, KEPT_OLD, "pending"),
        (NOTHING, MADE_UP, "drift"),
    ],
)
def test_the_verdict_on_an_instance(served: Served | None, said: Word | None, verdict: str) -> None:
    assert judge(PIN, served, said) == verdict


def test_a_hash_from_before_a_change_of_the_secret_key_is_as_good(settings: object) -> None:
    old = hash_of(NEW)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]  # type: ignore[attr-defined]  # pytest-django's settings
    settings.SECRET_KEY = "another" * 10  # type: ignore[attr-defined]  # as above
    served = Served(NEW, hash_of(NEW))
    assert served.config_hash != old
    assert judge(PIN, served, word("applied", NEW, old)) == "in_sync"
    assert judge(PIN, served, word("rejected", NEW, old)) == "rejected"
    settings.SECRET_KEY_FALLBACKS = []  # type: ignore[attr-defined]  # as above
    assert judge(PIN, served, word("applied", NEW, old)) == "drift"


@pytest.mark.parametrize(
    ("verdicts", "live", "expected"),
    [
        ({}, 0, ("unobserved", 0)),
        ({"in_sync": 1}, 1, ("in_sync", 1)),
        ({"in_sync": 3}, 3, ("in_sync", 3)),
        ({"in_sync": 2, "pending": 1}, 3, ("partial", 2)),
        ({"pending": 3}, 3, ("pending", 0)),
        ({"in_sync": 2, "rejected": 1}, 3, ("rejected", 2)),
        ({"pending": 2, "rejected": 1}, 3, ("rejected", 0)),
        ({"in_sync": 1, "rejected": 1, "drift": 1}, 3, ("drift", 1)),
        ({"drift": 1}, 1, ("drift", 0)),
    ],
)
def test_the_state_of_a_pin(verdicts: dict[str, int], live: int, expected: tuple[str, int]) -> None:
    counts = [(Verdict(name), count) for name, count in verdicts.items()]
    state, in_sync = expected
    assert conclude(counts, live=live) == Applied(State(state), live, in_sync)


def test_no_pin_is_in_sync_while_an_instance_with_a_verdict_is_pending_however_few_were_counted() -> None:
    counts = [(Verdict.IN_SYNC, 2), (Verdict.PENDING, 1)]
    assert conclude(counts, live=2) == Applied(State.PARTIAL, 3, 2)
    assert conclude([(Verdict.IN_SYNC, 1)], live=0) == Applied(State.UNOBSERVED, 0, 0)


def test_a_fingerprint_shows_nothing_of_the_config() -> None:
    """Its digest could be guessed at by whoever may not read secrets; the seal cannot."""
    made = hash_of(NEW)
    shown = fingerprint(made)
    assert shown is not None
    assert made.endswith(f"-{shown}")
    assert len(shown) == 20
    assert fingerprint(None) is None
    assert fingerprint("f" * 64) is None
