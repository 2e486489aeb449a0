"""The event processors of an organisation, what they say they run, and what they delivered.

A foreign key is `db_index=False` where a constraint or an index below begins with the same column. A pin is named by
its id alone: what was reported of it outlives it, and a report never waits for a change of the pin.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import ApiToken, Organisation
from integrations.models import Revision
from pipelines.models.pipelines import Pipeline
from pipelines.querysets import ProcessorQuerySet


class Claim(models.TextChoices):
    """What an instance may say of one integration."""

    APPLIED = "applied"  # it runs this
    REJECTED = "rejected"  # it refused this, and runs nothing of the integration
    KEPT_LAST_GOOD = "kept_last_good"  # it runs this, and did not take what was served since


class Processor(models.Model):
    """One instance of an event processor, as it names itself under its token.

    `run` is new whenever the instance starts, and `sequence` counts its reports from then on, so that a report which
    is sent twice is told from the next one.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, db_index=False, related_name="+")
    instance = models.CharField(max_length=100)
    run = models.CharField(max_length=64)
    sequence = models.PositiveBigIntegerField()
    resend = models.BooleanField(default=False)  # whether its last report was answered with that; a repeat gets it too
    started_at = models.DateTimeField(null=True)  # by the instance's own clock; for showing, not deciding
    last_seen_at = models.DateTimeField(default=timezone.now)

    objects = ProcessorQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["token", "instance"], name="one_processor_per_token_and_instance"),
            models.CheckConstraint(condition=~models.Q(instance=""), name="processor_has_a_name"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "last_seen_at"], name="processor_by_last_seen"),
        ]

    def __str__(self) -> str:
        return self.instance


class RunningPin(models.Model):
    """What one instance last said of one pin; gone when it says that it stopped, or starts anew.

    The revision is null where the instance names one that this pin never could have had.
    """

    id = models.BigAutoField(primary_key=True)
    processor = models.ForeignKey(Processor, on_delete=models.CASCADE, db_index=False, related_name="running")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.PROTECT, db_index=False, related_name="+")
    pin_id = models.CharField(max_length=40)
    claim = models.CharField(max_length=16, choices=Claim.choices)
    # Nothing asks for it by revision alone, and revisions are never deleted, so the column needs no index.
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, db_index=False, related_name="+")
    config_hash = models.CharField(max_length=128)
    refused_hash = models.CharField(max_length=128, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    reported_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["processor", "pin_id"], name="one_claim_per_processor_and_pin"),
            models.CheckConstraint(condition=models.Q(claim__in=Claim.values), name="running_pin_claim_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["pipeline", "processor"], name="running_by_pipeline"),
        ]

    def __str__(self) -> str:
        return f"{self.pin_id} {self.claim}"


class DeliveryFigure(models.Model):
    """How many events were delivered, and how many failed, in one minute at one revision of one pin, at all instances.

    `started_at` is the beginning of the minute in which the report arrived, in UTC.
    """

    id = models.BigAutoField(primary_key=True)
    # Figures are asked for by pin or by age; neither revisions nor organisations are deleted, so neither needs an index.
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    pin_id = models.CharField(max_length=40)
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, db_index=False, related_name="+")
    started_at = models.DateTimeField()
    delivered = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["pin_id", "revision", "started_at"], name="one_figure_per_minute"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["started_at"], name="figure_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.delivered} delivered, {self.failed} failed"
