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
