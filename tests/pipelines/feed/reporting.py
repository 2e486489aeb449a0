"""What a processor would send, and what is kept of it."""

from typing import Any

from pipelines.models import DeliveryFigure, Pin, RunningPin
from tests.clients import Api

REPORTS = "/v1/runtime/reports"
HASH = "a" * 64


def body(sequence: int = 1, instance: str = "eu-1", run: str = "run-1", **more: Any) -> dict[str, Any]:
    return {"instance": instance, "run": run, "sequence": sequence, **more}


def said(pin: Pin, state: str = "applied", **more: Any) -> dict[str, Any]:
    """One integration as an instance speaks of it: it runs what is pinned, unless said otherwise."""
    return {"id": pin.pk, "revision_id": pin.revision_id, "config_hash": HASH, "state": state, **more}


def delivered(pin: Pin, delivered: int, failed: int = 0) -> dict[str, Any]:
    return {"id": pin.pk, "revision_id": pin.revision_id, "delivered": delivered, "failed": failed}


def send(api: Api, **fields: Any) -> dict[str, Any]:
    """What comes back of a report that is taken."""
    answer = api.post(REPORTS, body(**fields))
    assert answer.status_code == 200, answer.content
    shown: dict[str, Any] = answer.json()
    return shown


def figures() -> list[tuple[str, str, int, int]]:
    rows = DeliveryFigure.objects.order_by("pin_id", "revision__number", "started_at")
    return list(rows.values_list("pin_id", "revision_id", "delivered", "failed"))


def running() -> list[tuple[str, str, str]]:
    rows = RunningPin.objects.order_by("processor__instance", "pin_id")
    return list(rows.values_list("processor__instance", "pin_id", "claim"))
