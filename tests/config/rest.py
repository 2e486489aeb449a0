"""REST over a real socket, as somebody with a bearer sends it, on servers that fail now and then."""

from dataclasses import dataclass
from typing import Any

import httpx

from accounts.credentials import access_token
from accounts.models import User
from accounts.roles import Role
from pipelines.demo import login

PINS = "pipelines/pip_xyz789/integrations"
PIN = f"{PINS}/pi_abc123"


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    body: Any
    headers: httpx.Headers

    @property
    def fault(self) -> tuple[int, str]:
        return self.status, self.body["error"]["code"]


class Client:
    """Somebody, else the editor of the demo; each request has a connection of its own, as after a server was killed."""

    def __init__(self, url: str, who: User | None = None) -> None:
        self.url = url
        self.bearer = access_token(who or User.objects.by_email(login(Role.EDITOR)["email"]).get())

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """Raises httpx.HTTPError where there is no answer."""
        where = path if path.startswith("/") else f"/v1/admin/{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(trust_env=False, timeout=60) as http:
            answer = http.request(
                method, f"{self.url}{where}", json=body, headers={"Authorization": f"Bearer {self.bearer}", **named}
            )
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return Said(answer.status_code, answer.json() if is_json else answer.text, answer.headers)
