"""Bodies: what is read, and what is refused because it could be read in two ways or not at all."""

import gzip

import pytest

from config.rest.parsers import DEEPEST
from pipelines.models import Pipeline
from tests.clients import JSON, Api
from tests.committed import rows_of, tables
from tests.config.faults import fault

BODIES = {
    b"": "The body is empty. Send a JSON object, such as {}.",
    b"{": "The body is not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2.",
    b"[]": 'The body must be a JSON object, such as {"name": "…"}.',
    b'[{"name": "x"}]': 'The body must be a JSON object, such as {"name": "…"}.',
    b'"name"': 'The body must be a JSON object, such as {"name": "…"}.',
    b"null": 'The body must be a JSON object, such as {"name": "…"}.',
    b"1": 'The body must be a JSON object, such as {"name": "…"}.',
    b'{"name": "x"} {}': "The body is not valid JSON: Extra data at line 1, column 15.",
    b'{"name": "x", "name": "y"}': "The key 'name' stands twice in one object. Send it once.",
    b'{"labels": {"a": "x", "\\u0061": "y"}}': "The key 'a' stands twice in one object. Send it once.",
    b'{"\\ud800": 1, "\\ud800": 2}': "The key '?' stands twice in one object. Send it once.",
    b'{"name": NaN}': "NaN is not JSON. Send a number, a string or null.",
    b'{"name": Infinity}': "Infinity is not JSON. Send a number, a string or null.",
    b'{"name": -Infinity}': "-Infinity is not JSON. Send a number, a string or null.",
    b'{"name": 1e999}': "The body holds a number that is too large to be read.",
    b'{"name": -1e999}': "The body holds a number that is too large to be read.",
    b'{"name": ' + b"9" * 5000 + b"}": "The body holds a number that is too long to be read.",
    b'{"name": "a\\u0000b"}': "The body holds a NUL character (\\u0000). Take it out.",
    b'{"a\\u0000b": 1}': "The body holds a NUL character (\\u0000). Take it out.",
    b'{"labels": {"a": ["\\u0000"]}}': "The body holds a NUL character (\\u0000). Take it out.",
    b'{"name": "\\ud800"}': "The body holds half a surrogate pair (such as \\ud800), which is no character.",
    b'{"\\udfff": "x"}': "The body holds half a surrogate pair (such as \\ud800), which is no character.",
    b'{"name": "\xff"}': "The body is not UTF-8. Send JSON encoded as UTF-8.",
    b'{"name": "\xed\xa0\x80"}': "The body is not UTF-8. Send JSON encoded as UTF-8.",
    b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1): "The body is nested too deep. At most 64 levels are read.",
    b"[" * 100_000: "The body is nested too deep. At most 64 levels are read.",
    b'{"nmae": "x"}': "There is no field named 'nmae'. Did you mean name?",
    b'{"name": "x", "\xc3\xbc": 1}': (
        "There is no field named '\\xfc'. Known here: name, slug, type, labels, parameters, verbatim, enabled."
    ),
}


@pytest.mark.parametrize("body", BODIES, ids=[str(body[:24]) for body in BODIES])
def test_a_body_that_cannot_be_read_in_one_way_only_is_refused(body: bytes, editor: Api) -> None:
    before = rows_of(tables())
    for method, path in (("POST", "pipelines"), ("PUT", "pipelines/pip_none"), ("PATCH", "pipelines/pip_none")):
        answer = editor.send(method, path, body)
        assert fault(answer) == (400, "BAD_REQUEST")
        assert answer.json()["error"]["message"] == BODIES[body]
    assert rows_of(tables()) == before


def test_text_that_merely_speaks_of_nul_is_text(editor: Api) -> None:
    answer = editor.send("POST", "pipelines", b'{"name": "a\\\\u0000b \\ud83d\\ude00"}')
    assert (answer.status_code, answer.json()["name"]) == (201, "a\\u0000b 😀")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; charset=rot13",
        "application/json; charset=nonsense",
    ],
)
def test_a_body_of_another_kind_is_refused(content_type: str, editor: Api) -> None:
    answer = editor.send("POST", "pipelines", b'{"name": "x"}', content_type)
    assert fault(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert not Pipeline.objects.exists()


@pytest.mark.parametrize("content_type", ["", JSON, "Application/JSON", "application/json; charset=UTF-8"])
def test_json_may_say_that_it_is_utf_8(content_type: str, editor: Api) -> None:
    assert editor.send("POST", "pipelines", b'{"name": "x"}', content_type).status_code == 201


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_a_compressed_body_is_refused(encoding: str, editor: Api) -> None:
    raw = gzip.compress(b'{"name": "x"}')
    headers = {"Content-Encoding": encoding}
    answer = editor.client.post("/v1/admin/pipelines", raw, content_type=JSON, headers=headers)
    assert fault(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
@pytest.mark.parametrize("path", ["pipelines", "auth/login", "pipelines?dry_run=true"])
def test_a_body_of_10_mb_is_refused_unread(path: str, headers: dict[str, str], editor: Api) -> None:
    before = rows_of(tables())
    raw = b'{"name": "' + b"x" * 10_000_000 + b'"}'
    answer = editor.client.post(f"/v1/admin/{path}", raw, content_type=JSON, headers=headers)
    assert fault(answer) == (413, "TOO_LARGE")
    assert answer.json()["error"]["message"] == "The body is too large. Send at most 2048 KiB."
    assert rows_of(tables()) == before
