"""How large and how odd a config may be, and that what is kept is exactly what was sent."""

import json
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organisation
from integrations.models import Revision, Template
from tests.clients import Api
from tests.factories import TemplateFactory
from tests.integrations.kept import kept

KIB = 1024
HOOK = {"url": "https://example.com"}


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=0)
    return made


@pytest.fixture
def path(template: Template) -> str:
    return f"integration-templates/{template.pk}/revisions"


def padded(size: int) -> dict[str, str]:
    """A config of exactly this many bytes as compact JSON."""
    config = {**HOOK, "note": ""}
    config["note"] = "n" * (size - len(json.dumps(config, separators=(",", ":"))))
    return config


def nested(depth: int) -> dict[str, Any]:
    """A config of containers in containers, `depth` deep."""
    config: Any = {}
    for _ in range(depth - 1):
        config = {"in": config}
    return {**HOOK, **config}


def problems(editor: Api, path: str, config: Any) -> list[tuple[str, str]]:
    before = kept()
    answer = editor.post(path, {"config": config})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert kept() == before
    return [(detail["code"], detail["pointer"]) for detail in answer.json()["error"]["details"]]


def test_a_config_of_256_kib_is_kept_and_one_byte_more_is_refused(editor: Api, path: str) -> None:
    assert editor.post(path, {"config": padded(256 * KIB)}).status_code == 201
    assert problems(editor, path, padded(256 * KIB + 1)) == [("too_large", "")]


def test_a_kept_secret_counts_towards_the_size(editor: Api, path: str) -> None:
    base = editor.post(path, {"config": {**HOOK, "bearer_token": "t" * 200 * KIB}}).json()["id"]
    body = {"config": {**padded(100 * KIB), "bearer_token": "***"}, "base_revision_id": base}
    answer = editor.post(path, body)
    assert [detail["code"] for detail in answer.json()["error"]["details"]] == ["too_large"]


def test_a_config_may_be_32_deep_and_no_deeper(editor: Api, path: str) -> None:
    assert editor.post(path, {"config": nested(32)}).status_code == 201
    assert problems(editor, path, nested(33)) == [("too_deep", "/in" * 32)]
    assert editor.post(path, {"config": nested(80)}).status_code == 400


def test_a_config_may_hold_500_placeholders_and_no_more(editor: Api, path: str) -> None:
    texts = ["{{pipeline_param.k}}"] * 250 + ["{{pipeline_param.k}}{{pipeline_param.l}}"] * 125
    assert editor.post(path, {"config": {**HOOK, "texts": texts}}).status_code == 201
    answer = editor.post(path, {"config": {**HOOK, "texts": [*texts, "x{{pipeline_param.k}}"]}})
    (detail,) = answer.json()["error"]["details"]
    assert (detail["code"], detail["pointer"], detail["offset"], detail["limit"]) == (
        "too_many_placeholders",
        "/texts/375",
        1,
        500,
    )


def test_a_hundred_errors_are_listed_and_the_rest_counted(editor: Api, path: str) -> None:
    answer = editor.post(path, {"config": {**HOOK, "texts": ["{{pipeline_params.k}}"] * 5000}})
    error = answer.json()["error"]
    assert len(error["details"]) == 100
    assert error["message"].endswith("(4999 more)")


def test_a_config_of_very_many_secrets_is_sealed_and_kept(editor: Api, path: str) -> None:
    headers = {f"X-{number}": "v" for number in range(5_000)}
    made = editor.post(path, {"config": {**HOOK, "headers": headers}}).json()
    kept_on = editor.post(path, {"config": made["config"], "base_revision_id": made["id"]})
    assert kept_on.status_code == 201
    assert editor.get(f"{path}/2/diff").json()["changes"] == []
    other = editor.post(path, {"config": {**HOOK, "headers": dict.fromkeys(headers, "w")}})
    assert other.status_code == 201
    assert len(editor.get(f"{path}/3/diff").json()["changes"]) == 5_000


NUMBERS = (
    "1e300 -1e300 1E+2 1e16 123456789012345680.0 1.0 1.10 0.1 -0.0 0 1e-7 5e-324 1.7976931348623157e308 "
    "9007199254740993 1180591620717411303424 -1180591620717411303424"
)


def test_numbers_come_back_as_they_were_sent(editor: Api, path: str) -> None:
    numbers = NUMBERS.split()
    raw = f'{{"config": {{"url": "https://example.com", "numbers": [{", ".join(numbers)}]}}}}'
    answer = editor.send("POST", path, raw.encode())
    assert answer.status_code == 201
    sent = json.loads(raw)["config"]["numbers"]
    for shown in (answer, editor.get(f"{path}/1")):
        assert [repr(number) for number in shown.json()["config"]["numbers"]] == [repr(number) for number in sent]
    stored = Revision.objects.get().config["numbers"]
    assert [repr(number) for number in stored] == [repr(number) for number in sent]


def test_an_integer_and_the_same_number_with_a_fraction_are_told_apart(editor: Api, path: str) -> None:
    editor.send("POST", path, b'{"config": {"url": "https://example.com", "n": 1e20}}')
    editor.send("POST", path, b'{"config": {"url": "https://example.com", "n": 100000000000000000000}}')
    (change,) = editor.get(f"{path}/2/diff").json()["changes"]
    assert (change["op"], change["pointer"], change["type_changed"]) == ("changed", "/n", True)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "1" * 5000, "01", "+1", ".5"])
def test_what_is_no_number_of_json_is_refused(editor: Api, path: str, number: str) -> None:
    before = kept()
    raw = f'{{"config": {{"url": "https://example.com", "n": {number}}}}}'
    assert editor.send("POST", path, raw.encode()).status_code == 400
    assert kept() == before


def test_keys_keep_their_order_and_text_its_characters(editor: Api, path: str) -> None:
    config = {"zz": "é ü 漢字 \U0001f600", "url": "https://example.com", "a": {"b": 1, "a": "\t\u0001\u2028"}, "": None}
    editor.post(path, {"config": config})
    shown = editor.get(f"{path}/1").json()["config"]
    assert json.dumps(shown) == json.dumps(config)


@pytest.mark.parametrize("text", ['"\\u0000"', '"\\ud800"', '{"\\udfff": 1}'])
def test_what_is_no_text_is_refused(editor: Api, path: str, text: str) -> None:
    raw = f'{{"config": {{"url": "https://example.com", "n": {text}}}}}'
    assert editor.send("POST", path, raw.encode()).status_code == 400
    assert not Revision.objects.exists()


def test_both_databases_keep_a_config_as_text(editor: Api, path: str) -> None:
    editor.post(path, {"config": {"url": "https://example.com", "a": 1.0}})
    with connection.cursor() as cursor:
        cursor.execute("SELECT config FROM integrations_revision")
        assert cursor.fetchall() == [('{"url": "https://example.com", "a": 1.0}',)]


def test_a_hundred_warnings_are_listed(editor: Api, path: str) -> None:
    answer = editor.post(path, {"config": {**HOOK, **{f"odd{number}": 1 for number in range(2000)}}})
    assert answer.status_code == 201
    assert len(answer.json()["warnings"]) == 100
    assert len(answer.json()["config"]) == 2001
