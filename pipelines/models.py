"""Pipelines, their parameters, what is pinned on them, and every change to what runs.

A foreign key is `db_index=False` where a constraint or an index below begins with the same column.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.ids import IdField, new_id
from accounts.models import ActorFields, ApiToken, Organisation
from integrations.models import Revision, Template
from pipelines.querysets import HistoryQuerySet, LabelQuerySet, PinQuerySet, PipelineQuerySet


class PipelineType(models.TextChoices):
    WEB = "web"
    APP = "app"
    SERVER = "server"


class Subject(models.TextChoices):
    """What a history entry is about."""

    PIN = "pin"
    PARAMETER = "parameter"
    PIPELINE = "pipeline"


def new_pipeline_key() -> str:
    return new_id("pk")


def new_epoch() -> str:
    return new_id("ep")


class ConfigurationHead(models.Model):
    """The newest configuration version of an organisation; its row lock is what puts versions in commit order."""

    organisation = models.OneToOneField(Organisation, on_delete=models.PROTECT, primary_key=True, related_name="+")
    epoch = models.CharField(max_length=40, default=new_epoch)
    number = models.PositiveBigIntegerField(default=0)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


class ConfigurationVersion(ActorFields):
    """One change to what runs in an organisation: its number, who made it, when it took effect."""

    id = IdField("ver")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organisation", "number"], name="version_number_unique_in_organisation"),
        ]
        indexes: ClassVar = [models.Index(fields=["organisation", "created_at"], name="version_by_time")]

    def __str__(self) -> str:
        return f"version {self.number}"


class Pipeline(models.Model):
    """One website or app whose events go to vendors."""

    id = IdField("pip")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    name = models.CharField(max_length=200)
    slug = models.CharField(max_length=100)
    type = models.CharField(max_length=16, choices=PipelineType.choices, default=PipelineType.WEB)
    pipeline_key = models.CharField(max_length=40, unique=True, default=new_pipeline_key, editable=False)
    enabled = models.BooleanField(default=True)
    changed_in = models.ForeignKey(ConfigurationVersion, on_delete=models.PROTECT, null=True, related_name="+")
    deleted_at = models.DateTimeField(null=True)
    row_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = PipelineQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organisation", "slug"],
                condition=models.Q(deleted_at=None),
                name="pipeline_slug_unique_in_organisation",
            ),
            models.UniqueConstraint(fields=["organisation", "id"], name="pipeline_of_organisation"),
            models.CheckConstraint(condition=~models.Q(name=""), name="pipeline_has_a_name"),
            models.CheckConstraint(condition=models.Q(type__in=PipelineType.values), name="pipeline_type_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "created_at", "id"], name="pipeline_in_order"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def tag(self) -> str:
        return str(self.row_version)


class Label(models.Model):
    """One of the words by which people choose pipelines: `environment` = `production`."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, db_index=False, related_name="labels")
    key = models.CharField(max_length=63)
    value = models.CharField(max_length=63)

    objects = LabelQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["pipeline", "key"], name="one_value_per_label"),
            models.CheckConstraint(condition=~models.Q(key=""), name="label_has_a_key"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "key", "value", "pipeline"], name="label_to_pipelines"),
        ]

    def __str__(self) -> str:
        return f"{self.key}:{self.value}"


class Parameter(models.Model):
    """A named string of one pipeline, which fills `{{pipeline_param.KEY}}`; a secret one is kept sealed."""

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, db_index=False, related_name="parameters")
    key = models.CharField(max_length=64)
    value = models.TextField(blank=True)
    sealed = models.TextField(blank=True)
    secret = models.BooleanField(default=False)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["pipeline", "key"], name="one_value_per_parameter"),
            models.CheckConstraint(
                condition=models.Q(secret=True, value="") & ~models.Q(sealed="") | models.Q(secret=False, sealed=""),
                name="secret_parameter_is_sealed",
            ),
        ]

    def __str__(self) -> str:
        return self.key


class Pin(models.Model):
    """The pipeline integration: this pipeline sends to this template, at exactly this revision, on or off."""

    id = IdField("pi")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.PROTECT, db_index=False, related_name="pins")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, db_index=False, related_name="+")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, db_index=False, related_name="+")
    enabled = models.BooleanField(default=True)
    resolvable = models.BooleanField(default=True)  # as preflight saw it at the last change; for finding, not deciding
    row_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = PinQuerySet.as_manager()

    class Meta:
        verbose_name = "integration"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["pipeline", "template"], name="one_pin_per_template_and_pipeline"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "created_at", "id"], name="pin_in_order"),
            models.Index(fields=["template", "created_at", "id"], name="pin_by_template"),
            models.Index(fields=["revision", "created_at", "id"], name="pin_by_revision"),
            models.Index(
                fields=["organisation", "created_at", "id"],
                condition=models.Q(resolvable=False),
                name="pin_unresolvable",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template} @ Revision v{self.revision.number} ({'enabled' if self.enabled else 'disabled'})"

    @property
    def tag(self) -> str:
        """New with every change of the pin, and of the template's name or latest revision, which the pin shows."""
        return f"{self.row_version}.{self.template.row_version}"


class HistoryEntry(models.Model):
    """What one configuration version changed about one pin, one parameter or one pipeline; append-only.

    Before is empty for what came into being, after for what is gone. Secret values stand as the mask.
    """

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(ConfigurationVersion, on_delete=models.PROTECT, related_name="entries")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.PROTECT, db_index=False, related_name="history")
    subject = models.CharField(max_length=16, choices=Subject.choices)
    subject_id = models.CharField(max_length=64)
    # Nothing asks for history by revision, and revisions are never deleted, so neither column needs an index.
    before_revision = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, db_index=False, related_name="+")
    after_revision = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, db_index=False, related_name="+")
    before_enabled = models.BooleanField(null=True)
    after_enabled = models.BooleanField(null=True)
    before_value = models.TextField(null=True)  # noqa: DJ001  # NULL is “there was none”, which '' is not
    after_value = models.TextField(null=True)  # noqa: DJ001  # as above
    secret = models.BooleanField(default=False)

    objects = HistoryQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(subject__in=Subject.values), name="history_subject_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["pipeline", "subject", "subject_id", "id"], name="history_of_subject"),
            models.Index(fields=["pipeline", "-id"], name="history_newest_first"),
            models.Index(
                fields=["pipeline", "subject_id", "id"], condition=models.Q(secret=True), name="history_of_secrets"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.subject_id}"


class TokenPipeline(models.Model):
    """A pipeline that a processor token is limited to; a token with none reads the whole organisation."""

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, db_index=False, related_name="+")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.PROTECT, related_name="+")  # never lost: that would widen

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["token", "pipeline"], name="token_names_a_pipeline_once"),
        ]

    def __str__(self) -> str:
        return f"{self.token_id} → {self.pipeline_id}"
