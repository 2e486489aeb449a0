"""Every change to what runs.

A foreign key is `db_index=False` where a constraint or an index below begins with the same column.
"""

from typing import ClassVar

from django.db import models

from integrations.models import Revision
from pipelines.models.pipelines import Pipeline
from pipelines.models.versions import ConfigurationVersion
from pipelines.querysets import HistoryQuerySet


class Subject(models.TextChoices):
    """What a history entry is about."""

    PIN = "pin"
    PARAMETER = "parameter"
    PIPELINE = "pipeline"


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
