"""Rollouts over REST: what each address shows, and what it does."""

from typing import Any

import pytest
import time_machine

from accounts.models import AuditEntry, Organisation, User
from integrations.revisions import create_revision
from pipelines.models import ConfigurationVersion, Rollout, RolloutTarget, RolloutWave
from pipelines.pins import update_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.progress import count_targets
from tests.clients import Api
from tests.factories import system
from tests.pipelines.rollouts.rest_fleets import AFTER, HIDDEN, Fleet, fleet, kept, timeless

UNAPPLIED = {"moved": None, "applied_at": None, "version": None, "verdict": None, "verdict_reason": ""}
COUNTS = dict.fromkeys(
    ["waiting", "moved", "detached", "already_there", "blocked", "skipped", "superseded", "revert_blocked"], 0
)
ALL_OF_THEM: dict[str, Any] = {
    "pipelines": None,
    "labels": [],
    "from_revision": None,
    "percent": None,
    "exclude": [],
    "include_disabled": False,
}


@pytest.fixture
def shops(organisation: Organisation) -> Fleet:
    """Three that can move, one that lacks the parameter, one that is there, and one that is off."""
    made = fleet(organisation)
    made.add("Bare 3", host=None)
    made.add("There 4", number=2)
    made.add("Off 5", enabled=False)
    return made


def actor(user: User) -> dict[str, str]:
    return {"type": "user", "id": user.pk, "label": user.email}


def change(pointer: str, before: str, after: str, *, secret: bool = False) -> dict[str, Any]:
    facts = {"op": "changed", "pointer": pointer, "before": before, "after": after}
    return {**facts, "type_changed": False, "secret": secret}


def of(api: Api, rollout_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = api.get(f"rollouts/{rollout_id}").json()
    return shown


def standings(api: Api, rollout_id: str, **query: str) -> dict[str, str]:
    """What has become of each pipeline, by its name."""
    targets = api.get(f"rollouts/{rollout_id}/targets", query).json()["targets"]
    return {target["pipeline_name"]: target["standing"] for target in targets}


def test_a_plan_shows_all_that_would_happen_with_secrets_masked(shops: Fleet, editor: Api, editor_user: User) -> None:
    gate = {"max_failure_ratio": 0.02, "min_events": 100, "patience": "1h"}
    answer = shops.plan(editor, waves="1,100%", soak="10m", gate=gate, on_failure="rollback")
    shown = answer.json()
    rollout = Rollout.objects.get()
    assert answer.status_code == 201
    assert answer["ETag"] == f'"1-{shops.template.row_version}.0"'
    assert HIDDEN not in answer.content.decode()
    assert shown == of(editor, rollout.pk)
    assert timeless(shown) == {
        "id": rollout.pk,
        "integration_id": shops.template.pk,
        "integration_name": "Hook 3",
        "vendor": "webhook",
        "revision_id": shops.second.pk,
        "revision_number": 2,
        "reverts": None,
        "state": "planned",
        "reason": "",
        "moves": 3,
        "moved": 0,
        "waves": [{"number": 1, "size": 1, **UNAPPLIED}, {"number": 2, "size": 2, **UNAPPLIED}],
        "created_by": actor(editor_user),
        "created_at": "<time>",
        "started_at": None,
        "finished_at": None,
        "plan_hash": rollout.plan_hash,
        "selection": ALL_OF_THEM,
        "soak": "10m",
        "gate": {"max_failure_ratio": 0.02, "max_increase": None, "min_events": 100, "patience": "1h"},
        "on_failure": "rollback",
        "on_inconclusive": "pause",
        "skip_blocked": False,
        "runs_for": None,
        "counts": {**COUNTS, "waiting": 3, "blocked": 1, "already_there": 1, "skipped": 1},
        "paths": [
            {
                "from_revision_id": shops.first.pk,
                "from_revision_number": 1,
                "to_revision_id": shops.second.pk,
                "to_revision_number": 2,
                "pins": 4,
                "changes": [
                    change("/bearer_token", "***", "***", secret=True),
                    change("/url", "https://hooks.example.com/events", AFTER["url"]),
                ],
                "parameters_newly_needed": ["host"],
                "parameters_no_longer_used": [],
            }
        ],
    }


def test_planning_changes_nothing_that_runs(shops: Fleet, editor: Api, editor_user: User) -> None:
    before = kept()
    rollout_id = shops.plan(editor).json()["id"]
    after = kept()
    changed = {table for table in after if after[table] != before.get(table, [])}
    assert changed == {
        "pipelines_rollout",
        "pipelines_rolloutwave",
        "pipelines_rollouttarget",
        "accounts_auditentry",
    }
    entry = AuditEntry.objects.get(action="rollout.planned")
    assert (entry.resource_type, entry.resource_id, entry.actor_id) == ("rollout", rollout_id, editor_user.pk)
    assert entry.request_id.startswith("req_")


def test_what_is_left_out_of_a_plan_means_all_at_once_to_the_latest_with_no_gate(shops: Fleet, editor: Api) -> None:
    shown = shops.plan(editor).json()
    assert [shown[name] for name in ("revision_number", "soak", "gate", "selection")] == [2, "0s", None, ALL_OF_THEM]
    assert shown["waves"] == [{"number": 1, "size": 3, **UNAPPLIED}]
    shorter = shops.plan(editor, gate={"max_increase": 0}).json()["gate"]
    assert shorter == {"max_failure_ratio": None, "max_increase": 0.0, "min_events": 1, "patience": "30m"}


def test_a_revision_is_named_by_number_as_text_by_id_or_as_the_latest(shops: Fleet, editor: Api) -> None:
    for reference in (1, "1", shops.first.pk):
        counts = shops.plan(editor, revision_id=reference).json()["counts"]
        assert counts == {**COUNTS, "waiting": 1, "already_there": 4, "skipped": 1}
        assert shops.plan(editor, from_revision=reference).json()["selection"]["from_revision"] == shops.first.pk
    create_revision(actor=system(shops.organisation), template_id=shops.template.pk, config=AFTER)
    assert shops.plan(editor, revision_id="latest").json()["revision_number"] == 3


def test_a_plan_is_about_the_pipelines_that_it_names(shops: Fleet, editor: Api) -> None:
    first, second = (pin.pipeline_id for pin in shops.pins[:2])
    asked: list[tuple[dict[str, Any], dict[str, int]]] = [
        ({"pipelines": [first, second]}, {"waiting": 2}),
        ({"pipelines": None, "from_revision": None, "percent": None}, {"waiting": 3, "blocked": 1}),
        ({"labels": ["shop:1"]}, {"waiting": 1}),
        ({"labels": ["shop:1", "shop:2"]}, {}),
        ({"from_revision": 2}, {"already_there": 1}),
        ({"exclude": [first]}, {"waiting": 2, "blocked": 1, "skipped": 2}),
        ({"pipelines": [first, second], "percent": 50}, {"waiting": 1, "skipped": 1}),
        ({"include_disabled": True}, {"waiting": 4, "blocked": 1, "skipped": 0}),
    ]
    for body, expected in asked:
        answer = shops.plan(editor, **body)
        whole = {"already_there": 1, "skipped": 1} if expected.get("blocked") else {}
        assert (body, answer.json()["counts"]) == (body, {**COUNTS, **whole, **expected})
        said = {name: value for name, value in body.items() if name != "from_revision"}
        assert answer.json()["selection"].items() >= said.items()


def test_the_targets_tell_of_each_pipeline_where_it_goes_and_what_stands_in_its_way(
    shops: Fleet, viewer: Api, editor: Api
) -> None:
    rollout_id = shops.plan(editor, waves="1,100%").json()["id"]
    answer = viewer.get(f"rollouts/{rollout_id}/targets").json()
    first, _, last, bare, there, off = answer["targets"]
    whole = {
        "pipeline_id": shops.pins[0].pipeline_id,
        "pipeline_name": "Shop 0",
        "pin_id": shops.pins[0].pk,
        "from_revision_id": shops.first.pk,
        "from_revision_number": 1,
        "to_revision_id": shops.second.pk,
        "to_revision_number": 2,
        "enabled": True,
        "wave": 1,
        "outcome": "moves",
        "standing": "waiting",
        "reasons": [],
    }
    assert first == whole
    assert (last["pipeline_name"], last["wave"]) == ("Shop 2", 2)
    missing = "Set the parameter host on this pipeline: the config needs it."
    lacks = {"code": "missing_parameter", "message": missing, "key": "host", "pointers": ["/url"]}
    assert [bare[name] for name in ("outcome", "wave", "reasons")] == ["blocked", None, [lacks]]
    assert [there[name] for name in ("outcome", "from_revision_number", "reasons")] == ["already_there", 2, []]
    message = "The integration is disabled; include_disabled takes it along."
    assert [off[name] for name in ("standing", "reasons")] == ["skipped", [{"code": "disabled", "message": message}]]
    assert (answer["next_cursor"], answer["has_more"]) == (None, False)


def test_targets_are_paged_in_the_order_of_the_waves_and_filtered_by_standing(
    shops: Fleet, viewer: Api, editor: Api
) -> None:
    rollout_id = shops.plan(editor).json()["id"]
    path = f"rollouts/{rollout_id}/targets"
    first = viewer.get(path, {"limit": "4"}).json()
    rest = viewer.get(path, {"limit": "4", "cursor": first["next_cursor"]}).json()
    assert [target["pin_id"] for target in first["targets"] + rest["targets"]] == [pin.pk for pin in shops.pins]
    assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    waiting = viewer.get(path, {"limit": "2", "standing": "waiting"}).json()
    last = viewer.get(path, {"limit": "2", "standing": "waiting", "cursor": waiting["next_cursor"]}).json()
    assert [target["pipeline_name"] for target in last["targets"]] == ["Shop 2"]
    assert standings(viewer, rollout_id, standing="blocked") == {"Bare 3": "blocked"}
    assert standings(viewer, rollout_id, standing="moved") == {}


def test_a_started_rollout_shows_how_far_it_has_come(shops: Fleet, viewer: Api, editor: Api, editor_user: User) -> None:
    plan = shops.plan(editor, waves="1,100%").json()
    body = {"plan_hash": plan["plan_hash"], "skip_blocked": True}
    started = editor.post(f"rollouts/{plan['id']}/start", body)
    assert started.status_code == 200
    told = {"state": "running", "started_at": "<time>", "skip_blocked": True, "runs_for": actor(editor_user)}
    assert timeless(started.json()) == {**timeless(plan), **told}
    assert shops.numbers() == [1, 1, 1, 1, 2, 1]  # the worker applies waves, no request does

    advance(plan["id"])
    version = ConfigurationVersion.objects.order_by("-number")[0].number
    wave = {"number": 1, "size": 1, **UNAPPLIED, "moved": 1, "applied_at": "<time>", "version": version}
    shown = of(viewer, plan["id"])
    assert timeless(shown)["waves"] == [wave, {"number": 2, "size": 2, **UNAPPLIED}]
    assert (shown["moves"], shown["moved"]) == (3, 1)
    assert shown["counts"] == {**plan["counts"], "waiting": 2, "moved": 1}
    assert shops.numbers() == [2, 1, 1, 1, 2, 1]

    advance(plan["id"])
    done = of(viewer, plan["id"])
    assert (done["state"], done["moved"], timeless(done)["finished_at"]) == ("done", 3, "<time>")
    assert done["counts"] == {**plan["counts"], "waiting": 0, "moved": 3}


def test_a_list_shows_each_rollout_but_what_takes_reading_its_targets(shops: Fleet, viewer: Api, editor: Api) -> None:
    rollout_id = shops.plan(editor).json()["id"]
    answer = viewer.get("rollouts").json()
    whole = of(viewer, rollout_id)
    beside = {"plan_hash", "selection", "soak", "gate", "on_failure", "on_inconclusive", "skip_blocked", "runs_for"}
    assert set(whole) - set(answer["rollouts"][0]) == {*beside, "counts", "paths"}
    assert answer["rollouts"][0].items() <= whole.items()
    assert (answer["next_cursor"], answer["has_more"]) == (None, False)


def test_the_list_has_the_newest_first_in_pages(organisation: Organisation, viewer: Api, editor: Api) -> None:
    shops = fleet(organisation, 1)
    planned = [shops.plan(editor).json()["id"] for _ in range(3)]
    first = viewer.get("rollouts", {"limit": "2"}).json()
    rest = viewer.get("rollouts", {"limit": "2", "cursor": first["next_cursor"]}).json()
    assert [shown["id"] for shown in first["rollouts"] + rest["rollouts"]] == planned[::-1]


def test_the_list_is_narrowed_by_template_revision_vendor_state_and_what_was_taken_back(
    organisation: Organisation, viewer: Api, editor: Api
) -> None:
    shops, blogs = fleet(organisation, 1), fleet(organisation, 2)
    done = shops.started(editor, 1)
    revert = editor.post(f"rollouts/{done}/revert").json()["id"]
    planned = blogs.plan(editor, revision_id=1).json()["id"]

    def found(**query: Any) -> list[str]:
        return [shown["id"] for shown in viewer.get("rollouts", query).json()["rollouts"]]

    assert found(template=shops.template.pk) == [revert, done]
    assert found(revision=blogs.first.pk) == [planned]
    assert found(vendor="webhook") == [planned, revert, done]
    assert found(vendor="ga4") == []
    assert found(state="done") == [done]
    assert found(state=["running", "paused"]) == [revert]
    assert found(state=["planned", "done"], template=blogs.template.pk) == [planned]
    assert found(reverts=done) == [revert]


def test_a_rollout_is_paused_resumed_and_aborted_for_a_reason(
    organisation: Organisation, editor: Api, admin: Api, admin_user: User
) -> None:
    shops = fleet(organisation)
    rollout_id = shops.started(editor, 1, waves="1,100%")
    paused = editor.post(f"rollouts/{rollout_id}/pause", {"reason": "Orders look odd."})
    assert (paused.status_code, paused.json()["state"], paused.json()["reason"]) == (200, "paused", "Orders look odd.")
    assert advance(rollout_id).state == "paused"
    resumed = admin.post(f"rollouts/{rollout_id}/resume").json()
    assert (resumed["state"], resumed["reason"], resumed["runs_for"]) == ("running", "", actor(admin_user))
    aborted = admin.post(f"rollouts/{rollout_id}/abort").json()
    assert (aborted["state"], aborted["reason"]) == ("aborted", "admin@acme.example aborted it.")
    assert aborted["counts"] == {**COUNTS, "moved": 1, "waiting": 2}
    assert aborted == of(editor, rollout_id)
    assert shops.numbers() == [2, 1, 1]
    actions = AuditEntry.objects.filter(resource_type="rollout").order_by("pk").values_list("action", flat=True)
    told = ["planned", "started", "wave_applied", "paused", "resumed", "aborted"]
    assert list(actions) == [f"rollout.{action}" for action in told]


def test_resuming_can_go_on_without_the_gate_and_skip_what_is_blocked(organisation: Organisation, editor: Api) -> None:
    shops = fleet(organisation)
    gate = {"max_failure_ratio": 0.5, "patience": "0s"}
    rollout_id = shops.started(editor, 1, waves="1,100%", gate=gate)
    advance_when_due(rollout_id)
    assert of(editor, rollout_id)["waves"][0]["verdict"] == "inconclusive"
    resumed = editor.post(f"rollouts/{rollout_id}/resume", {"skip_gate": True, "skip_blocked": True}).json()
    assert (resumed["state"], resumed["skip_blocked"]) == ("running", True)
    told = [resumed["waves"][0][name] for name in ("verdict", "verdict_reason")]
    assert told == ["overridden", "editor@acme.example went on without the gate."]


def advance_when_due(rollout_id: str) -> None:
    due = Rollout.objects.get(pk=rollout_id).next_at
    assert due is not None
    with time_machine.travel(due, tick=False):
        advance(rollout_id)


def test_a_revert_is_a_rollout_of_its_own_that_runs_already(
    organisation: Organisation, editor: Api, editor_user: User
) -> None:
    shops = fleet(organisation)
    rollout_id = shops.started(editor, 1)
    actor_of_change = system(organisation)
    moved_on = shops.pins[1]
    update_pin(actor=actor_of_change, pipeline_id=moved_on.pipeline_id, pin_id=moved_on.pk, revision_id=shops.first.pk)
    answer = editor.post(f"rollouts/{rollout_id}/revert")
    revert = answer.json()
    assert answer.status_code == 201
    assert {name: revert[name] for name in ("revision_id", "revision_number", "selection", "reverts", "state")} == {
        "revision_id": None,
        "revision_number": None,
        "selection": None,
        "reverts": rollout_id,
        "state": "running",
    }
    assert revert["counts"] == {**COUNTS, "waiting": 2, "superseded": 1}
    assert [(path["from_revision_number"], path["to_revision_number"]) for path in revert["paths"]] == [(2, 1)]
    assert revert["runs_for"] == revert["created_by"] == actor(editor_user)
    advance(revert["id"])
    assert shops.numbers() == [1, 1, 1]
    assert standings(editor, revert["id"]) == {"Shop 0": "moved", "Shop 1": "superseded", "Shop 2": "moved"}


def test_a_plan_that_was_never_started_can_be_discarded(shops: Fleet, editor: Api) -> None:
    rollout_id = shops.plan(editor).json()["id"]
    answer = editor.delete(f"rollouts/{rollout_id}")
    assert (answer.status_code, answer.json()) == (200, {"status": "removed"})
    assert editor.get(f"rollouts/{rollout_id}").status_code == 404
    assert [model.objects.count() for model in (Rollout, RolloutWave, RolloutTarget)] == [0, 0, 0]
    entry = AuditEntry.objects.get(action="rollout.discarded")
    assert (entry.resource_id, entry.resource_label) == (rollout_id, "Hook 3 to Revision v2")


def test_a_pin_changed_by_hand_is_detached_visibly_and_makes_a_new_tag(
    organisation: Organisation, viewer: Api, editor: Api
) -> None:
    shops = fleet(organisation)
    rollout_id = shops.started(editor, 1, waves="1,100%")
    seen = viewer.get(f"rollouts/{rollout_id}")["ETag"]
    assert viewer.get(f"rollouts/{rollout_id}", If_None_Match=seen).status_code == 304
    pin = shops.pins[2]
    editor.put(f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}", {"enabled": False})
    now = viewer.get(f"rollouts/{rollout_id}", If_None_Match=seen)
    assert (now.status_code, now.json()["counts"]) == (200, {**COUNTS, "moved": 1, "waiting": 1, "detached": 1})
    assert standings(viewer, rollout_id, standing="detached") == {"Shop 2": "detached"}
    # What changed is the pin: who saw the rollout's own last step may still pause it.
    assert editor.post(f"rollouts/{rollout_id}/pause", If_Match=seen).status_code == 200


def test_a_wave_applied_while_a_rollout_is_read_is_in_all_of_the_answer(
    organisation: Organisation, viewer: Api, editor: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout_id = fleet(organisation).started(editor, waves="1,100%")
    steps = [rollout_id]

    def count_after_a_step(rollout: Rollout) -> dict[str, int]:
        if steps:
            advance(steps.pop())
        return count_targets(rollout)

    monkeypatch.setattr("pipelines.api.rollouts.objects.count_targets", count_after_a_step)
    shown = viewer.get(f"rollouts/{rollout_id}").json()
    assert steps == []
    assert shown["counts"] == {**COUNTS, "moved": 1, "waiting": 2}
    assert [wave["moved"] for wave in shown["waves"]] == [1, None]
