"""What REST refuses of rollouts, with which code, and that nothing is kept of it."""

from typing import Any

import pytest

from accounts.models import Organisation
from integrations.templates import create_template
from pipelines.pins import remove_pin, update_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.selection import MAX_NAMED
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.pipelines.rollouts.rest_fleets import Fleet, fleet, kept
from tests.pipelines.traces import refusal

UNREADABLE: list[tuple[dict[str, Any], str, str]] = [
    ({"revision_id": True}, "revision_id", "wrong_type"),
    ({"revision_id": None}, "revision_id", "null"),
    ({"revision_id": 10**50}, "revision_id", "wrong_type"),
    ({"revision_id": ""}, "revision_id", "blank"),
    ({"pipelines": []}, "pipelines", "empty"),
    ({"pipelines": "pip_1"}, "pipelines", "not_a_list"),
    ({"pipelines": [7]}, "pipelines/0", "wrong_type"),
    ({"pipelines": ["pip_1"] * (MAX_NAMED + 1)}, "pipelines", "max_length"),
    ({"exclude": ["x" * 41]}, "exclude/0", "max_length"),
    ({"labels": ["shop:1", "shop"]}, "labels/1", "invalid_label"),
    ({"labels": [":1"]}, "labels/0", "invalid_label"),
    ({"percent": 0}, "percent", "min_value"),
    ({"percent": 101}, "percent", "max_value"),
    ({"percent": "50"}, "percent", "wrong_type"),
    ({"percent": True}, "percent", "wrong_type"),
    ({"percent": 1.5}, "percent", "wrong_type"),
    ({"include_disabled": "yes"}, "include_disabled", "wrong_type"),
    ({"waves": "1,10%"}, "waves", "incomplete"),
    ({"waves": "1,many,100%"}, "waves", "invalid_wave"),
    ({"waves": "0,100%"}, "waves", "invalid_wave"),
    ({"waves": "1," * 20 + "100%"}, "waves", "too_many"),
    ({"waves": 100}, "waves", "wrong_type"),
    ({"soak": "ten minutes"}, "soak", "invalid_duration"),
    ({"soak": "31d"}, "soak", "invalid_duration"),
    ({"soak": 600}, "soak", "wrong_type"),
    ({"gate": {}}, "gate", "asks_nothing"),
    ({"gate": {"min_events": 5}}, "gate", "asks_nothing"),
    ({"gate": "strict"}, "gate", "invalid"),
    ({"gate": {"max_failure_ratio": 2}}, "gate/max_failure_ratio", "max_value"),
    ({"gate": {"max_failure_ratio": "0.1"}}, "gate/max_failure_ratio", "wrong_type"),
    ({"gate": {"max_increase": -0.1}}, "gate/max_increase", "min_value"),
    ({"gate": {"max_increase": 0.1, "min_events": 0}}, "gate/min_events", "min_value"),
    ({"gate": {"max_increase": 0.1, "patience": "long"}}, "gate/patience", "invalid_duration"),
    ({"on_failure": "panic"}, "on_failure", "not_a_choice"),
    ({"on_inconclusive": "rollback"}, "on_inconclusive", "not_a_choice"),
]


@pytest.fixture
def shops(organisation: Organisation) -> Fleet:
    return fleet(organisation)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_each_field_of_a_plan_that_cannot_be_is_named(shops: Fleet, editor: Api) -> None:
    before = kept()
    told = [(body, refusal(shops.plan(editor, **body))) for body, _, _ in UNREADABLE]
    assert told == [(body, (422, "VALIDATION_ERROR", [(field, code)])) for body, field, code in UNREADABLE]
    assert kept() == before


def test_all_fields_at_fault_are_named_at_once(editor: Api) -> None:
    body = {"percent": 0, "waves": "x", "soak": "x", "labels": ["x"], "gate": {"min_events": 0, "patience": "x"}}
    assert refusal(editor.post("rollouts", body)) == (
        422,
        "VALIDATION_ERROR",
        [
            ("integration_id", "required"),
            ("labels/0", "invalid_label"),
            ("percent", "min_value"),
            ("waves", "invalid_wave"),
            ("soak", "invalid_duration"),
            ("gate/min_events", "min_value"),
            ("gate/patience", "invalid_duration"),
        ],
    )


def test_a_field_that_there_is_not_is_refused_with_the_nearest(shops: Fleet, editor: Api) -> None:
    planned = shops.plan(editor).json()["id"]
    before = kept()
    answers = {
        "template_id": shops.plan(editor, template_id="tmpl_1"),
        "max_failures": shops.plan(editor, gate={"max_failures": 1}),
        "hash": editor.post(f"rollouts/{planned}/start", {"hash": "x"}),
        "why": editor.post(f"rollouts/{planned}/pause", {"why": "x"}),
        "skip": editor.post(f"rollouts/{planned}/resume", {"skip": True}),
        "reason": editor.post(f"rollouts/{planned}/revert", {"reason": "x"}),
    }
    told = {name: refusal(answer) for name, answer in answers.items()}
    assert told == {name: (400, "BAD_REQUEST", [(name, "unknown_field")]) for name in answers}
    assert kept() == before


def test_what_is_not_here_is_unknown_in_the_field_that_names_it(
    shops: Fleet, editor: Api, other_organisation: Organisation
) -> None:
    elsewhere = PinFactory(organisation=other_organisation)
    foreign = revision_of(elsewhere.template)
    unpinned = PipelineFactory(organisation=shops.organisation)
    other = revision_of(TemplateFactory(organisation=shops.organisation))
    asked: list[tuple[dict[str, Any], str, str]] = [
        ({"integration_id": elsewhere.template_id}, "integration_id", "unknown_template"),
        ({"revision_id": foreign.pk}, "revision_id", "unknown_revision"),
        ({"revision_id": other.pk}, "revision_id", "unknown_revision"),
        ({"revision_id": 3}, "revision_id", "unknown_revision"),
        ({"revision_id": -1}, "revision_id", "unknown_revision"),
        ({"from_revision": foreign.pk}, "from_revision", "unknown_revision"),
        ({"pipelines": [shops.pins[0].pipeline_id, elsewhere.pipeline_id]}, "pipelines/1", "unknown_pipeline"),
        ({"exclude": [elsewhere.pipeline_id]}, "exclude/0", "unknown_pipeline"),
        ({"pipelines": [unpinned.pk]}, "pipelines/0", "not_pinned"),
    ]
    before = kept()
    told = [refusal(shops.plan(editor, **body)) for body, _, _ in asked]
    assert told == [(422, "VALIDATION_ERROR", [(field, code)]) for _, field, code in asked]
    assert kept() == before


def test_a_template_without_a_revision_has_none_to_roll_out(organisation: Organisation, editor: Api) -> None:
    template = create_template(actor=system(organisation), name="Empty", vendor="webhook")
    answer = editor.post("rollouts", {"integration_id": template.pk})
    assert refusal(answer) == (422, "VALIDATION_ERROR", [("revision_id", "no_revision")])


def test_a_plan_is_not_started_by_the_hash_of_another(shops: Fleet, editor: Api) -> None:
    planned, other = (shops.plan(editor, soak=soak).json() for soak in ("1m", "2m"))
    before = kept()
    answer = editor.post(f"rollouts/{planned['id']}/start", {"plan_hash": other["plan_hash"]})
    assert code_of(answer) == (409, "PLAN_CHANGED")
    assert kept() == before


def test_a_plan_from_which_something_has_changed_is_not_started_and_says_what(shops: Fleet, editor: Api) -> None:
    planned = shops.plan(editor).json()
    moved, gone, unready = shops.pins
    actor = system(shops.organisation)
    update_pin(actor=actor, pipeline_id=moved.pipeline_id, pin_id=moved.pk, revision_id=shops.second.pk)
    remove_pin(actor=actor, pipeline_id=gone.pipeline_id, pin_id=gone.pk)
    assert editor.delete(f"pipelines/{unready.pipeline_id}/parameters/host").status_code == 200
    before = kept()
    answer = editor.post(f"rollouts/{planned['id']}/start", {"plan_hash": planned["plan_hash"], "skip_blocked": True})
    assert code_of(answer) == (409, "PLAN_CHANGED")
    details = {detail["field"]: (detail["code"], detail["message"]) for detail in answer.json()["error"]["details"]}
    assert details == {
        moved.pk: ("changed", "Shop 0: its integration has been changed."),
        gone.pk: ("gone", "Shop 1: it does not belong to the selection any more."),
        unready.pk: ("blocked", "Shop 2: Set the parameter host on this pipeline: the config needs it."),
    }
    assert kept() == before


def test_blocked_pipelines_refuse_the_start_and_the_first_twenty_are_named(shops: Fleet, editor: Api) -> None:
    for number in range(3, 25):
        shops.add(f"Bare {number}", host=None)
    planned = shops.plan(editor).json()["id"]
    before = kept()
    answer = editor.post(f"rollouts/{planned}/start")
    assert code_of(answer) == (409, "ROLLOUT_BLOCKED")
    details = answer.json()["error"]["details"]
    message = "Set the parameter host on this pipeline: the config needs it."
    assert [detail["message"] for detail in details] == [f"Bare {number}: {message}" for number in range(3, 23)]
    assert {detail["code"] for detail in details} == {"missing_parameter"}
    assert answer.json()["error"]["message"].startswith("22 pipelines are blocked.")
    assert kept() == before


def test_a_plan_that_moves_nothing_is_not_started(shops: Fleet, editor: Api) -> None:
    planned = shops.plan(editor, revision_id=1).json()["id"]
    assert code_of(editor.post(f"rollouts/{planned}/start")) == (409, "NOTHING_MOVES")


def test_a_template_has_one_active_rollout_at_a_time(shops: Fleet, editor: Api) -> None:
    done = shops.started(editor, 1)
    planned = shops.plan(editor, revision_id=1).json()["id"]
    active = shops.started(editor, revision_id=1)
    before = kept()
    for path in (f"rollouts/{planned}/start", f"rollouts/{done}/revert"):
        answer = editor.post(path)
        assert (path, code_of(answer)) == (path, (409, "ROLLOUT_ACTIVE"))
        assert active in answer.json()["error"]["message"]
    assert kept() == before


def test_each_step_is_refused_from_the_states_that_it_does_not_lead_from(
    organisation: Organisation, editor: Api
) -> None:
    shops, blogs, apps = fleet(organisation, 1), fleet(organisation, 2), fleet(organisation, 3)
    planned = shops.plan(editor).json()["id"]
    running = blogs.started(editor)
    paused = apps.started(editor)
    assert editor.post(f"rollouts/{paused}/pause").status_code == 200
    done = shops.started(editor, 1)
    before = kept()
    refused = {
        "start": [running, paused, done],
        "pause": [planned, paused, done],
        "resume": [planned, running, done],
        "abort": [planned, done],
    }
    told = {
        (verb, one): refusal(editor.post(f"rollouts/{one}/{verb}")) for verb, those in refused.items() for one in those
    }
    assert set(map(str, told.values())) == {str((409, "ROLLOUT_STATE", [("state", "wrong_state")]))}
    assert [code_of(editor.delete(f"rollouts/{one}"))[1] for one in (running, paused, done)] == ["ROLLOUT_STATE"] * 3
    for one in (planned, running, paused):
        assert code_of(editor.post(f"rollouts/{one}/revert")) == (409, "NOTHING_MOVES")
    assert kept() == before
    sentence = "This rollout is done, and only one that is planned can be started."
    assert editor.post(f"rollouts/{done}/start").json()["error"]["message"] == sentence


def test_nothing_is_taken_back_twice(shops: Fleet, editor: Api) -> None:
    done = shops.started(editor, 1)
    revert = editor.post(f"rollouts/{done}/revert").json()["id"]
    advance(revert)
    before = kept()
    assert code_of(editor.post(f"rollouts/{done}/revert")) == (409, "NOTHING_MOVES")
    assert kept() == before


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("?vendors=ga4", "vendors", "unknown_filter"),
        ("?standing=moved", "standing", "unknown_filter"),
        ("?state=finished", "state", "invalid_choice"),
        ("?state=", "state", "empty"),
        ("?template=a&template=b", "template", "repeated"),
        ("?limit=101", "limit", "out_of_range"),
        ("?cursor=abc", "cursor", "invalid_cursor"),
    ],
)
def test_a_list_refuses_what_it_cannot_read(viewer: Api, query: str, field: str, code: str) -> None:
    assert refusal(viewer.get(f"rollouts{query}")) == (400, "BAD_REQUEST", [(field, code)])


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("?standing=finished", "standing", "not_a_choice"),
        ("?standing=", "standing", "empty"),
        ("?standing=moved&standing=waiting", "standing", "repeated"),
        ("?outcome=moves", "outcome", "unknown_filter"),
        ("?cursor=abc", "cursor", "invalid_cursor"),
    ],
)
def test_the_targets_refuse_what_they_cannot_read(shops: Fleet, editor: Api, query: str, field: str, code: str) -> None:
    path = f"rollouts/{shops.plan(editor).json()['id']}/targets"
    assert refusal(editor.get(f"{path}{query}")) == (400, "BAD_REQUEST", [(field, code)])


def test_one_rollout_takes_no_query_parameter(shops: Fleet, editor: Api) -> None:
    path = f"rollouts/{shops.plan(editor).json()['id']}"
    assert refusal(editor.get(f"{path}?standing=moved")) == (400, "BAD_REQUEST", [("standing", "unknown_filter")])
