"""The OpenAPI description: what every operation shares is said here once."""

from inspect import cleandoc
from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import list_hash
from drf_spectacular.utils import OpenApiParameter
from rest_framework.serializers import BaseSerializer, Serializer

from config.operations import OPERATIONS, tag_of

METHODS = ("get", "post", "put", "patch", "delete")

BODIES = ("POST", "PUT", "PATCH")
WRITES = (*BODIES, "DELETE")
CHANGES = ("PUT", "PATCH", "DELETE")
HEADER: Final = "header"

ERRORS = {
    "400": ("BadRequest", "The request cannot be read: its address, a query parameter or its body is malformed."),
    "401": ("Unauthenticated", "No, bad or expired credentials."),
    "403": ("Forbidden", "Your role does not allow this."),
    "404": ("NotFound", "There is no such object in your organisation."),
    "409": ("Conflict", "The present state does not allow this, or a request with this key is still running."),
    "410": ("Gone", "It is not kept any more: begin anew."),
    "412": ("Stale", "The object has changed since you read it; `current` is what it is now."),
    "413": ("TooLarge", "The body is too large."),
    "415": ("UnsupportedMediaType", "The body is not JSON in UTF-8, or it is compressed."),
    "422": ("Invalid", "The request breaks a rule; `details` names each field."),
    "500": ("InternalError", "Something went wrong here; the message holds the id of the request."),
    "501": ("ServedElsewhere", "This process does not serve the runtime feed."),
    "503": ("Unavailable", "The database does not answer just now."),
    "507": ("StorageFull", "The database has no room left to write; nothing has been kept."),
}
HEADERS = {
    "ETag": ("string", "New with every change of the object. Send it as `If-Match` or `If-None-Match`."),
    "Retry-After": ("integer", "Seconds to wait before trying again."),
    "WWW-Authenticate": ("string", "`Bearer`."),
    "Idempotent-Replayed": ("string", "`true` where this is the stored answer to an earlier request with this key."),
    "Dry-Run": ("string", "`true` where nothing of this has been kept."),
    "X-Request-ID": ("string", "The id of this request, as logs and history name it."),
}
DRY_RUN = OpenApiParameter(
    "dry_run", bool, description="Check everything, answer as if it had been done, and keep nothing.", default=False
)
IF_MATCH = OpenApiParameter(
    "If-Match", str, HEADER, description="The ETag you saw, or `*`: refused with 412 if the object has changed since."
)
IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, HEADER, description="The ETag you have: 304 if it is still so.")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    HEADER,
    description="Makes the request act once within 24 hours, however often it is sent: the same key and body give "
    "the stored answer, the same key and another body 422.",
)
PATH_PARAMETERS = {
    "id": "The id of the object.",
    "pipeline_id": "The id of the pipeline.",
    "template_id": "The id of the template.",
    "vendor": "The key of a vendor in the catalogue, such as `meta_capi`.",
    "key": "The key of the parameter.",
    "name": "The id of a pipeline, or its key.",
}


class Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself when it is made
    target_class = "accounts.api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token from `/v1/admin/auth/login`, or an API token made by an admin.",
        }


class EndpointSchema(AutoSchema):
    """One operation of an endpoint, with what follows from its method, its address and what it answers with."""

    def get_operation_id(self) -> str:
        named: str | None = OPERATIONS.get(self.path, {}).get(self.method)
        return named or super().get_operation_id()

    def get_tags(self) -> list[str]:
        tag = tag_of(self.path)
        return [tag] if tag else super().get_tags()

    def get_summary(self) -> str:
        """The name of the operation, read aloud."""
        return self.get_operation_id().replace("_", " ").capitalize()

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it, other than DRF
        """What the action or the endpoint says of itself, not what all endpoints share, and the role it takes."""
        action = getattr(self.view, getattr(self.view, "action", self.method.lower()), None)
        own = getattr(action, "__doc__", None) or vars(type(self.view)).get("__doc__") or ""
        roles = [each.needed(self.method) for each in self.view.permission_classes if hasattr(each, "needed")]
        return "\n\n".join(filter(None, (cleandoc(own), *(f"Required role: {_named(role)}." for role in roles))))

    def get_override_parameters(self) -> list[OpenApiParameter | Serializer[Any] | type[Serializer[Any]]]:
        """The headers and the query parameter that this operation takes like all of its kind."""
        if self._is_open() or self.method not in WRITES or "/auth/" in self.path:
            return [IF_NONE_MATCH] if self._reads_tagged() else []
        once = [IDEMPOTENCY_KEY] if self.method == "POST" else []
        return [DRY_RUN, *once, *([IF_MATCH] if self._changes_tagged() else [])]

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        if self._is_open():
            operation["security"] = []
        named = [status for status in operation["responses"] if status in ERRORS and self._is_api()]
        for status in named:
            del operation["responses"][status]
        for status, response in operation["responses"].items():
            response.setdefault("headers", {}).update({name: _header(name) for name in self._headers(status)})
            response["description"] = response["description"] or SAID.get(status, "Done.")
        if self._reads_tagged():
            operation["responses"]["304"] = {"description": "You have this already.", "headers": _headers("ETag")}
        for status in sorted({*self._errors(), *named}):
            operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{ERRORS[status][0]}"})
        return operation

    def get_filter_backends(self) -> list[Any]:
        """Only a list with filters of its own has any."""
        return super().get_filter_backends() if getattr(self.view, "filterset_class", None) else []

    def get_serializer_name(self, serializer: BaseSerializer[Any], direction: str) -> str:
        """`PipelineObject` is called Pipeline; bodies keep their name."""
        return type(serializer).__name__.removesuffix("Object")

    def get_paginated_name(self, serializer_name: str) -> str:
        return f"{serializer_name}Page"

    def _is_list_view(self, serializer: Any = None) -> bool:
        """A list without pages is an object of its own, such as `{"integrations": […]}`."""
        return getattr(self.view, "pagination_class", None) is not None and super()._is_list_view(serializer)

    def _get_paginator(self) -> Any:
        paginator: Any = super()._get_paginator()  # type: ignore[no-untyped-call]  # drf-spectacular types only some
        if paginator is not None:
            paginator.list_name = getattr(self.view, "list_name", "items")
        return paginator

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        """Ids are opaque, so there is nothing to be learned of them from the models."""
        return [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": PATH_PARAMETERS.get(name, ""),
                "schema": {"type": "string", "minLength": 1},
            }
            for name in variables
        ]

    def _is_open(self) -> bool:
        return not self.view.authentication_classes

    def _is_api(self) -> bool:
        return bool(self.path.startswith("/v1/"))

    def _errors(self) -> list[str]:
        if not self._is_api():
            return ["500"]
        found = ["400", "500", "503"]
        found += ["401"] if self._is_open() else ["401", "403"]
        found += ["404"] if "{" in self.path else []
        found += ["413", "415"] if self.method in WRITES else []
        found += ["422", "507"] if self.method in WRITES else []
        found += ["409"] if self.method in WRITES and "/auth/" not in self.path else []
        found += ["412"] if self._changes_tagged() else []
        return sorted(found)

    def _headers(self, status: str) -> list[str]:
        """The headers of an answer that is no error."""
        if self.path.startswith("/v1/runtime/") and self.method == "GET":
            return []
        tagged = ["ETag"] if _is_tagged(self._answer_of(status)) else []
        if not self._is_api() or self.method not in WRITES or "/auth/" in self.path:
            return [*tagged, "X-Request-ID"]
        replayed = ["Idempotent-Replayed"] if self.method == "POST" else []
        return [*tagged, *replayed, "Dry-Run", "X-Request-ID"]

    def _answer_of(self, status: str) -> Any:
        answers: Any = self.get_response_serializers()
        return answers.get(int(status)) if isinstance(answers, dict) else answers

    def _reads_tagged(self) -> bool:
        return self.method == "GET" and not self._is_list_view() and _is_tagged(self._answer_of("200"))

    def _changes_tagged(self) -> bool:
        """Whether an object that is there already changes; a POST changes the one whose id its address goes beyond."""
        return (self.method in CHANGES or (self.method == "POST" and "{id}/" in self.path)) and self._is_about_tagged()

    def _is_about_tagged(self) -> bool:
        return _is_tagged(getattr(self.view, "serializer_class", None))


def _named(role: str) -> str:
    return {"viewer": "viewer or above", "editor": "editor or above"}.get(role, role)


SAID = {"200": "Done.", "201": "Made.", "204": "Done; there is nothing to say."}


def name_enums_by_value(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The same values are the same enum, whatever their labels for people are; a hook that runs before the naming."""
    for schema in result["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            choices = field.get("items", field)
            if "enum" in choices:
                choices["x-spec-enum-id"] = list_hash(
                    [(value, value) for value in choices["enum"] if value is not None]
                )
    return result


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add what operations refer to, and say exactly what bodies may and objects do hold."""
    components = result["components"]
    for name, schema in components["schemas"].items():
        if schema.get("type") != "object" or "properties" not in schema:
            continue
        if name.endswith("Body"):
            schema["additionalProperties"] = False
            schema.pop("description", None)  # it is that of the class that all bodies share
        else:
            schema["required"] = list(schema["properties"])  # an object of ours is always shown whole
    components["schemas"] |= {"ErrorDetail": DETAIL, "Error": ERROR, "StaleError": STALE}
    components["headers"] = {
        name: {"description": description, "schema": {"type": kind}} for name, (kind, description) in HEADERS.items()
    }
    components["responses"] = {name: _error(status, name, text) for status, (name, text) in ERRORS.items()}
    for operations in result["paths"].values():
        for operation in operations.values():
            _exact(operation)
    return result


def _exact(operation: dict[str, Any]) -> None:
    """An empty filter is refused, and a body is never left out."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query" and parameter["schema"].get("type") == "string":
            parameter["schema"].setdefault("minLength", 1)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True


def _is_tagged(serializer: Any) -> bool:
    """Whether a serializer shows one object of a kind that changes and so has an ETag."""
    if serializer is None or isinstance(serializer, dict | str):
        return False
    meta = getattr(serializer, "Meta", None)
    return hasattr(getattr(meta, "model", None), "tag")


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _headers(*names: str) -> dict[str, Any]:
    return {name: _header(name) for name in (*names, "X-Request-ID")}


def _error(status: str, name: str, description: str) -> dict[str, Any]:
    schema = "StaleError" if name == "Stale" else "Error"
    more = {
        "401": ["WWW-Authenticate", "Retry-After"],
        "412": ["ETag"],
        "503": ["Retry-After"],
        "507": ["Retry-After"],
    }.get(status, [])
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "headers": _headers(*more), "content": content}


DETAIL = {
    "type": "object",
    "description": "One thing wrong with one field; some kinds of fault say more, such as `pointer` and `offset`.",
    "properties": {
        "field": {"type": "string", "description": "As you wrote it, such as `revision_id` or `config/pixel_id`."},
        "code": {"type": "string", "description": "For programs; it does not change."},
        "message": {"type": "string", "description": "For people."},
    },
    "required": ["field", "code", "message"],
    "additionalProperties": True,
}
FAULT = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "examples": ["VALIDATION_ERROR"]},
        "message": {"type": "string", "examples": ["A full sentence that says what to do."]},
        "details": {"type": "array", "items": {"$ref": "#/components/schemas/ErrorDetail"}},
    },
    "required": ["code", "message", "details"],
    "additionalProperties": False,
}
ERROR = {"type": "object", "properties": {"error": FAULT}, "required": ["error"], "additionalProperties": False}
STALE = {
    "type": "object",
    "properties": {"error": FAULT, "current": {"type": "object", "additionalProperties": True}},
    "required": ["error", "current"],
    "additionalProperties": False,
}


def order_methods(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Reading before writing; without this the order of one address's methods is another in every process."""
    for path, operations in result["paths"].items():
        result["paths"][path] = {method: operations[method] for method in METHODS if method in operations}
    return result
