"""How many SQL statements each address of rollouts takes, and that it is the same number however much there is."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Organisation
from pipelines.rollouts.driving import advance
from tests.clients import Api
from tests.pipelines.rollouts.rest_fleets import Fleet, fleet
from tests.queries import Queries, assert_same_queries, count_queries

SIZES = (2, 12)
READS = {"show a plan": 6, "targets of a plan": 4, "show": 7, "targets": 4, "targets that wait": 4, "usages": 7}


def counted(ask: Callable[[], Any]) -> Queries:
    with count_queries() as queries:
        assert ask().status_code in (200, 201)
    return queries


def mixed(organisation: Organisation, size: int) -> Fleet:
    """So many that move, that are blocked and that are skipped."""
    made = fleet(organisation, size)
    for number in range(size):
        made.add(f"Bare {number}", host=None)
        made.add(f"Off {number}", enabled=False)
    return made


def before_the_start(api: Api, shops: Fleet) -> dict[str, Queries]:
    body = {"integration_id": shops.template.pk, "waves": "1,100%"}
    planned, spare = (shops.plan(api).json()["id"] for _ in range(2))
    return {
        "plan": counted(lambda: api.post("rollouts", body)),
        "show a plan": counted(lambda: api.get(f"rollouts/{planned}")),
        "targets of a plan": counted(lambda: api.get(f"rollouts/{planned}/targets")),
        "discard": counted(lambda: api.delete(f"rollouts/{spare}")),
        "start": counted(lambda: api.post(f"rollouts/{planned}/start", {"skip_blocked": True})),
    }


def after_the_start(api: Api, shops: Fleet) -> dict[str, Queries]:
    rollout_id = shops.plan(api, waves="1,100%").json()["id"]
    api.post(f"rollouts/{rollout_id}/start", {"skip_blocked": True})
    advance(rollout_id)
    usages = f"integration-templates/{shops.template.pk}/revisions/1/usages"
    found = {
        "show": counted(lambda: api.get(f"rollouts/{rollout_id}")),
        "targets": counted(lambda: api.get(f"rollouts/{rollout_id}/targets")),
        "targets that wait": counted(lambda: api.get(f"rollouts/{rollout_id}/targets", {"standing": "waiting"})),
        "usages": counted(lambda: api.get(usages)),
        "pause": counted(lambda: api.post(f"rollouts/{rollout_id}/pause")),
        "resume": counted(lambda: api.post(f"rollouts/{rollout_id}/resume")),
    }
    advance(rollout_id)
    return {**found, "revert": counted(lambda: api.post(f"rollouts/{rollout_id}/revert"))}


@pytest.mark.parametrize("ask", [before_the_start, after_the_start])
def test_every_address_takes_the_same_statements_for_few_pipelines_and_for_many(
    organisation: Organisation, editor: Api, ask: Callable[[Api, Fleet], dict[str, Queries]]
) -> None:
    few, many = (ask(editor, mixed(organisation, size)) for size in SIZES)
    for name, queries in few.items():
        assert_same_queries(queries, many[name])
    reads = {name: len(queries) for name, queries in few.items() if name in READS}
    assert reads == {name: READS[name] for name in reads}


def test_the_list_takes_three_statements_however_many_rollouts_of_however_many_waves(
    organisation: Organisation, viewer: Api, editor: Api
) -> None:
    shops = fleet(organisation, 4)
    shops.plan(editor)
    few = counted(lambda: viewer.get("rollouts"))
    for _ in range(5):
        shops.plan(editor, waves="1,2,3,100%")
    blogs = fleet(organisation, 2)
    done = blogs.started(editor, 2, waves="1,100%")
    editor.post(f"rollouts/{done}/revert")
    many = counted(lambda: viewer.get("rollouts"))
    assert_same_queries(few, many)
    assert len(few) == 3, str(few)
