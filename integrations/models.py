"""Templates, their immutable revisions, and what may change about a revision without changing it."""

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from accounts.ids import IdField
from accounts.models import ActorFields, Organisation
from integrations.documents import DocumentField
from integrations.querysets import RevisionQuerySet, TemplateQuerySet


class DeliveryMode(models.TextChoices):
    SERVER_SIDE = "server_side"
    CLIENT_SIDE = "client_side"
    HYBRID = "hybrid"


class Status(models.TextChoices):
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Template(models.Model):
    """An integration with one vendor, defined once and versioned as revisions."""

    id = IdField("tmpl")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    vendor = models.CharField(max_length=64)
    description = models.TextField(blank=True, max_length=2000)
    latest_number = models.PositiveIntegerField(default=0)
    archived = models.BooleanField(default=False)
    deleted_at = models.DateTimeField(null=True)
    row_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = TemplateQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                condition=models.Q(deleted_at=None),
                name="template_name_unique_in_organisation",
            ),
            models.UniqueConstraint(fields=["organisation", "id"], name="template_of_organisation"),
            models.CheckConstraint(condition=~models.Q(name=""), name="template_has_a_name"),
            models.CheckConstraint(condition=~models.Q(vendor=""), name="template_has_a_vendor"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "created_at", "id"], name="template_in_order"),
            models.Index(fields=["organisation", "vendor"], name="template_by_vendor"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def tag(self) -> str:
        return str(self.row_version)


class Revision(ActorFields):
    """One configuration of a template, numbered from 1 without a gap, which nothing ever changes.

    Values at paths that the vendor marks secret stand in `config` as the mask; `sealed` holds what is behind it.
    """

    id = IdField("rev")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    config = DocumentField()
    delivery_mode = models.CharField(max_length=16, choices=DeliveryMode.choices, default=DeliveryMode.SERVER_SIDE)
    change_summary = models.CharField(max_length=500, blank=True)
    parameters_used = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)

    objects = RevisionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["template", "number"], name="revision_number_unique_in_template"),
            models.UniqueConstraint(fields=["template", "id"], name="revision_of_template"),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="revision_numbers_start_at_one"),
            models.CheckConstraint(
                condition=models.Q(delivery_mode__in=DeliveryMode.values), name="revision_delivery_mode_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("A revision never changes. Create a new one.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A revision is never deleted. Retire it instead.")

    @property
    def status(self) -> str:
        return self.standing.status

    @property
    def tag(self) -> str:
        return str(self.standing.row_version)


class RevisionStanding(models.Model):
    """Whether a revision may still be pinned: the one thing about it that changes."""

    revision = models.OneToOneField(Revision, on_delete=models.PROTECT, primary_key=True, related_name="standing")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ACTIVE)
    reason = models.CharField(max_length=500, blank=True)
    row_version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="revision_status_known"),
        ]

    def __str__(self) -> str:
        return self.status


class SealedValues(models.Model):
    """The secrets of one revision: a JSON object from JSON Pointer to value, encrypted as a whole."""

    revision = models.OneToOneField(Revision, on_delete=models.PROTECT, primary_key=True, related_name="sealed")
    box = models.TextField()

    def __str__(self) -> str:
        return f"secrets of {self.revision_id}"
