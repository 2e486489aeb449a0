"""The configuration version of an organisation, and every version there was.

A foreign key is `db_index=False` where a constraint or an index below begins with the same column.
"""

from typing import ClassVar

from django.db import models

from accounts.ids import IdField, new_id
from accounts.models import ActorFields, Organisation


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
