"""Users, tokens and the audit log as clients see and write them."""

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.api.columns import ColumnsObject
from accounts.api.fields import Body, Choice, Flag, Name, Text
from accounts.models import ApiToken, AuditEntry, User
from accounts.querysets import stored_email
from accounts.roles import LADDER, Role

ROLES = [role.value for role in LADDER]
SCOPES = [role.value for role in Role]


class LoginBody(Body):
    email = Text(max_length=254)
    password = Text(max_length=1024)


class RefreshBody(Body):
    refresh_token = Text(max_length=256)


class SessionObject(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()


class Email(serializers.EmailField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be a string.", code="wrong_type")
        return stored_email(super().to_internal_value(data))


class UserCreateBody(Body):
    email = Email(max_length=254)
    name = Name()
    role = Choice(choices=ROLES)
    password = Text(max_length=1024, required=False)


class UserUpdateBody(Body):
    name = Name(required=False)
    role = Choice(choices=ROLES, required=False)
    disabled = Flag(required=False)


class UserObject(ColumnsObject[User]):
    disabled = serializers.BooleanField()

    class Meta:
        model = User
        fields: ClassVar = ["id", "email", "name", "role", "disabled", "created_at", "updated_at"]


class OrganisationObject(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()


class MeObject(serializers.Serializer[Any]):
    """Who a bearer is: a user, or a token, which has no email."""

    id = serializers.CharField()
    type = serializers.ChoiceField(choices=["user", "token"])
    email = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=SCOPES)
    organisation = OrganisationObject()


class TokenObject(serializers.ModelSerializer[ApiToken]):
    class Meta:
        model = ApiToken
        fields: ClassVar = ["id", "name", "scope", "hint", "created_by", "created_at", "expires_at"]


class ActorObject(serializers.Serializer[Any]):
    type = serializers.ChoiceField(choices=["user", "token", "operator", "system"])
    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF takes declared fields off the class


class AuditEntryObject(serializers.ModelSerializer[AuditEntry]):
    id = serializers.CharField()
    actor = ActorObject()
    changes = serializers.DictField()

    class Meta:
        model = AuditEntry
        fields: ClassVar = [
            "id",
            "action",
            "actor",
            "resource_type",
            "resource_id",
            "resource_label",
            "changes",
            "request_id",
            "ip_address",
            "created_at",
        ]
