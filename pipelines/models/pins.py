"""What is pinned on a pipeline.

A foreign key is `db_index=False` where a constraint or an index below begins with the same column.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.ids import IdField
from accounts.models import Organisation
from integrations.models import Revision, Template
from pipelines.models.pipelines import Pipeline
from pipelines.querysets import PinQuerySet


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
