"""How the console shows whether what is pinned is running: a sign beside the colour, and words for both."""

from dataclasses import dataclass

from pipelines.feed.states import Applied, State, Verdict


@dataclass(frozen=True)
class Mark:
    """A state for the style sheet (`kind`), at a glance (`sign`) and in words."""

    kind: str
    sign: str
    text: str


LEGEND = {
    State.IN_SYNC: Mark("good", "✓", "in sync"),
    State.PARTIAL: Mark("waiting", "½", "partial"),
    State.PENDING: Mark("waiting", "…", "pending"),
    State.REJECTED: Mark("bad", "✗", "rejected"),
    State.DRIFT: Mark("bad", "≠", "drift"),
    State.UNOBSERVED: Mark("unknown", "?", "unobserved"),
}
VERDICTS = {verdict: LEGEND[State(verdict.value)] for verdict in Verdict}


def mark_of(applied: Applied) -> Mark:
    """Of what is partial it says how many of how many."""
    mark = LEGEND[applied.state]
    if applied.state is not State.PARTIAL:
        return mark
    return Mark(mark.kind, f"{applied.in_sync}/{applied.live}", f"{applied.in_sync} of {applied.live} in sync")
