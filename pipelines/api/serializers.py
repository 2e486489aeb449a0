"""Pipelines, parameters, pins, history and configs as clients see and write them."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.columns import ColumnsObject
from accounts.api.fields import Body, Choice, Flag, Name, Text
from accounts.api.serializers import SCOPES, ActorObject, TokenObject
from integrations.models import Revision
from integrations.placeholders import MASK
from pipelines.api import examples
from pipelines.models import HistoryEntry, Pin, Pipeline, PipelineType, Subject
from pipelines.registry import MAX_LABELS, MAX_SLUG, label_complaint, slug_complaint

TEXT_BY_NAME = {"type": "object", "additionalProperties": {"type": "string"}}
TEXT_OR_NULL_BY_NAME = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}


@extend_schema_field(TEXT_OR_NULL_BY_NAME)
class TextByName(serializers.Field[Any, Any, Any, Any]):
    """An object whose values are strings, or null for what is to be deleted."""

    def to_internal_value(self, data: Any) -> dict[str, str | None]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("This must be a JSON object.", code="wrong_type")
        wrong = {
            name[:64]: ["This must be a string, or null to delete it."]
            for name, value in data.items()
            if not isinstance(value, str | None)
        }
        if wrong:
            raise serializers.ValidationError(wrong, code="wrong_type")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class Labels(TextByName):
    """Keys and values of up to 63 letters, digits, dots, dashes, underscores and slashes; a value may be empty."""

    def to_internal_value(self, data: Any) -> dict[str, str | None]:
        labels = super().to_internal_value(data)
        if len(labels) > MAX_LABELS:
            raise serializers.ValidationError(f"A pipeline has at most {MAX_LABELS} labels.", code="too_many")
        wrong = {
            key[:64]: [complaint[1]]
            for key, value in labels.items()
            if (complaint := label_complaint(key, value)) is not None
        }
        if wrong:
            raise serializers.ValidationError(wrong, code="invalid_label")
        return labels


class Slug(Text):
    """Asks the registry's rule along with the other fields, so that one answer names everything that is wrong."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if complaint := slug_complaint(text):
            code, message = complaint
            raise serializers.ValidationError(message, code=code)
        return text


class PipelineUpdateBody(Body):
    name = Name(required=False)
    slug = Slug(max_length=MAX_SLUG, required=False)
    type = Choice(choices=PipelineType.values, required=False)
    labels = Labels(required=False)
    parameters = TextByName(required=False)
    verbatim = Flag(required=False)
    enabled = Flag(required=False)


class PipelineCreateBody(PipelineUpdateBody):
    name = Name()


class ParameterBody(Body):
    value = Text(allow_blank=True)
    secret = Flag(required=False)
    verbatim = Flag(required=False)


class PipelineObject(serializers.ModelSerializer[Pipeline]):
    labels = serializers.SerializerMethodField()
    parameters = serializers.SerializerMethodField()
    secret_parameters = serializers.SerializerMethodField()

    class Meta:
        model = Pipeline
        fields: ClassVar = [
            "id",
            "name",
            "slug",
            "type",
            "pipeline_key",
            "labels",
            "parameters",
            "secret_parameters",
            "enabled",
            "created_at",
            "updated_at",
        ]

    @extend_schema_field(TEXT_BY_NAME)
    def get_labels(self, pipeline: Pipeline) -> dict[str, str]:
        return {label.key: label.value for label in sorted(pipeline.labels.all(), key=lambda label: label.key)}

    @extend_schema_field(TEXT_BY_NAME)
    def get_parameters(self, pipeline: Pipeline) -> dict[str, str]:
        held = sorted(pipeline.parameters.all(), key=lambda parameter: parameter.key)
        return {parameter.key: MASK if parameter.secret else parameter.value for parameter in held}

    def get_secret_parameters(self, pipeline: Pipeline) -> list[str]:
        return sorted(parameter.key for parameter in pipeline.parameters.all() if parameter.secret)


@extend_schema_serializer(examples=[examples.ASSIGN])
class PinCreateBody(Body):
    integration_id = Text(max_length=40)
    revision_id = Text(max_length=40)
    enabled = Flag(default=True)


@extend_schema_serializer(examples=[examples.UPDATE])
class PinUpdateBody(Body):
    revision_id = Text(max_length=40, required=False)
    enabled = Flag(required=False)


@extend_schema_serializer(component_name="PipelineIntegration", examples=[examples.ONE])
class PinObject(ColumnsObject[Pin]):
    """The pipeline integration object, field for field as documented."""

    pipeline_id = serializers.CharField()
    integration_id = serializers.CharField(source="template_id")
    integration_name = serializers.CharField(source="template.name")
    vendor = serializers.CharField(source="template.vendor")
    revision_id = serializers.CharField()
    revision_number = serializers.IntegerField(source="revision.number")
    latest_revision = serializers.IntegerField(source="template.latest_number")

    class Meta:
        model = Pin
        fields: ClassVar = [
            "id",
            "pipeline_id",
            "integration_id",
            "integration_name",
            "vendor",
            "revision_id",
            "revision_number",
            "latest_revision",
            "enabled",
            "created_at",
            "updated_at",
        ]


@extend_schema_serializer(component_name="PipelineIntegrations", examples=[examples.ALL])
class PinsObject(serializers.Serializer[Any]):
    integrations = PinObject(many=True)


@extend_schema_serializer(examples=[examples.REMOVED])
class RemovedObject(serializers.Serializer[Any]):
    status = serializers.CharField(default="removed")


class HistoryObject(serializers.Serializer[HistoryEntry]):
    """One change: `before` is null for what came into being, `after` for what is gone.

    Wants `last_secret_lines` in its context: a value is masked from the day on which it was made secret, backwards too.
    """

    id = serializers.CharField()
    version = serializers.IntegerField(source="version.number")
    subject = serializers.ChoiceField(choices=Subject.choices)
    subject_id = serializers.CharField()
    integration_id = serializers.SerializerMethodField()
    integration_name = serializers.SerializerMethodField()
    before = serializers.SerializerMethodField()
    after = serializers.SerializerMethodField()
    actor = ActorObject(source="version.actor")
    request_id = serializers.CharField(source="version.request_id")
    created_at = serializers.DateTimeField(source="version.created_at")

    def get_integration_id(self, entry: HistoryEntry) -> str | None:
        revision = entry.after_revision or entry.before_revision
        return revision.template_id if revision else None

    def get_integration_name(self, entry: HistoryEntry) -> str | None:
        revision = entry.after_revision or entry.before_revision
        return revision.template.name if revision else None

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_before(self, entry: HistoryEntry) -> dict[str, Any] | None:
        return self._facts(entry, entry.before_revision, entry.before_enabled, entry.before_value)

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_after(self, entry: HistoryEntry) -> dict[str, Any] | None:
        return self._facts(entry, entry.after_revision, entry.after_enabled, entry.after_value)

    def _facts(
        self, entry: HistoryEntry, revision: Revision | None, enabled: bool | None, value: str | None
    ) -> dict[str, Any] | None:
        if entry.subject == Subject.PARAMETER:
            secret = entry.pk <= self.context["last_secret_lines"].get(entry.subject_id, 0)
            return None if value is None else {"value": MASK if secret else value, "secret": secret}
        if entry.subject == Subject.PIPELINE:
            return None if enabled is None else {"enabled": enabled}
        if revision is None:
            return None
        return {"revision_id": revision.pk, "revision_number": revision.number, "enabled": enabled}


class ReasonObject(serializers.Serializer[Any]):
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class ResolvedPinObject(serializers.Serializer[Any]):
    id = serializers.CharField(source="pin_id")
    integration_id = serializers.CharField(source="revision.template_id")
    integration_name = serializers.CharField(source="revision.template.name")
    vendor = serializers.CharField(source="revision.template.vendor")
    revision_id = serializers.CharField(source="revision.id")
    revision_number = serializers.IntegerField(source="revision.number")
    delivery_mode = serializers.CharField(source="revision.delivery_mode")
    state = serializers.ChoiceField(choices=["ok", "unresolvable"])
    reasons = ReasonObject(many=True)
    config = serializers.JSONField()


class PipelineConfigObject(serializers.Serializer[Any]):
    """What a pipeline runs at one configuration version, secrets masked."""

    epoch = serializers.CharField()
    version = serializers.IntegerField()
    pipeline_id = serializers.CharField(source="pipeline.id")
    pipeline_key = serializers.CharField(source="pipeline.pipeline_key")
    enabled = serializers.BooleanField()
    integrations = ResolvedPinObject(many=True)


class TokenCreateBody(Body):
    name = Name()
    scope = Choice(choices=SCOPES)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    pipelines = serializers.ListField(child=Text(max_length=40), required=False, max_length=1000)


class LimitedTokenObject(TokenObject):
    """A token and the pipelines it is limited to; none means all of the organisation's."""

    pipelines = serializers.SerializerMethodField()

    class Meta(TokenObject.Meta):
        fields: ClassVar = [*TokenObject.Meta.fields, "pipelines"]

    def get_pipelines(self, token: Any) -> list[str]:
        named: dict[str, list[str]] = self.context["pipelines"]
        return named.get(token.pk, [])


class IssuedTokenObject(LimitedTokenObject):
    """The one answer that shows the token itself."""

    token = serializers.CharField()

    class Meta(LimitedTokenObject.Meta):
        fields: ClassVar = [*LimitedTokenObject.Meta.fields, "token"]


class ChangeObject(serializers.Serializer[Any]):
    op = serializers.ChoiceField(choices=["added", "removed", "changed"])
    pointer = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()
    type_changed = serializers.BooleanField()
    secret = serializers.BooleanField()


class DiffObject(serializers.Serializer[Any]):
    against = serializers.CharField(allow_null=True)
    revision = serializers.CharField()
    changes = ChangeObject(many=True)
    parameters_newly_needed = serializers.ListField(child=serializers.CharField())
    parameters_no_longer_used = serializers.ListField(child=serializers.CharField())
