"""Who is asking: the bearer of a request, read once."""

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.actors import Actor
from accounts.credentials import MISSING, actor_for_bearer
from accounts.errors import Unauthenticated

KNOWN = "pinion.actor"


def actor_of(request: HttpRequest) -> Actor:
    """The holder of the request's bearer; asking again costs nothing. Raises Unauthenticated."""
    known: Actor | None = request.META.get(KNOWN)
    if known is None:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not bearer.strip():
            raise Unauthenticated(MISSING)
        known = request.META[KNOWN] = actor_for_bearer(
            bearer.strip(),
            request_id=request.META.get("pinion.request_id", ""),
            ip_address=request.META.get("pinion.ip_address"),
        )
    return known


class BearerAuthentication(BaseAuthentication):
    """`request.user` is the Actor."""

    def authenticate(self, request: Request) -> tuple[Actor, None]:
        return actor_of(request), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
