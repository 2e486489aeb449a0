"""A rollout under way in the console: how far it has come, every one of its targets, and what can be done about it."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern

from accounts.actors import Actor
from accounts.admin.console import ConsoleAdmin, actor_of, require, told
from accounts.admin.sending import Done, acts, settle
from accounts.errors import Refused
from pipelines.admin.rollout_plans import apply_small, routes_of
from pipelines.admin.rollout_words import (
    NO_WORKER,
    ON_FAILURE,
    ON_INCONCLUSIVE,
    PLANNED_STANDINGS,
    STANDINGS,
    VERDICTS,
    Lines,
    Summary,
    address_of,
    choices_of,
    count,
    counted,
    is_late,
    summaries,
    summary,
    with_names,
)
from pipelines.models import Rollout, RolloutState, RolloutWave
from pipelines.rollouts.lifecycle import abort_rollout, pause_rollout, resume_rollout
from pipelines.rollouts.progress import count_targets, targets_of
from pipelines.rollouts.reverts import revert_rollout

TARGETS_SHOWN = 50
NAMED = 10
EVERY = 5  # seconds from one look of the page to the next

STANDINGS_OF_REVERTS = {**STANDINGS, "waiting": ("current", "Goes back")}


@dataclass(frozen=True)
class Deed:
    """One thing to do to a rollout: what its page says, and what it asks besides."""

    title: str
    explanation: str
    button: str
    done: str
    dangerous: bool = False
    asks_reason: bool = False


DEEDS: Mapping[str, Deed] = {
    "pause": Deed(
        "Pause",
        "No further wave is applied until somebody resumes it. What has moved stays where it is.",
        "Pause",
        "It is paused.",
        asks_reason=True,
    ),
    "resume": Deed(
        "Resume",
        "It goes on, in your name. If there is a gate, it watches the last wave anew, from now on.",
        "Resume",
        "It goes on.",
    ),
    "abort": Deed(
        "Abort",
        "It ends for good: what has moved stays there, and what waits stays where it is. To move back what has moved, "
        "take it back instead.",
        "Abort",
        "It is aborted.",
        dangerous=True,
        asks_reason=True,
    ),
    "revert": Deed(
        "Take back",
        "Each integration that this rollout has moved goes back to where it was, all at once, as a rollout of its own.",
        "Take back",
        "It is being taken back.",
        dangerous=True,
    ),
}


@dataclass(frozen=True)
class WaveLine:
    """One wave as a row of the table."""

    wave: RolloutWave
    verdict: tuple[str, str] | None
    is_next: bool


@dataclass(frozen=True)
class Preview:
    """What taking a rollout back would do, or why it cannot be."""

    lines: Lines
    left: list[Any]
    left_count: int
    moves: int
    problems: list[str]


class ProgressPages(ConsoleAdmin):
    """The page that refreshes itself, its targets, and the buttons of who may write."""

    def progress_routes(self) -> list[URLPattern]:
        deeds = [self.route(f"<str:key>/{name}/", partial(self.act, name=name), name) for name in DEEDS]
        return [self.route("<str:key>/targets/", self.targets, "targets"), *deeds]

    def show_progress(self, request: HttpRequest, rollout: Rollout) -> HttpResponse:
        """The page, or with `?part=progress` only what of it changes by itself."""
        lines = summary(rollout)
        context = {
            "rollout": rollout,
            "summary": lines,
            "counts": counted(count_targets(rollout), STANDINGS),
            "waves": _waves(lines),
            "worker_hint": NO_WORKER if is_late(rollout) else "",
            "deeds": [(name, DEEDS[name]) for name in _possible(rollout)],
            "reverted_by": summaries(with_names(rollout.reverted_by.all()).order_by("-created_at")),
        }
        if request.GET.get("part") == "progress":
            return self.page(request, "rollout_progress.html", **context)
        return self.page(
            request,
            "rollout.html",
            title=lines.name,
            choices=choices_of(rollout),
            on_failure=ON_FAILURE[rollout.on_failure],  # type: ignore[index]  # the field holds one of them
            on_inconclusive=ON_INCONCLUSIVE[rollout.on_inconclusive],  # type: ignore[index]  # the same
            routes=routes_of(rollout),
            every=EVERY,
            **context,
        )

    def targets(self, request: HttpRequest, key: str) -> HttpResponse:
        """Every pipeline of the rollout in the order of the waves, narrowed by how it stands."""
        rollout = self.found(request, key)
        names = PLANNED_STANDINGS if rollout.state == RolloutState.PLANNED else STANDINGS
        asked = request.GET.get("standing", "")
        after = _position(request.GET.get("after", ""))
        chosen = targets_of(rollout, asked if asked in names else None)
        found = list(chosen.filter(position__gt=after)[: TARGETS_SHOWN + 1])
        shown = found[:TARGETS_SHOWN]
        uppers = [wave.upper for wave in summary(rollout).waves]
        return self.page(
            request,
            "rollout_targets.html",
            title=f"Pipelines of {summary(rollout).name}",
            rollout=rollout,
            names=[(name, word) for name, (_, word) in names.items()],
            asked=asked,
            rows=[(target, names[target.standing], _wave_of(target, uppers)) for target in _annotated(shown)],
            is_first=not after,
            next_after=shown[-1].position if len(found) > TARGETS_SHOWN else None,
            back=address_of(rollout),
        )

    def act(self, request: HttpRequest, key: str, name: str) -> HttpResponse:
        """Ask first, with what it will do; the button does it. Refused, it asks anew as things stand now."""
        require(request, self.writes)
        rollout = self.found(request, key)
        if acts(request):
            with told(request):
                return self._done(request, rollout, name)
            rollout = self.found(request, key)
        deed = DEEDS[name]
        if name not in _possible(rollout):
            if request.method != "POST":
                messages.error(request, f"This rollout is {rollout.state}, so this cannot be done to it now.")
            return HttpResponseRedirect(address_of(rollout))
        preview = _preview(actor_of(request), rollout) if name == "revert" else None
        return self.page(
            request,
            "rollout_act.html",
            title=f"{deed.title}: {summary(rollout).name}?",
            deed=deed,
            button=f"Take back {count(preview.moves, 'integration')}" if preview else deed.button,
            summary=summary(rollout),
            rollout=rollout,
            preview=preview,
            may_skip_gate=name == "resume" and _may_skip_gate(rollout),
            may_skip_blocked=name == "resume" and not rollout.skip_blocked,
            said=request.POST,
            back=address_of(rollout),
        )

    def _done(self, request: HttpRequest, rollout: Rollout, name: str) -> HttpResponse:
        made: list[Rollout] = []

        def change() -> Done:
            made.append(_changed(request, rollout, name))
            return Done(address_of(made[0]), DEEDS[name].done)

        answer = settle(request, change)
        if name == "revert" and made:
            apply_small(made[0])
        return answer


def _possible(rollout: Rollout) -> list[str]:
    """What can be done to it as it stands, the harmless first."""
    found = {RolloutState.RUNNING: ["pause", "abort"], RolloutState.PAUSED: ["resume", "abort"]}.get(
        RolloutState(rollout.state), []
    )
    return [*found, "revert"] if rollout.waves_applied else found


def _changed(request: HttpRequest, rollout: Rollout, name: str) -> Rollout:
    """Do it, unless the rollout is not as its page showed it. Raises Refused.

    A wave that was applied meanwhile is no reason to go on, so a pause does not ask what was seen.
    """
    who: dict[str, Any] = {"actor": actor_of(request), "rollout_id": rollout.pk}
    sent, seen = request.POST, request.POST.get("tag", "none")
    reason = sent.get("reason", "").strip()
    if name == "pause":
        return pause_rollout(**who, reason=reason)
    if name == "resume":
        skip_gate, skip_blocked = "skip_gate" in sent, "skip_blocked" in sent
        return resume_rollout(**who, skip_gate=skip_gate, skip_blocked=skip_blocked, expected=seen)
    if name == "abort":
        return abort_rollout(**who, reason=reason, expected=seen)
    return revert_rollout(**who, expected=seen)


def _preview(actor: Actor, rollout: Rollout) -> Preview:
    """Take it back, look, and undo all of that: what it says is what would happen."""
    try:
        with transaction.atomic():
            revert = revert_rollout(actor=actor, rollout_id=rollout.pk)
            counts = count_targets(revert)
            left = targets_of(revert).filter(outcome__in=("superseded", "revert_blocked"))
            preview = Preview(
                counted(counts, STANDINGS_OF_REVERTS),
                [(target, STANDINGS[target.standing]) for target in _annotated(left[:NAMED])],
                counts["superseded"] + counts["revert_blocked"],
                counts["waiting"],
                [],
            )
            transaction.set_rollback(True)
    except Refused as refusal:
        return Preview([], [], 0, 0, list(dict.fromkeys([refusal.message, *(one.message for one in refusal.details)])))
    return preview


def _waves(told_as: Summary) -> list[WaveLine]:
    following = told_as.rollout.waves_applied + 1
    is_active = told_as.rollout.is_active
    return [
        WaveLine(wave, VERDICTS.get(wave.verdict), is_active and wave.number == following) for wave in told_as.waves
    ]


def _may_skip_gate(rollout: Rollout) -> bool:
    """Whether the gate has a wave to judge that it has not let pass."""
    applied = [wave for wave in summary(rollout).waves if wave.number == rollout.waves_applied]
    return bool(rollout.gate) and any(wave.verdict not in ("pass", "overridden") for wave in applied)


def _wave_of(target: Any, uppers: list[int]) -> int | None:
    """The number of the wave that a target belongs to, if it is to move at all."""
    if target.outcome != "moves":
        return None
    return bisect_left(uppers, target.position) + 1


def _annotated(targets: Iterable[Any]) -> Iterable[Any]:
    """Each with its `standing`, which the stubs know nothing of."""
    return targets


def _position(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
