"""Every operation of the API as its description has it, with a request that is right and the places in it for an id."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from accounts.models import Organisation, User
from accounts.roles import Role
from config.documentation import OPENAPI
from integrations.models import Template
from pipelines.demo import login
from pipelines.models import Rollout
from tests.config.writes import writes
from tests.conftest import token

REPORT = {"instance": "eu-1", "run": "today", "sequence": 1}
LOGIN = {"email": "nobody@acme.example", "password": "wrong"}
REFRESH = {"refresh_token": "none"}
SESSIONS = "/v1/admin/auth/"
PARAMETER = re.compile(r"{(\w+)}")
UNKNOWN = "No test knows what stands in {} of {}: say in PLACES what an id after that segment names."

Place = tuple[str, ...]  # ("path", "id"), ("query", "template"), ("body", "pipelines")


@dataclass(frozen=True)
class Request:
    """One request, with the values of the parameters of its address apart."""

    operation: str
    method: str
    address: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any] | None

    @property
    def where(self) -> str:
        return PARAMETER.sub(lambda found: self.path[found[1]], self.address)

    def holding(self, place: Place, schema: Mapping[str, Any], value: str) -> "Request":
        """The same request with this value there."""
        kind, *names = place
        if kind == "path":
            return replace(self, path=self.path | dict.fromkeys(names, value))  # type: ignore[operator]  # both dicts
        if kind == "query":
            return replace(self, query={**self.query, names[0]: value})
        return replace(self, body={**(self.body or {}), names[0]: _filled(schema, value)})


class Description:
    """What the OpenAPI file says of each operation."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = json.loads(OPENAPI.read_text())

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for address, item in self._whole["paths"].items():
            for method, operation in item.items():
                yield method.upper(), address, operation

    def places(self, address: str, operation: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Where a text of any kind can stand, with the schema of what stands there."""
        yield from ((("path", name), {}) for name in PARAMETER.findall(address))
        queries = [each for each in operation.get("parameters", []) if each["in"] == "query"]
        parts = [(("query", each["name"]), each["schema"]) for each in queries]
        parts += [(("body", name), schema) for name, schema in self._body(operation).get("properties", {}).items()]
        for place, schema in parts:
            resolved = self._resolved(schema)
            if _takes_text(resolved):
                yield place, resolved

    def _body(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        content = operation.get("requestBody", {}).get("content", {})
        body: dict[str, Any] = self._resolved(content.get("application/json", {}).get("schema", {}))
        return body

    def _resolved(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._resolved(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._resolved(self._whole["components"]["schemas"][name])
        return {key: self._resolved(value) for key, value in schema.items()}


def requests_in(organisation: Organisation) -> dict[str, Request]:
    """One right request for each operation, in the demo organisation, by operation id."""
    known, places = writes(organisation), _places(organisation)
    made = {}
    for method, address, operation in Description().operations():
        name = operation["operationId"]
        path: Mapping[str, str] = {}
        body: Mapping[str, Any] | None = None
        if address.startswith(SESSIONS):
            body = LOGIN if name == "log_in" else REFRESH
        elif method == "GET" or name == "send_report":
            path, body = _by_segment(address, places), REPORT if method == "POST" else None
        else:
            path, body = _by_position(address, f"/v1/admin/{known[name].path}"), known[name].body
        made[name] = Request(name, method, address, path, _needed(operation), body)
    return made


def _places(organisation: Organisation) -> dict[str, str]:
    """What an id in an address names, by the segment before it."""
    return {
        "users": User.objects.by_email(login(Role.VIEWER)["email"]).get().pk,
        "tokens": token(organisation, Role.VIEWER)[0].pk,
        "integration-catalog": "webhook",
        "integration-templates": Template.objects.get(pk="tmpl_abc123").pk,
        "revisions": "2",
        "pipelines": "pip_xyz789",
        "parameters": "key",
        "integrations": "pi_abc123",
        "rollouts": Rollout.objects.earliest("created_at").pk,
    }


def _by_segment(address: str, places: Mapping[str, str]) -> dict[str, str]:
    segments = address.split("/")
    found = {}
    for before, segment in pairwise(segments):
        for name in PARAMETER.findall(segment):
            assert before in places, UNKNOWN.format(segment, address)
            found[name] = places[before]
    return found


def _by_position(address: str, path: str) -> dict[str, str]:
    pairs = zip(address.split("/"), path.split("/"), strict=True)
    return {name: value for segment, value in pairs for name in PARAMETER.findall(segment)}


def _needed(operation: Mapping[str, Any]) -> dict[str, str]:
    """The query parameters without which a request is refused."""
    parameters = [each for each in operation.get("parameters", []) if each["in"] == "query" and each.get("required")]
    return {each["name"]: str(each["schema"].get("minimum", 0)) for each in parameters}


def _takes_text(schema: Any) -> bool:
    """Whether an id can stand somewhere in it."""
    if isinstance(schema, list):
        return any(map(_takes_text, schema))
    if not isinstance(schema, dict):
        return False
    types = schema.get("type", [])
    if "enum" in schema or "format" in schema:
        return False
    if "string" in ([types] if isinstance(types, str) else types):
        return True
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("anyOf"), schema.get("allOf")]
    return any(map(_takes_text, inner))


def _filled(schema: Mapping[str, Any], value: str) -> Any:
    """What the schema asks for, with this value wherever a free text stands."""
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else types[0]
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "array":
        return [_filled(schema["items"], value)]
    if kind == "object":
        return {name: _filled(inner, value) for name, inner in schema.get("properties", {}).items()}
    return {"string": value, "boolean": True}.get(kind, 1)
