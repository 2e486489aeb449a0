"""The examples that the OpenAPI description shows of pipeline integrations."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

PIN: dict[str, Any] = {
    "id": "pi_abc123",
    "pipeline_id": "pip_xyz789",
    "integration_id": "tmpl_abc123",
    "integration_name": "Meta CAPI Production",
    "vendor": "meta_capi",
    "revision_id": "rev_xyz789",
    "revision_number": 3,
    "latest_revision": 5,
    "enabled": True,
    "created_at": "2026-02-20T10:00:00Z",
    "updated_at": "2026-02-25T14:30:00Z",
}
ONE = OpenApiExample("A pin two revisions behind", PIN, response_only=True)
ALL = OpenApiExample("All of one pipeline", {"integrations": [PIN]}, response_only=True)
ASSIGN = OpenApiExample(
    "Assign at a revision",
    {"integration_id": "tmpl_abc123", "revision_id": "rev_xyz789", "enabled": True},
    request_only=True,
)
UPDATE = OpenApiExample("Deploy a new revision", {"revision_id": "rev_new456", "enabled": True}, request_only=True)
REMOVED = OpenApiExample("Removed", {"status": "removed"}, response_only=True)
REPORT = OpenApiExample(
    "One integration, and its figures",
    {
        "instance": "eu-1",
        "run": "4f1c0d9a7b2e4c55a1d3",
        "sequence": 1,
        "started_at": "2026-02-25T14:00:00Z",
        "integrations": [
            {"id": "pi_abc123", "revision_id": "rev_xyz789", "config_hash": "9f86d081884c7d65", "state": "applied"}
        ],
        "stopped": [],
        "deliveries": [{"id": "pi_abc123", "revision_id": "rev_xyz789", "delivered": 120, "failed": 3}],
    },
    request_only=True,
)
RECEIPT = OpenApiExample("Taken", {"status": "accepted", "resend": False, "ignored": []}, response_only=True)
STATUS = OpenApiExample(
    "One of two instances has not moved yet",
    {
        "pipeline_id": "pip_xyz789",
        "enabled": True,
        "integrations": [
            {
                "id": "pi_abc123",
                "integration_id": "tmpl_abc123",
                "integration_name": "Meta CAPI Production",
                "vendor": "meta_capi",
                "state": "partial",
                "instances": 2,
                "instances_in_sync": 1,
                "pinned": {"revision_id": "rev_xyz789", "revision_number": 3, "enabled": True},
                "served": {"state": "ok", "fingerprint": "5d41402abc4b2a76b971", "reasons": []},
                "running": [
                    {
                        "instance": "eu-2",
                        "last_seen_at": "2026-02-25T14:31:02Z",
                        "verdict": "pending",
                        "said": "applied",
                        "revision_id": "rev_old123",
                        "revision_number": 2,
                        "fingerprint": "7d793037a0760186574b",
                        "reason": "",
                        "reported_at": "2026-02-20T10:00:05Z",
                    },
                    {
                        "instance": "eu-1",
                        "last_seen_at": "2026-02-25T14:31:00Z",
                        "verdict": "in_sync",
                        "said": "applied",
                        "revision_id": "rev_xyz789",
                        "revision_number": 3,
                        "fingerprint": "5d41402abc4b2a76b971",
                        "reason": "",
                        "reported_at": "2026-02-25T14:30:01Z",
                    },
                ],
            }
        ],
    },
    response_only=True,
)
DELIVERIES = OpenApiExample(
    "The last hour",
    {
        "span": "hour",
        "since": "2026-02-25T13:32:00Z",
        "until": "2026-02-25T14:31:20Z",
        "step_seconds": 60,
        "delivered": 120,
        "failed": 3,
        "points": [
            {
                "started_at": "2026-02-25T14:30:00Z",
                "revision_id": "rev_xyz789",
                "revision_number": 3,
                "delivered": 120,
                "failed": 3,
            }
        ],
    },
    response_only=True,
)
