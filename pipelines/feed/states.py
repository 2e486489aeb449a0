"""What is pinned, what is served and what is running, compared: one verdict for each instance, one state for each pin.

An instance counts for a pin while it is live and has said anything about the pin's pipeline. Of each such instance:

    served       it says                                                       verdict
    a config     applied or kept_last_good: this config                        in_sync
    a config     rejected: this config                                         rejected
    a config     kept_last_good: another, and this one was not taken           rejected
    a config     another config of ours, or nothing of this pin                pending
    no config    whatever is not drift                                         pending
    nothing      nothing of this pin, or rejected: it runs nothing             in_sync
    nothing      applied or kept_last_good: it still runs                      pending
    whatever     it runs a config that we never made for this pin              drift

Nothing is served where the pin or its pipeline is disabled; no config is where the parameters do not fill it in. Of
the verdicts together, the first line that holds is the state of the pin:

    no instance counts                         unobserved
    one at least has drifted                   drift
    one at least rejects what is served        rejected
    all are in sync                            in_sync
    some are in sync (k of n)                  partial
    none is                                    pending
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from accounts.errors import Detail
from pipelines.feed.hashes import DIGEST_LENGTH, was_issued
from pipelines.models import Claim


class Verdict(StrEnum):
    """What there is to say of one instance and one pin."""

    IN_SYNC = "in_sync"
    PENDING = "pending"
    REJECTED = "rejected"
    DRIFT = "drift"


class State(StrEnum):
    """What there is to say of one pin, at all instances; only `in_sync` is good."""

    IN_SYNC = "in_sync"
    PENDING = "pending"
    PARTIAL = "partial"
    REJECTED = "rejected"
    DRIFT = "drift"
    UNOBSERVED = "unobserved"


@dataclass(frozen=True)
class Served:
    """What the feed gives of one enabled pin; `config_hash` is None where `reasons` say why there is no config."""

    revision_id: str
    config_hash: str | None
    reasons: tuple[Detail, ...] = ()

    @property
    def state(self) -> str:
        return "unresolvable" if self.reasons else "ok"


@dataclass(frozen=True)
class Word:
    """What an instance last said of one pin; no revision is one that the pin cannot have."""

    claim: str
    revision_id: str | None
    config_hash: str
    refused_hash: str = ""


@dataclass(frozen=True)
class Applied:
    """The state of one pin: of the `live` instances that count, so many are in sync."""

    state: State
    live: int
    in_sync: int


def judge(pin_id: str, served: Served | None, word: Word | None) -> Verdict:
    """The verdict on one instance; `served` is None where nothing is, `word` where it says nothing of the pin."""
    if word is None or word.claim == Claim.REJECTED:
        if served is None:
            return Verdict.IN_SYNC
        return Verdict.REJECTED if word and _is_about(pin_id, word, served) else Verdict.PENDING
    if not _is_ours(pin_id, word):
        return Verdict.DRIFT
    if served is None:
        return Verdict.PENDING
    if _is_about(pin_id, word, served):
        return Verdict.IN_SYNC
    return Verdict.REJECTED if _was_not_taken(word, served) else Verdict.PENDING


def conclude(verdicts: Iterable[tuple[Verdict, int]], *, live: int) -> Applied:
    """The state that follows from how many instances have which verdict; `live` is how many count in all.

    Where that was counted a moment apart from them, it may be fewer than have a verdict; then those count.
    """
    if not live:
        return Applied(State.UNOBSERVED, 0, 0)
    counts: Counter[Verdict] = Counter()
    for verdict, count in verdicts:
        counts[verdict] += count
    live, in_sync = max(live, counts.total()), counts[Verdict.IN_SYNC]
    return Applied(_state(counts, in_sync, live), live, in_sync)


def _state(counts: Counter[Verdict], in_sync: int, live: int) -> State:
    if counts[Verdict.DRIFT]:
        return State.DRIFT
    if counts[Verdict.REJECTED]:
        return State.REJECTED
    if in_sync == live:
        return State.IN_SYNC
    return State.PARTIAL if in_sync else State.PENDING


def _is_ours(pin_id: str, word: Word) -> bool:
    revision_id = word.revision_id
    return revision_id is not None and was_issued(pin_id=pin_id, revision_id=revision_id, config_hash=word.config_hash)


def _is_about(pin_id: str, word: Word, served: Served) -> bool:
    """Whether the word is about just what is served; a hash from before a change of the secret key is as good."""
    if served.config_hash is None or word.revision_id != served.revision_id:
        return False
    return word.config_hash == served.config_hash or (
        word.config_hash[:DIGEST_LENGTH] == served.config_hash[:DIGEST_LENGTH] and _is_ours(pin_id, word)
    )


def _was_not_taken(word: Word, served: Served) -> bool:
    """Whether it kept what it had although this was there; which one it did not take is not always said."""
    if word.claim != Claim.KEPT_LAST_GOOD or served.config_hash is None:
        return False
    return word.refused_hash in ("", served.config_hash)
