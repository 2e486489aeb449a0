"""What is known of every request before anything looks at it: its id, and the address it came from."""

import re
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from accounts.ids import new_id

REQUEST_ID = "pinion.request_id"
IP_ADDRESS = "pinion.ip_address"
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")


class RequestId:
    """Give each request an id, taken from `X-Request-ID` where a proxy made one, and say it in the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if GIVEN_ID.fullmatch(given) else new_id("req")
        request.META[REQUEST_ID] = request_id
        request.META[IP_ADDRESS] = client_address(request)
        current_request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            current_request_id.set("")  # the thread goes on to other work
        response["X-Request-ID"] = request_id
        return response


def client_address(request: HttpRequest) -> str | None:
    """The address of the client as the outermost of our own `TRUSTED_PROXIES` proxies saw it; never one it claims."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    chain = [*hops, request.META.get("REMOTE_ADDR", "")]
    text = chain[max(0, len(chain) - 1 - settings.TRUSTED_PROXIES)]
    try:
        address = ip_address(text.partition("%")[0])  # a zone such as %eth0 means something on this machine only
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
