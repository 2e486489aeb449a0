"""Rollouts in words, as every page of the console tells of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.models import Template
from pipelines.models import OnFailure, OnInconclusive, Pin, Rollout, RolloutState, RolloutTarget, RolloutWave, Verdict
from pipelines.querysets import HEAVY
from pipelines.rollouts.progress import targets_of
from pipelines.rollouts.waves import as_duration

# What the style sheet calls a state, and what people do.
STATES: Mapping[str, tuple[str, str]] = {
    RolloutState.PLANNED: ("off", "Planned"),
    RolloutState.RUNNING: ("running", "Running"),
    RolloutState.PAUSED: ("behind", "Paused"),
    RolloutState.DONE: ("current", "Done"),
    RolloutState.ABORTED: ("bad", "Aborted"),
}
STANDINGS: Mapping[str, tuple[str, str]] = {
    "waiting": ("running", "Waits for its wave"),
    "moved": ("current", "Moved"),
    "detached": ("behind", "Changed by hand"),
    "blocked": ("bad", "Blocked"),
    "revert_blocked": ("bad", "Cannot go back"),
    "superseded": ("behind", "Moved on since"),
    "already_there": ("off", "There already"),
    "skipped": ("off", "Left out"),
}
PLANNED_STANDINGS = {**STANDINGS, "waiting": ("current", "Moves")}
VERDICTS: Mapping[str, tuple[str, str]] = {
    Verdict.PASS: ("current", "Passed"),
    Verdict.FAIL: ("bad", "Failed"),
    Verdict.INCONCLUSIVE: ("behind", "Inconclusive"),
    Verdict.OVERRIDDEN: ("behind", "Passed over"),
}
ON_FAILURE = {
    OnFailure.PAUSE: "Pause it, so that somebody looks",
    OnFailure.ROLLBACK: "Take it back at once, all waves",
}
ON_INCONCLUSIVE = {
    OnInconclusive.PAUSE: "Pause it, so that somebody looks",
    OnInconclusive.CONTINUE: "Go on with the next wave",
}
Lines = list[tuple[str, str, str, int]]  # kind, word, name and number of each standing that some target has
LATE = timedelta(minutes=1)
READY = "The plan is ready. Look it over, then start it."
NO_WORKER = "No worker seems to run: start manage.py run_rollouts"


@dataclass(frozen=True)
class Summary:
    """A rollout in one line, told from its waves alone; they and its names should have been read with it."""

    rollout: Rollout
    waves: list[RolloutWave]

    @property
    def name(self) -> str:
        return name_of(self.rollout)

    @property
    def address(self) -> str:
        return address_of(self.rollout)

    @property
    def state(self) -> tuple[str, str]:
        return STATES[self.rollout.state]

    @property
    def size(self) -> int:
        """How many were planned to move."""
        return sum(wave.size for wave in self.waves)

    @property
    def moved(self) -> int:
        return sum(wave.moved or 0 for wave in self.waves)

    @property
    def progress(self) -> str:
        if self.rollout.state == RolloutState.PLANNED:
            return f"{self.size:,} to move"
        return f"{self.moved:,} of {self.size:,} moved"

    @property
    def sentence(self) -> str:
        """What is read aloud when it changes: everything that does, and no time of day."""
        wave = f"{self.rollout.waves_applied} of {count(len(self.waves), 'wave')} applied"
        return f"{self.state[1]}: {wave}, {self.progress}."

    @property
    def started_by(self) -> str:
        return str((self.rollout.runs_for or {}).get("label", ""))

    @property
    def bar(self) -> SafeString:
        """How far it has come, for the eye and for who does not see it."""
        return format_html(
            '<progress class="progress" max="{}" value="{}" aria-label="{}"></progress>',
            max(self.size, 1),
            self.moved,
            f"{self.name}: {self.progress}",
        )


def with_names(rollouts: QuerySet[Any]) -> QuerySet[Any]:
    """What a summary tells, in two statements however many there are."""
    named = rollouts.select_related("template", "revision", "reverts__revision").prefetch_related("waves")
    return named.defer(*(f"{side}__{name}" for side in ("revision", "reverts__revision") for name in HEAVY))


def summaries(rollouts: Iterable[Rollout]) -> list[Summary]:
    return [summary(rollout) for rollout in rollouts]


def summary(rollout: Rollout) -> Summary:
    return Summary(rollout, sorted(rollout.waves.all(), key=lambda wave: wave.number))


def name_of(rollout: Rollout) -> str:
    if rollout.revision:
        return f"{rollout.template} to v{rollout.revision.number}"
    taken_back = rollout.reverts.revision if rollout.reverts else None
    return f"{rollout.template}, {f'v{taken_back.number}' if taken_back else 'a way back'} taken back"


def address_of(rollout: Rollout) -> str:
    return reverse("admin:pipelines_rollout_page", args=[rollout.pk])


def of_template(template: Template, number: int) -> list[Summary]:
    """Its newest ones."""
    return summaries(with_names(Rollout.objects.filter(template=template)).order_by("-created_at", "-pk")[:number])


def takes_out(pin: Pin) -> SafeString | None:
    """That an active rollout is moving this pin, and what changing it by hand would mean."""
    rollout = with_names(Rollout.objects.filter(template=pin.template_id).active()).first()
    target = _target_of(pin, rollout) if rollout else None
    if rollout is None or target is None:
        return None
    standing: str = target.standing  # type: ignore[attr-defined]  # annotated by `targets_of`, which the stubs forget
    said = {"waiting": "is going to move it", "moved": "has moved it"}.get(standing)
    if said is None:
        return None
    return format_html(
        'The rollout <a href="{}">{}</a> {}, and is not over. Changing it by hand takes it out of the rollout: '
        "it stays then where you put it.",
        address_of(rollout),
        name_of(rollout),
        said,
    )


def _target_of(pin: Pin, rollout: Rollout) -> RolloutTarget | None:
    return targets_of(rollout).filter(pin_id=pin.pk).first()


def is_late(rollout: Rollout) -> bool:
    """Whether somebody should have looked at it by now."""
    return rollout.next_at is not None and timezone.now() > rollout.next_at + LATE


def choices_of(rollout: Rollout) -> list[tuple[str, str]]:
    """What was asked for when it was planned, as a list of terms."""
    kept = rollout.selection
    said = [
        ("Labels", ", ".join(kept.get("labels", ()))),
        ("Only these", count(len(kept.get("pipelines", ())), "named pipeline") if kept.get("pipelines") else ""),
        ("Left out", count(len(kept.get("exclude", ())), "named pipeline") if kept.get("exclude") else ""),
        ("Share", f"{kept['percent']} % of them" if kept.get("percent") else ""),
        ("Disabled ones", "taken along" if kept.get("include_disabled") else ""),
        ("Soak", as_duration(rollout.soak_seconds) if rollout.soak_seconds else ""),
        ("Gate", gate_of(rollout)),
    ]
    return [(term, text) for term, text in said if text]


def counted(counts: Mapping[str, int], names: Mapping[str, tuple[str, str]]) -> Lines:
    return [(*names[name], name, number) for name, number in counts.items() if number]


def gate_of(rollout: Rollout) -> str:
    """What the gate asks for, in one line; empty where there is none."""
    gate = rollout.gate or {}
    parts = []
    if gate.get("max_failure_ratio") is not None:
        parts.append(f"at most {percent(gate['max_failure_ratio'])} % of events fail")
    if gate.get("max_increase") is not None:
        parts.append(f"at most {percent(gate['max_increase'])} points more than in the hour before")
    if not parts:
        return ""
    patience = as_duration(gate["patience_seconds"])
    return f"{' and '.join(parts)}, judged from {count(gate['min_events'], 'event')} on, patient for {patience}"


def percent(ratio: float) -> str:
    """A ratio as people write it: 0.025 is 2.5."""
    return f"{round(100 * ratio, 6):g}"


def count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"
