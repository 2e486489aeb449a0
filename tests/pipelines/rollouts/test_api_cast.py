"""Every address of rollouts, tried by the whole cast; who is denied changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from accounts.models import Organisation
from tests.clients import Api
from tests.conftest import Cast
from tests.pipelines.rollouts.rest_fleets import Fleet, fleet, kept

READS = {"viewer": 200, "editor": 200, "admin": 200, "stranger": 404, "processor": 403, "nobody": 401}
WRITES = {**READS, "viewer": 403}
PLANS = {**WRITES, "editor": 201, "admin": 201, "stranger": 422}


@dataclass(frozen=True)
class Stage:
    """A rollout for each thing that can be done to one."""

    shops: Fleet
    planned: str
    spare: str
    running: str
    paused: str


@pytest.fixture
def stage(organisation: Organisation, admin: Api) -> Stage:
    shops, blogs, apps = fleet(organisation, 1), fleet(organisation, 2), fleet(organisation, 3)
    planned, spare = (shops.plan(admin).json()["id"] for _ in range(2))
    running, paused = (made.started(admin, 1, waves="1,100%") for made in (blogs, apps))
    assert admin.post(f"rollouts/{paused}/pause").status_code == 200
    return Stage(shops, planned, spare, running, paused)


# In this order each of them can be done after those before it.
ACTIONS: dict[str, Callable[[Api, Stage], Any]] = {
    "plan": lambda api, stage: stage.shops.plan(api),
    "discard": lambda api, stage: api.delete(f"rollouts/{stage.spare}"),
    "start": lambda api, stage: api.post(f"rollouts/{stage.planned}/start"),
    "pause": lambda api, stage: api.post(f"rollouts/{stage.running}/pause"),
    "resume": lambda api, stage: api.post(f"rollouts/{stage.paused}/resume"),
    "abort": lambda api, stage: api.post(f"rollouts/{stage.paused}/abort"),
    "revert": lambda api, stage: api.post(f"rollouts/{stage.running}/revert"),
}


@pytest.mark.parametrize("person", WRITES)
def test_editors_and_admins_roll_out_and_nobody_else_leaves_a_trace(cast: Cast, stage: Stage, person: str) -> None:
    for action, act in ACTIONS.items():
        before = kept()
        status = act(cast[person], stage).status_code
        allowed = 201 if action == "revert" and WRITES[person] == 200 else WRITES[person]
        assert (action, status) == (action, PLANS[person] if action == "plan" else allowed)
        assert (action, kept() == before) == (action, status >= 400)


@pytest.mark.parametrize("person", READS)
def test_everybody_of_the_organisation_but_a_processor_reads(cast: Cast, stage: Stage, person: str) -> None:
    paths = [f"rollouts/{stage.running}", f"rollouts/{stage.running}/targets", f"rollouts/{stage.planned}/targets"]
    assert {path: cast[person].get(path).status_code for path in paths} == dict.fromkeys(paths, READS[person])


def test_the_list_shows_a_stranger_nothing_of_it(cast: Cast, stage: Stage) -> None:
    answers = {name: api.get("rollouts") for name, api in cast.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == {**READS, "stranger": 200}
    shown = {name: len(answers[name].json()["rollouts"]) for name in ("viewer", "editor", "admin", "stranger")}
    assert shown == {"viewer": 4, "editor": 4, "admin": 4, "stranger": 0}


def test_a_stranger_is_told_the_same_of_what_is_elsewhere_and_of_what_is_nowhere(cast: Cast, stage: Stage) -> None:
    for action in ("start", "pause", "resume", "abort", "revert"):
        answers = [cast["stranger"].post(f"rollouts/{one}/{action}") for one in (stage.running, "ro_nowhere")]
        assert answers[0].json() == answers[1].json()
        assert answers[0].json()["error"]["message"] == "There is no such rollout in this organisation."


@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_rollout_is_never_rewritten(cast: Cast, stage: Stage, method: str) -> None:
    before = kept()
    answer = getattr(cast["admin"], method)(f"rollouts/{stage.planned}", {"soak": "1h"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert kept() == before
