"""Log lines: one JSON object each, with the request it belongs to, and nothing that a client sent."""

import json
import logging
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError

from config.logs import JsonLines, WithRequestId
from tests.clients import Api
from tests.config.faults import SENSITIVE, failing


def logged(record: logging.LogRecord) -> dict[str, Any]:
    WithRequestId().filter(record)
    line = JsonLines().format(record)
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_log_line_is_one_json_object_with_the_request_it_belongs_to(
    editor: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(caplog.handler, "emit", lambda record: lines.append(logged(record)))
    failing(editor, monkeypatch, RuntimeError(SENSITIVE), "request-to-log")
    assert [line["message"] for line in lines] == ["A request failed", "Internal Server Error: /v1/admin/pipelines"]
    assert {line["request_id"] for line in lines} == {"request-to-log"}
    assert lines[0]["exception"] == "RuntimeError"
    assert any(place.endswith(" create") for place in lines[0]["places"])
    assert SENSITIVE not in json.dumps(lines)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(SENSITIVE), "ValueError"),
        (KeyError(SENSITIVE), "KeyError"),
        (DataError(SENSITIVE), "DataError"),
        (TypeError("unexpected keyword argument"), "TypeError: unexpected keyword argument"),
        (OperationalError("database is locked"), "OperationalError: database is locked"),
        (
            IntegrityError(f'violates check constraint "x"\nDETAIL:  Failing row contains ({SENSITIVE}).'),
            'IntegrityError: violates check constraint "x"',
        ),
    ],
)
def test_of_an_exception_only_what_cannot_be_a_clients_is_logged(error: Exception, said: str) -> None:
    line = logged(logging.LogRecord("x", logging.ERROR, "", 0, "went wrong", (), (type(error), error, None)))
    assert line["exception"] == said
    assert SENSITIVE not in json.dumps(line)


def test_the_cause_of_an_exception_is_logged_as_discreetly() -> None:
    error = RuntimeError(SENSITIVE)
    error.__cause__ = ValueError(SENSITIVE)
    line = logged(logging.LogRecord("x", logging.ERROR, "", 0, "went wrong", (), (RuntimeError, error, None)))
    assert (line["exception"], line["places"]) == ("RuntimeError", ["ValueError"])
    assert SENSITIVE not in json.dumps(line)
