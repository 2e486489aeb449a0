"""A pipeline's parameters: how writes merge, what a value may be, what a secret keeps, and what needs a parameter."""

from typing import Any

import pytest

from accounts.errors import Invalid
from accounts.models import AuditEntry, Organisation
from integrations.models import Template
from pipelines.models import Parameter, Pin, Pipeline
from pipelines.parameters import Wish, change_parameters
from pipelines.preflight import plain_values
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, system, wishes
from tests.pipelines.traces import counts, grown, kept, refusal, version_of

HOOK = {"url": "https://a.example/{{pipeline_param.path}}", "timeout_seconds": "{{pipeline_param.seconds}}"}


@pytest.fixture
def pipeline(organisation: Organisation) -> Any:
    return PipelineFactory(organisation=organisation, parameters=wishes(path="in", seconds="10", spare="x"))


@pytest.fixture
def hook(organisation: Organisation) -> Any:
    return TemplateFactory(organisation=organisation, name="Hook", vendor="webhook", config=HOOK)


@pytest.fixture
def pin(organisation: Organisation, pipeline: Pipeline, hook: Template) -> Any:
    return PinFactory(organisation=organisation, pipeline=pipeline, template=hook)


def values_of(pipeline: Pipeline) -> dict[str, str]:
    return plain_values(Parameter.objects.filter(pipeline=pipeline).order_by("key"))


@pytest.mark.parametrize("method", ["put", "patch"])
def test_parameters_merge_and_null_deletes(editor: Api, pipeline: Pipeline, method: str) -> None:
    body = {"parameters": {"path": "out", "spare": None, "new": "1", "never": None}}
    answer = getattr(editor, method)(f"pipelines/{pipeline.pk}", body)
    assert answer.status_code == 200
    assert answer.json()["parameters"] == {"new": "1", "path": "out", "seconds": "10"}
    assert answer.json()["secret_parameters"] == []


def test_a_merge_of_three_changes_is_one_version_with_three_lines_of_history(
    editor: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    before, version = counts(), version_of(organisation)
    editor.patch(
        f"pipelines/{pipeline.pk}", {"parameters": {"path": "out", "spare": None, "new": "1", "seconds": "10"}}
    )
    assert grown(before) == {"history": 3, "audit": 1, "versions": 1}
    assert version_of(organisation) == version + 1


def test_one_parameter_is_set_and_deleted_at_its_own_address(editor: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}/parameters/token"
    assert editor.put(path, {"value": "t-1"}).json()["parameters"]["token"] == "t-1"
    assert "token" not in editor.delete(path).json()["parameters"]
    assert refusal(editor.delete(path)) == (404, "NOT_FOUND", [])


def test_a_parameter_that_becomes_what_it_is_leaves_no_trace(editor: Api, pipeline: Pipeline) -> None:
    editor.put(f"pipelines/{pipeline.pk}/parameters/token", {"value": "t-1", "secret": True})
    before = kept()
    for answer in (
        editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"path": "in", "token": "t-1", "never": None}}),
        editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"token": "***"}}),
        editor.put(f"pipelines/{pipeline.pk}/parameters/token", {"value": "t-1"}),
        editor.put(f"pipelines/{pipeline.pk}/parameters/token", {"value": "***", "secret": True}),
        editor.put(f"pipelines/{pipeline.pk}/parameters/path", {"value": "in"}),
    ):
        assert answer.status_code == 200
    assert kept() == before


def test_a_secret_is_sealed_masked_everywhere_and_never_cleared(editor: Api, admin: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}/parameters/token"
    shown = editor.put(path, {"value": "hunter2-first", "secret": True}).json()
    assert shown["parameters"]["token"] == "***"
    assert shown["secret_parameters"] == ["token"]
    shown = editor.put(path, {"value": "hunter2-second", "secret": False}).json()
    assert shown["secret_parameters"] == ["token"]
    editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"token": "hunter2-third"}})
    row = Parameter.objects.get(pipeline=pipeline, key="token")
    assert (row.secret, row.value) == (True, "")
    assert values_of(pipeline)["token"] == "hunter2-third"
    for address in (f"pipelines/{pipeline.pk}", f"pipelines/{pipeline.pk}/history", "audit-log", "pipelines"):
        assert "hunter2" not in admin.get(address).content.decode()
    assert "hunter2" not in str(kept())


def test_a_secret_can_be_deleted(editor: Api, pipeline: Pipeline) -> None:
    editor.put(f"pipelines/{pipeline.pk}/parameters/token", {"value": "t-1", "secret": True})
    shown = editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"token": None}}).json()
    assert ("token" in shown["parameters"], shown["secret_parameters"]) == (False, [])


def test_the_mask_keeps_nothing_where_there_is_no_secret(editor: Api, pipeline: Pipeline) -> None:
    before = kept()
    refused = (422, "VALIDATION_ERROR", [("parameters/spare", "nothing_to_keep")])
    assert refusal(editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"spare": "***"}})) == refused
    path = f"pipelines/{pipeline.pk}/parameters/spare"
    assert refusal(editor.put(path, {"value": "***", "secret": True})) == refused
    assert refusal(editor.post("pipelines", {"name": "Copy", "parameters": {"spare": "***"}})) == refused
    assert kept() == before


def test_a_value_that_becomes_secret_is_masked_in_the_history_before_that(
    editor: Api, viewer: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    editor.put(f"pipelines/{pipeline.pk}/parameters/spare", {"value": "x", "secret": True})
    lines = viewer.get(f"pipelines/{pipeline.pk}/history").json()["history"]
    about = [(line["before"], line["after"]) for line in lines if line["subject_id"] == "spare"]
    hidden = {"value": "***", "secret": True}
    assert about == [(hidden, hidden), (None, hidden)]


def test_a_parameter_made_anew_as_a_plain_one_is_shown(editor: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}/parameters/spare"
    editor.put(path, {"value": "y", "secret": True})
    editor.delete(path)
    editor.put(path, {"value": "z"})
    lines = editor.get(f"pipelines/{pipeline.pk}/history").json()["history"]
    assert [line["after"] for line in lines if line["subject_id"] == "spare"] == [
        {"value": "z", "secret": False},
        None,
        {"value": "***", "secret": True},
        {"value": "***", "secret": True},
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (" x", "blanks"),
        ("x ", "blanks"),
        ("x\u00a0", "blanks"),
        ("\u2003x", "blanks"),
        ("x\n", "control_character"),
        ("a\tb", "control_character"),
        ("a\x7fb", "control_character"),
        ("a\x85b", "control_character"),
        ("\x1b[0m", "control_character"),
        ("x" * 8193, "too_long"),
        ("é" * 4097, "too_long"),
    ],
)
def test_a_value_that_cannot_be_is_refused_without_repeating_it(
    editor: Api, pipeline: Pipeline, value: str, code: str
) -> None:
    before = kept()
    for answer in (
        editor.put(f"pipelines/{pipeline.pk}/parameters/spare", {"value": value}),
        editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"spare": value, "good": "1"}}),
        editor.post("pipelines", {"name": "New", "parameters": {"spare": value}}),
    ):
        assert refusal(answer) == (422, "VALIDATION_ERROR", [("parameters/spare", code)])
        assert value not in answer.json()["error"]["message"]
    assert kept() == before


@pytest.mark.parametrize("raw", [rb"a\u0000b", rb"\ud800", rb"\udc00x"])
def test_what_is_no_text_is_refused(editor: Api, pipeline: Pipeline, raw: bytes) -> None:
    before = kept()
    path = f"pipelines/{pipeline.pk}/parameters/spare"
    assert editor.send("PUT", path, b'{"value": "' + raw + b'"}').status_code == 400
    assert kept() == before


def test_the_service_itself_refuses_what_is_no_text(organisation: Organisation, pipeline: Pipeline) -> None:
    for value, code in (("\ud800", "invalid_text"), ("\0", "control_character")):
        with pytest.raises(Invalid, match="The value of spare") as caught:
            change_parameters(actor=system(organisation), pipeline_id=pipeline.pk, wishes={"spare": Wish(value)})
        assert [detail.code for detail in caught.value.details] == [code]


def test_verbatim_keeps_blanks_and_nothing_else(editor: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}/parameters/spare"
    assert editor.put(path, {"value": " x ", "verbatim": True}).json()["parameters"]["spare"] == " x "
    body = {"parameters": {"spare": "\u00a0y"}, "verbatim": True}
    assert editor.patch(f"pipelines/{pipeline.pk}", body).json()["parameters"]["spare"] == "\u00a0y"
    assert refusal(editor.put(path, {"value": "x\n", "verbatim": True}))[2] == [
        ("parameters/spare", "control_character")
    ]


def test_a_plain_value_may_have_8_kib_and_a_secret_32(editor: Api, pipeline: Pipeline) -> None:
    plain, secret = f"pipelines/{pipeline.pk}/parameters/plain", f"pipelines/{pipeline.pk}/parameters/secret"
    assert editor.put(plain, {"value": "x" * 8192}).status_code == 200
    assert editor.put(plain, {"value": "x" * 8193}).status_code == 422
    assert editor.put(secret, {"value": "x" * 32768, "secret": True}).status_code == 200
    assert editor.put(secret, {"value": "y" * 32768}).status_code == 200
    assert editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"secret": "z" * 32768}}).status_code == 200
    assert editor.put(secret, {"value": "x" * 32769}).status_code == 422
    assert values_of(pipeline)["secret"] == "z" * 32768


@pytest.mark.parametrize("key", ["1a", "a-b", "a.b", "ä", "a" * 65, "a b", "", "a\u0301"])
def test_a_key_that_no_placeholder_could_name_is_refused(editor: Api, pipeline: Pipeline, key: str) -> None:
    before = kept()
    answer = editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {key: "x"}})
    assert refusal(answer) == (422, "VALIDATION_ERROR", [(f"parameters/{key[:64]}", "invalid_key")])
    if key:
        assert editor.put(f"pipelines/{pipeline.pk}/parameters/{key}", {"value": "x"}).status_code == 422
    assert kept() == before


def test_the_longest_key_and_the_shortest_are_taken(editor: Api, pipeline: Pipeline) -> None:
    keys = {"a" * 64: "1", "_": "2", "A9_": "3"}
    assert keys.items() <= editor.patch(f"pipelines/{pipeline.pk}", {"parameters": keys}).json()["parameters"].items()


def test_a_pipeline_has_at_most_200_parameters(editor: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}"
    assert editor.patch(path, {"parameters": {f"k{number}": "x" for number in range(197)}}).status_code == 200
    before = kept()
    refused = (422, "VALIDATION_ERROR", [("parameters", "too_many")])
    assert refusal(editor.put(f"{path}/parameters/one_more", {"value": "x"})) == refused
    many = {f"m{number}": "x" for number in range(201)}
    assert refusal(editor.post("pipelines", {"name": "New", "parameters": many})) == refused
    assert kept() == before
    assert editor.put(f"{path}/parameters/k1", {"value": "y"}).status_code == 200
    assert editor.patch(path, {"parameters": {"k1": None, "one_more": "x"}}).status_code == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"parameters": ["a"]}, ("parameters", "wrong_type")),
        ({"parameters": {"a": 1, "b": ["x"]}}, ("parameters/a", "wrong_type")),
        ({"parameters": None}, ("parameters", "null")),
        ({"parameters": {}, "verbatim": "yes"}, ("verbatim", "wrong_type")),
    ],
)
def test_parameters_are_strings_by_name(
    editor: Api, pipeline: Pipeline, body: dict[str, Any], detail: tuple[str, str]
) -> None:
    before = kept()
    status, _, details = refusal(editor.patch(f"pipelines/{pipeline.pk}", body))
    assert (status, details[0]) == (422, detail)
    assert kept() == before


def test_the_body_of_one_parameter_is_read_strictly(editor: Api, pipeline: Pipeline) -> None:
    path, before = f"pipelines/{pipeline.pk}/parameters/spare", kept()
    assert refusal(editor.put(path, {}))[2] == [("value", "required")]
    assert refusal(editor.put(path, {"value": None}))[2] == [("value", "null")]
    assert refusal(editor.put(path, {"value": 5}))[2] == [("value", "wrong_type")]
    assert refusal(editor.put(path, {"value": "x", "secrt": True})) == (
        400,
        "BAD_REQUEST",
        [("secrt", "unknown_field")],
    )
    assert kept() == before


def test_a_parameter_that_an_enabled_pin_needs_is_neither_deleted_nor_emptied(
    editor: Api, pipeline: Pipeline, pin: Pin
) -> None:
    before = kept()
    path = f"pipelines/{pipeline.pk}"
    for answer, code in (
        (editor.delete(f"{path}/parameters/path"), "missing_parameter"),
        (editor.put(f"{path}/parameters/path", {"value": ""}), "empty_parameter"),
        (editor.patch(path, {"parameters": {"path": None, "spare": "y"}, "name": "New"}), "missing_parameter"),
    ):
        assert refusal(answer) == (409, "PARAMETER_IN_USE", [("parameters/path", code)])
        detail = answer.json()["error"]["details"][0]
        assert (detail["needed_by"], detail["key"]) == (pin.pk, "path")
        assert "Hook" in answer.json()["error"]["message"]
    assert kept() == before


def test_a_parameter_that_only_a_disabled_pin_needs_can_go_and_the_pin_is_then_unresolvable(
    editor: Api, pipeline: Pipeline, pin: Pin
) -> None:
    path = f"pipelines/{pipeline.pk}/integrations/{pin.pk}"
    editor.put(path, {"enabled": False})
    tag = editor.get(path)["ETag"]
    assert editor.delete(f"pipelines/{pipeline.pk}/parameters/path").status_code == 200
    found = editor.get("pipeline-integrations", {"state": "unresolvable"}).json()["integrations"]
    assert [shown["id"] for shown in found] == [pin.pk]
    assert editor.get(path)["ETag"] == tag
    editor.put(f"pipelines/{pipeline.pk}/parameters/path", {"value": "in"})
    assert editor.get("pipeline-integrations", {"state": "unresolvable"}).json()["integrations"] == []


@pytest.mark.parametrize("value", ["ten", "1.", "0x10", "1e999", "+1", "01"])
def test_a_value_that_breaks_a_cast_is_refused(editor: Api, pipeline: Pipeline, pin: Pin, value: str) -> None:
    before = kept()
    answer = editor.put(f"pipelines/{pipeline.pk}/parameters/seconds", {"value": value})
    assert refusal(answer) == (422, "PREFLIGHT_FAILED", [("parameters/seconds", "wrong_type")])
    assert answer.json()["error"]["details"][0]["needed_by"] == pin.pk
    assert kept() == before
    assert editor.put(f"pipelines/{pipeline.pk}/parameters/seconds", {"value": "2.5"}).status_code == 200


def test_a_needed_parameter_can_become_secret_and_is_masked_in_the_config(
    editor: Api, pipeline: Pipeline, pin: Pin
) -> None:
    editor.put(f"pipelines/{pipeline.pk}/parameters/seconds", {"value": "10", "secret": True})
    config = editor.get(f"pipelines/{pipeline.pk}/config").json()["integrations"][0]["config"]
    assert config == {"url": "https://a.example/in", "timeout_seconds": "***"}


def test_the_tag_of_the_pipeline_guards_its_parameters(editor: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}"
    seen = editor.get(path)["ETag"]
    current = editor.put(f"{path}/parameters/spare", {"value": "y"}, If_Match=seen)
    assert (current.status_code, current["ETag"] == seen) == (200, False)
    before = kept()
    for refused in (
        editor.put(f"{path}/parameters/spare", {"value": "z"}, If_Match=seen),
        editor.delete(f"{path}/parameters/spare", If_Match=seen),
        editor.patch(path, {"parameters": {"spare": "z"}}, If_Match=seen),
    ):
        assert refusal(refused) == (412, "PRECONDITION_FAILED", [])
        assert refused.json()["current"] == current.json()
    assert kept() == before


def test_the_audit_names_each_parameter_with_old_and_new(editor: Api, pipeline: Pipeline) -> None:
    editor.patch(f"pipelines/{pipeline.pk}", {"parameters": {"spare": None, "new": "1"}})
    entry = AuditEntry.objects.order_by("-pk")[0]
    assert (entry.action, entry.resource_id) == ("pipeline.parameters_changed", pipeline.pk)
    assert entry.changes == {"parameters.spare": {"old": "x", "new": None}, "parameters.new": {"old": None, "new": "1"}}
