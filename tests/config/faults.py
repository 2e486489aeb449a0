"""Errors as clients see them, and ways to bring one about."""

from typing import Any

import pytest

from pipelines.api import pipelines as door
from tests.clients import Api

SENSITIVE = "hunter2-and-more"


def fault(answer: Any) -> tuple[int, str]:
    """Status and code, of an answer that is an error in its one shape and nothing else."""
    assert answer["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["message"].endswith((".", "?"))
    for detail in body["error"]["details"]:
        assert {"field", "code", "message"} <= set(detail)
    return answer.status_code, body["error"]["code"]


def failing(api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, request_id: str, **headers: str) -> Any:
    """The answer of an endpoint in which something goes wrong."""

    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(door, "create_pipeline", fail)
    body = {"name": "x", "parameters": {"secret": SENSITIVE}}
    return api.post("pipelines", body, X_Request_ID=request_id, **headers)
