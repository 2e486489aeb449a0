"""What a run tells: requests by kind, memory by tenths of the time, and what was checked."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tests.load.ledger import Answer, Ledger
from tests.load.looking import Check
from tests.load.memory import PARTS, Growth
from tests.load.traffic import Crowd


def report(title: str, crowd: Crowd, growth: dict[str, Growth], found: Sequence[Check]) -> str:
    """As Markdown."""
    ledger, seconds = crowd.ledger, crowd.ended - crowd.began
    rate = len(ledger.answers) / seconds
    parts = [
        f"## {title}",
        f"{seconds:,.0f} seconds, {len(ledger.answers):,} requests, {rate:.0f} a second; "
        f"{len(ledger.changes):,} accepted writes, {ledger.replayed:,} of them sent again with their Idempotency-Key, "
        f"{ledger.given_up:,} after hanging up. No client was more than {ledger.latest:.1f} s behind its clock. "
        f"The machine's load average was {os.getloadavg()[2]:.0f}.",
        _table(["request", "count", "p50 ms", "p99 ms", "answers"], _kinds(ledger)),
        _table(["refused, of two at once", "count"], _refusals(ledger)),
        _table(["allocated, MiB", *[f"{n + 1}/{PARTS}" for n in range(PARTS)], "grown", "a minute"], _sizes(growth)),
        _table(["checked", "count", "wrong"], [[one.what, f"{one.count:,}", str(len(one.wrong))] for one in found]),
    ]
    return "\n\n".join(parts) + "\n"


def _kinds(ledger: Ledger) -> list[list[str]]:
    kinds: dict[str, list[Answer]] = defaultdict(list)
    for answer in ledger.answers:
        kinds[answer.kind].append(answer)
    return [_kind(kind, kinds[kind]) for kind in sorted(kinds)]


def _kind(kind: str, answers: Sequence[Answer]) -> list[str]:
    times = sorted(answer.seconds * 1000 for answer in answers)
    statuses = Counter(answer.status for answer in answers)
    told = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    return [kind, f"{len(times):,}", f"{_at(times, 0.5):,.0f}", f"{_at(times, 0.99):,.0f}", told]


def _at(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, int(share * len(times)))]


def _refusals(ledger: Ledger) -> list[list[str]]:
    counts = Counter((answer.kind, answer.status, answer.code) for answer in ledger.answers if answer.code)
    return [[f"{kind}: {status} {code}", f"{count:,}"] for (kind, status, code), count in sorted(counts.items())]


def _sizes(growth: dict[str, Growth]) -> list[list[str]]:
    return [
        [
            name,
            *(f"{size / 1024:.1f}" for size in one.medians),
            f"{one.grown / 1024:+.1f} ({one.grown / one.medians[1]:+.1%})",
            f"{one.slope / 1024:+.2f}",
        ]
        for name, one in growth.items()
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
