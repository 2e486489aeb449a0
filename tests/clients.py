"""A REST client as each of the cast uses it."""

from typing import Any

from django.test import Client

JSON = "application/json"


class Api:
    """Requests under `/v1/admin/`, with one bearer or none; a body is sent as JSON."""

    def __init__(self, bearer: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        self.client = Client(headers=headers, raise_request_exception=False)

    def get(self, path: str, query: Any = None, **headers: str) -> Any:
        return self.client.get(_full(path), query, headers=_named(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(_full(path), body or {}, content_type=JSON, headers=_named(headers))

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.put(_full(path), body or {}, content_type=JSON, headers=_named(headers))

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.patch(_full(path), body or {}, content_type=JSON, headers=_named(headers))

    def delete(self, path: str, **headers: str) -> Any:
        return self.client.delete(_full(path), headers=_named(headers))

    def send(self, method: str, path: str, raw: bytes, content_type: str = JSON) -> Any:
        """A body exactly as given."""
        return self.client.generic(method, _full(path), raw, content_type=content_type)


def _full(path: str) -> str:
    return path if path.startswith("/") else f"/v1/admin/{path}"


def _named(headers: dict[str, str]) -> dict[str, str]:
    """`If_Match="…"` → `If-Match: …`."""
    return {name.replace("_", "-"): value for name, value in headers.items()}
