"""Where a client can go on to from what it has just made, as OpenAPI says it: links, which follow from the addresses."""

import re
from typing import Any

PARAMETER = re.compile(r"{(\w+)}")
MADE = "$response.body#/id"


def add_links(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook that runs last: each collection that makes objects is linked to what can be done with one of them."""
    for address, operations in result["paths"].items():
        answer = operations.get("post", {}).get("responses", {}).get("201")
        links = _links(address, result["paths"]) if answer else {}
        if links:
            answer["links"] = links
    return result


def _links(collection: str, paths: dict[str, Any]) -> dict[str, Any]:
    """By operation id, with what stands in the parameters of its address."""
    below = re.compile(re.escape(collection) + r"/{(\w+)}([^{]*)")
    given = {name: f"$request.path.{name}" for name in PARAMETER.findall(collection)}
    return {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {**given, found[1]: MADE},
        }
        for address, operations in paths.items()
        if (found := below.fullmatch(address))
        for operation in operations.values()
    }
