"""Templates, revisions and the catalogue as clients see and write them."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.fields import Body, Choice, Flag, Name, Text
from accounts.api.serializers import ActorObject
from accounts.errors import Detail
from integrations.models import DeliveryMode, Revision, Status, Template
from integrations.vendors import Vendor


@extend_schema_field({"type": "object", "additionalProperties": True})
class Config(serializers.Field[Any, Any, Any, Any]):
    """A JSON object, kept as it is."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("This must be a JSON object.", code="wrong_type")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class Description(Text):
    """Text for people, of more than one line if they like."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_blank": True, "max_length": 2000, "required": False, **options})


class TemplateCreateBody(Body):
    name = Name()
    vendor = Text(max_length=64)
    description = Description()


class TemplateUpdateBody(Body):
    name = Name(required=False)
    description = Description()
    archived = Flag(required=False)


class TemplateObject(serializers.ModelSerializer[Template]):
    latest_revision = serializers.SerializerMethodField()
    latest_revision_id = serializers.SerializerMethodField()

    class Meta:
        model = Template
        fields: ClassVar = [
            "id",
            "name",
            "vendor",
            "description",
            "latest_revision",
            "latest_revision_id",
            "archived",
            "created_at",
            "updated_at",
        ]

    def get_latest_revision(self, template: Template) -> int | None:
        return template.latest_number or None

    def get_latest_revision_id(self, template: Template) -> str | None:
        found: str | None = getattr(template, "latest_revision_id", None)
        return found


class RevisionCreateBody(Body):
    config = Config()
    delivery_mode = Choice(choices=DeliveryMode.values, default=DeliveryMode.SERVER_SIDE.value)
    change_summary = Description(max_length=500)
    base_revision_id = Text(max_length=40, required=False)


class StatusBody(Body):
    status = Choice(choices=Status.values)
    reason = Text(max_length=500)


class RevisionObject(serializers.ModelSerializer[Revision]):
    integration_id = serializers.CharField(source="template_id")
    revision_number = serializers.IntegerField(source="number")
    config = Config()
    status = serializers.ChoiceField(choices=Status.choices)
    parameters_used = serializers.ListField(child=serializers.CharField())
    created_by = ActorObject(source="actor")

    class Meta:
        model = Revision
        fields: ClassVar = [
            "id",
            "integration_id",
            "revision_number",
            "config",
            "delivery_mode",
            "change_summary",
            "status",
            "parameters_used",
            "created_by",
            "created_at",
        ]


class DetailObject(serializers.Serializer[Detail]):
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()

    def to_representation(self, detail: Detail) -> dict[str, Any]:
        """As in an error: what else there is to know stands beside the sentence."""
        return {**super().to_representation(detail), **detail.extra}


class CreatedRevisionObject(RevisionObject):
    """A new revision, and what is unusual about its config."""

    warnings = DetailObject(many=True)

    class Meta(RevisionObject.Meta):
        fields: ClassVar = [*RevisionObject.Meta.fields, "warnings"]


class InstallBody(Body):
    name = Name()
    variant = Text(max_length=64, required=False)
    config = Config()


class InstalledObject(serializers.Serializer[Any]):
    template = TemplateObject()
    revision = RevisionObject()
    warnings = DetailObject(many=True)


class FieldObject(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the word of the contract; Serializer has one too
    type = serializers.ChoiceField(choices=["string", "secret", "integer", "number", "boolean", "enum", "object"])
    required = serializers.BooleanField()  # type: ignore[assignment]  # as above
    default = serializers.JSONField()
    placeholder = serializers.CharField()
    help_text = serializers.CharField()  # type: ignore[assignment]  # as above
    choices = serializers.ListField(child=serializers.CharField())


class VariantObject(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # as above
    help_text = serializers.CharField()  # type: ignore[assignment]  # as above
    preset = serializers.DictField()
    requires = serializers.ListField(child=serializers.CharField())


class VendorObject(serializers.Serializer[Vendor]):
    vendor = serializers.CharField(source="key")
    name = serializers.CharField()
    category = serializers.CharField()
    description = serializers.CharField()
    documentation_url = serializers.CharField()
    fields = FieldObject(many=True)  # type: ignore[assignment]  # as above
    one_of = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    variants = VariantObject(many=True)


class CatalogueObject(serializers.Serializer[Any]):
    """The whole catalogue, which is always one page."""

    vendors = VendorObject(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
