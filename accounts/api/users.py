"""The users of an organisation, for its admins."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import IsAdmin
from accounts.api.serializers import UserCreateBody, UserObject, UserUpdateBody
from accounts.models import User
from accounts.roles import Role
from accounts.users import create_user, update_user


class UserEndpoint(Endpoint):
    permission_classes = (IsAdmin,)
    serializer_class = UserObject
    list_name = "users"
    missing = "There is no such user in this organisation."

    def get_queryset(self) -> QuerySet[Any]:
        return User.objects.in_organisation(self.actor.organisation_id)

    @extend_schema(request=UserCreateBody, responses={201: UserObject})
    def create(self, request: Request) -> Response:
        body = self.read_body(UserCreateBody)
        user = create_user(actor=self.actor, **{**body, "role": Role(body["role"])})
        return self.answer(user, status=201)

    @extend_schema(request=UserUpdateBody, responses={200: UserObject})
    def partial_update(self, request: Request, id: str) -> Response:
        body = self.read_body(UserUpdateBody)
        if "role" in body:
            body["role"] = Role(body["role"])
        return self.answer(update_user(actor=self.actor, user_id=id, expected=self.expected, **body))
