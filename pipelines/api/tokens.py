"""API tokens over REST, for admins; they live here because a processor's may be limited to pipelines."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import IsAdmin
from accounts.models import ApiToken
from accounts.roles import Role
from accounts.tokens import revoke_token
from pipelines.api.serializers import IssuedTokenObject, LimitedTokenObject, RemovedObject, TokenCreateBody
from pipelines.tokens import issue_limited_token, pipelines_of


class TokenEndpoint(Endpoint):
    permission_classes = (IsAdmin,)
    serializer_class = LimitedTokenObject
    list_name = "tokens"
    missing = "There is no such token in this organisation."

    def get_queryset(self) -> QuerySet[Any]:
        return ApiToken.objects.in_organisation(self.actor.organisation_id).unrevoked()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        shown = LimitedTokenObject(page, many=True, context={"pipelines": pipelines_of(page)})
        return self.get_paginated_response(shown.data)

    @extend_schema(request=TokenCreateBody, responses={201: IssuedTokenObject})
    def create(self, request: Request) -> Response:
        body = self.read_body(TokenCreateBody)
        token, secret = issue_limited_token(actor=self.actor, **{**body, "scope": Role(body["scope"])})
        shown = LimitedTokenObject(token, context={"pipelines": pipelines_of([token])}).data
        return Response({**shown, "token": secret}, status=201, headers={"Cache-Control": "no-store"})

    @extend_schema(responses={200: RemovedObject})
    def destroy(self, request: Request, id: str) -> Response:
        revoke_token(actor=self.actor, token_id=id)
        return Response({"status": "removed"})
