"""Logging in, refreshing, logging out, and who one is."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import Actor, ActorType
from accounts.api.endpoints import Endpoint
from accounts.api.permissions import IsViewer
from accounts.api.serializers import LoginBody, MeObject, RefreshBody, SessionObject
from accounts.models import ApiToken, User
from accounts.sessions import log_in, log_out, refresh

NEVER_STORED = {"Cache-Control": "no-store"}


class LoginEndpoint(Endpoint):
    """Open to everybody: a bearer is what they come for."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=LoginBody, responses={200: SessionObject})
    def login(self, request: Request) -> Response:
        body = self.read_body(LoginBody)
        return Response(asdict(log_in(**body, **_origin(request))), headers=NEVER_STORED)

    @extend_schema(request=RefreshBody, responses={200: SessionObject})
    def refresh(self, request: Request) -> Response:
        body = self.read_body(RefreshBody)
        return Response(asdict(refresh(**body, **_origin(request))), headers=NEVER_STORED)


class SessionEndpoint(Endpoint):
    permission_classes = (IsViewer,)

    @extend_schema(request=RefreshBody, responses={204: None})
    def logout(self, request: Request) -> Response:
        log_out(actor=self.actor, **self.read_body(RefreshBody))
        return Response(status=204)

    @extend_schema(responses={200: MeObject})
    def me(self, request: Request) -> Response:
        actor, holder = self.actor, _holder(self.actor)
        shown = {
            "id": actor.id,
            "type": actor.type.value,
            "email": holder.email if isinstance(holder, User) else None,
            "name": holder.name,
            "role": actor.role.value,
            "organisation": holder.organisation,
        }
        return Response(MeObject(shown).data)


def _holder(actor: Actor) -> User | ApiToken:
    """The row behind a bearer, with its organisation."""
    if actor.type is ActorType.USER:
        return User.objects.select_related("organisation").get(pk=actor.id)
    return ApiToken.objects.select_related("organisation").get(pk=actor.id)


def _origin(request: Request) -> dict[str, Any]:
    return {
        "request_id": request.META.get("pinion.request_id", ""),
        "ip_address": request.META.get("pinion.ip_address"),
    }
