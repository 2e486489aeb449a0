"""The difference of two revisions over REST, as written and as a pipeline would run them."""

from typing import Any

import pytest

from accounts.models import Organisation
from integrations.models import Revision, Template
from integrations.revisions import create_revision
from pipelines.models import Pipeline
from tests.clients import Api
from tests.factories import PipelineFactory, TemplateFactory, revision_of, system
from tests.queries import assert_same_queries, count_queries

CANARY = "canary-51d2"


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=0)
    return made


@pytest.fixture
def path(template: Template) -> str:
    return f"integration-templates/{template.pk}/revisions"


def append(template: Template, **config: Any) -> Revision:
    actor = system(template.organisation)
    whole = {"url": "https://example.com", **config}
    return create_revision(actor=actor, template_id=template.pk, config=whole).revision


def change(op: str, pointer: str, before: Any, after: Any, *, typed: bool = False, secret: bool = False) -> Any:
    return {
        "op": op,
        "pointer": pointer,
        "before": before,
        "after": after,
        "type_changed": typed,
        "secret": secret,
    }


def pipeline_with(editor: Api, organisation: Organisation, secrets: tuple[str, ...] = (), **values: str) -> Pipeline:
    pipeline: Pipeline = PipelineFactory(organisation=organisation)
    for key, value in values.items():
        body = {"value": value, "secret": key in secrets}
        assert editor.put(f"pipelines/{pipeline.pk}/parameters/{key}", body).status_code == 200
    return pipeline


def test_the_default_is_the_revision_before(viewer: Api, template: Template, path: str) -> None:
    append(template, timeout_seconds=5, note={"a": [1, 2]}, old="{{pipeline_param.gone}}")
    before = append(template, timeout_seconds=5, note={"a": [1, 2]}, old="{{pipeline_param.gone}}")
    after = append(template, timeout_seconds="{{pipeline_param.t}}", note={"a": [1]}, new=None)

    assert viewer.get(f"{path}/3/diff").json() == {
        "against": before.pk,
        "revision": after.pk,
        "changes": [
            change("changed", "/timeout_seconds", 5, "{{pipeline_param.t}}", typed=True),
            change("removed", "/note/a/1", 2, None),
            change("removed", "/old", "{{pipeline_param.gone}}", None),
            change("added", "/new", None, None),
        ],
        "parameters_newly_needed": ["t"],
        "parameters_no_longer_used": ["gone"],
    }
    assert viewer.get(f"{path}/2/diff").json()["changes"] == []


def test_the_first_revision_is_compared_with_nothing(viewer: Api, template: Template, path: str) -> None:
    first = append(template, bearer_token=CANARY, headers={"A": "{{pipeline_param.a}}"})
    assert viewer.get(f"{path}/{first.pk}/diff").json() == {
        "against": None,
        "revision": first.pk,
        "changes": [
            change("added", "/url", None, "https://example.com"),
            change("added", "/bearer_token", None, "***", secret=True),
            change("added", "/headers", None, {"A": "***"}, secret=True),
        ],
        "parameters_newly_needed": ["a"],
        "parameters_no_longer_used": [],
    }


def test_any_two_revisions_of_a_template_can_be_compared_by_id_or_number(
    viewer: Api, template: Template, path: str
) -> None:
    first, _, third = append(template, n=1), append(template, n=2), append(template, n=3)
    by_number = viewer.get(f"{path}/3/diff", {"against": "1"}).json()
    assert by_number["changes"] == [change("changed", "/n", 1, 3)]
    assert viewer.get(f"{path}/{third.pk}/diff", {"against": first.pk}).json() == by_number
    back = viewer.get(f"{path}/1/diff", {"against": "3"}).json()
    assert (back["against"], back["changes"]) == (third.pk, [change("changed", "/n", 3, 1)])
    assert viewer.get(f"{path}/3/diff", {"against": "3"}).json()["changes"] == []


@pytest.mark.parametrize("against", ["9", "rev_0000000000000000", "x", "0", "-1"])
def test_a_revision_to_compare_with_must_be_there(viewer: Api, template: Template, path: str, against: str) -> None:
    append(template)
    answer = viewer.get(f"{path}/1/diff", {"against": against})
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert (detail["field"], detail["code"]) == ("against", "unknown_revision")


def test_what_belongs_to_others_cannot_be_compared_with(
    viewer: Api, organisation: Organisation, other_organisation: Organisation, template: Template, path: str
) -> None:
    append(template)
    for owner in (organisation, other_organisation):
        other = revision_of(TemplateFactory(organisation=owner))
        assert viewer.get(f"{path}/1/diff", {"against": other.pk}).status_code == 422
    pipeline = PipelineFactory(organisation=other_organisation)
    answer = viewer.get(f"{path}/1/diff", {"pipeline": pipeline.pk})
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert (detail["field"], detail["code"]) == ("pipeline", "unknown_pipeline")


def test_a_misspelt_question_is_refused(viewer: Api, template: Template, path: str) -> None:
    append(template)
    answer = viewer.get(f"{path}/1/diff", {"agianst": "1"})
    assert answer.status_code == 400
    (detail,) = answer.json()["error"]["details"]
    assert (detail["field"], detail["code"]) == ("agianst", "unknown_filter")


def test_a_pipeline_compares_what_it_would_run(
    viewer: Api, editor: Api, organisation: Organisation, template: Template, path: str
) -> None:
    append(template, a="{{pipeline_param.x}}", timeout_seconds=5, b="{{pipeline_param.y}}")
    append(template, a="{{pipeline_param.y}}", timeout_seconds="{{pipeline_param.t}}", b="{{pipeline_param.x}}!")
    pipeline = pipeline_with(editor, organisation, x="same", y="same", t="5")

    shown = viewer.get(f"{path}/2/diff", {"pipeline": pipeline.pk}).json()

    assert shown["changes"] == [change("changed", "/b", "same", "same!")]
    assert (shown["parameters_newly_needed"], shown["parameters_no_longer_used"]) == (["t"], [])


def test_a_secret_parameter_shows_only_that_something_changed(
    viewer: Api, editor: Api, organisation: Organisation, template: Template, path: str
) -> None:
    append(template, a="{{pipeline_param.s}}", b="id={{pipeline_param.s}}", c="{{pipeline_param.p}}")
    append(
        template,
        a="{{pipeline_param.p}}",
        b="id={{pipeline_param.s}}",
        c="{{pipeline_param.p}}",
        d={"list": ["{{pipeline_param.s}}", "plain"]},
    )
    pipeline = pipeline_with(editor, organisation, ("s",), s=CANARY, p="plain")

    answer = viewer.get(f"{path}/2/diff", {"pipeline": pipeline.pk})

    assert CANARY not in answer.content.decode()
    assert answer.json()["changes"] == [
        change("changed", "/a", "***", "***", secret=True),
        change("added", "/d", None, {"list": ["***", "plain"]}, secret=True),
    ]


def test_two_secret_parameters_of_one_value_make_no_difference(
    viewer: Api, editor: Api, organisation: Organisation, template: Template, path: str
) -> None:
    append(template, timeout_seconds="{{pipeline_param.s}}")
    append(template, timeout_seconds="{{pipeline_param.t}}")
    pipeline = pipeline_with(editor, organisation, ("s", "t"), s="7", t="7")
    assert viewer.get(f"{path}/2/diff", {"pipeline": pipeline.pk}).json()["changes"] == []


def test_a_pipeline_that_could_not_run_one_of_them_is_told_all_it_lacks(
    viewer: Api, editor: Api, organisation: Organisation, template: Template, path: str
) -> None:
    append(template)
    append(template, a="{{pipeline_param.x}}{{pipeline_param.y}}", timeout_seconds="{{pipeline_param.t}}")
    pipeline = pipeline_with(editor, organisation, ("t",), y="y", t=CANARY)
    answer = viewer.get(f"{path}/2/diff", {"pipeline": pipeline.pk})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "PREFLIGHT_FAILED"
    assert [(detail["field"], detail["code"]) for detail in error["details"]] == [
        ("parameters/t", "wrong_type"),
        ("parameters/x", "missing_parameter"),
    ]
    assert CANARY not in answer.content.decode()


def test_comparing_takes_the_same_statements_whatever_the_size(
    viewer: Api, editor: Api, organisation: Organisation, template: Template, path: str
) -> None:
    pipeline = pipeline_with(editor, organisation, ("k0",), **{f"k{number}": "v" for number in range(20)})
    append(template, a="{{pipeline_param.k0}}", bearer_token="t")
    append(template, a="{{pipeline_param.k1}}", bearer_token="t")
    with count_queries() as few:
        viewer.get(f"{path}/2/diff", {"pipeline": pipeline.pk})
    append(template, headers={f"H{number}": f"{{{{pipeline_param.k{number}}}}}" for number in range(20)})
    with count_queries() as many:
        viewer.get(f"{path}/3/diff", {"pipeline": pipeline.pk})
    assert_same_queries(few, many)
    assert len(many) == 6
