"""Pipelines, their labels and parameters.

A foreign key is `db_index=False` where a constraint or an index below begins with the same column.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.ids import IdField, new_id
from accounts.models import ApiToken, Organisation
from pipelines.models.versions import ConfigurationVersion
from pipelines.querysets import LabelQuerySet, PipelineQuerySet


class PipelineType(models.TextChoices):
    WEB = "web"
    APP = "app"
    SERVER = "server"


def new_pipeline_key() -> str:
    return new_id("pk")


class Pipeline(models.Model):
    """One website or app whose events go to vendors."""

    id = IdField("pip")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    name = models.CharField(max_length=200)
    slug = models.CharField(max_length=100)
    type = models.CharField(max_length=16, choices=PipelineType.choices, default=PipelineType.WEB)
    pipeline_key = models.CharField(max_length=40, unique=True, default=new_pipeline_key, editable=False)
    enabled = models.BooleanField(default=True)
    changed_in = models.ForeignKey(
        ConfigurationVersion, on_delete=models.PROTECT, null=True, db_index=False, related_name="+"
    )
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
            models.Index(fields=["changed_in", "id"], name="pipeline_by_change"),
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
