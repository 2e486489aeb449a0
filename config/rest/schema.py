"""The OpenAPI description: what every operation shares is said here once."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

ERROR_STATUSES = {
    "400": "The request cannot be read.",
    "401": "No, bad or expired credentials.",
    "403": "Your role does not allow this.",
    "404": "There is no such object in your organisation.",
    "405": "This address does not take this method.",
    "409": "The present state does not allow this.",
    "412": "The object has changed since you read it; `current` is what it is now.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "The request breaks a rule; `details` names each field.",
    "429": "Too many requests; come back after `Retry-After` seconds.",
}
DRY_RUN = OpenApiParameter("dry_run", bool, description="Check everything and keep nothing.")
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag you saw; refused with 412 if it has changed since."
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="Acts once within 24 hours, however often it is sent."
)
IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="The ETag you have.")


class Endpoint(AutoSchema):
    def get_override_parameters(self) -> list[OpenApiParameter]:
        """The headers and parameters that every read or every write takes."""
        if "/auth/" in self.path:
            return []
        if self.method == "POST":
            return [DRY_RUN, IDEMPOTENCY_KEY]
        return [DRY_RUN, IF_MATCH] if self.method in ("PUT", "PATCH", "DELETE") else []

    def get_operation_id(self) -> str:
        return super().get_operation_id().removeprefix("admin_")


def document_errors(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Give every operation the answers of the one error mapper."""
    components = result["components"]
    components["schemas"]["Error"] = ERROR
    components["schemas"]["ErrorDetail"] = ERROR_DETAIL
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            for status, description in ERROR_STATUSES.items():
                operation["responses"].setdefault(status, {"description": description, "content": answer})
            if method == "get" and "{" in path:
                operation["responses"].setdefault("304", {"description": "You have this already."})
    return result


ERROR_DETAIL = {
    "type": "object",
    "properties": {"field": {"type": "string"}, "code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["field", "code", "message"],
    "additionalProperties": True,
}
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "array", "items": {"$ref": "#/components/schemas/ErrorDetail"}},
            },
            "required": ["code", "message", "details"],
        },
        "current": {"type": "object", "additionalProperties": True},
    },
    "required": ["error"],
}
