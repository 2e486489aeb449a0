"""Questions about templates and revisions, by name."""

from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.db import models

if TYPE_CHECKING:
    from integrations.models import Revision, Template


class TemplateQuerySet(models.QuerySet["Template"]):
    def in_organisation(self, organisation_id: str) -> Self:
        """Those of the organisation that have not been deleted."""
        return self.filter(organisation_id=organisation_id, deleted_at=None)

    def with_latest(self) -> Self:
        """Each with `latest_revision_id`, which is None until there is a revision."""
        newest = models.OuterRef("latest_number")
        revisions = apps.get_model("integrations", "Revision").objects.filter(template=models.OuterRef("pk"))
        return self.annotate(latest_revision_id=models.Subquery(revisions.filter(number=newest).values("pk")))

    def locked(self) -> Self:
        """For a change: locked in primary-key order, like every lock of more than one row here."""
        return self.order_by("pk").select_for_update(no_key=True, of=("self",))


class RevisionQuerySet(models.QuerySet["Revision"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(template__organisation_id=organisation_id, template__deleted_at=None)

    def with_status(self) -> Self:
        return self.select_related("standing")

    def with_config(self) -> Self:
        """All that compiling the config takes, in the one statement."""
        return self.select_related("template", "standing", "sealed")

    def locked(self) -> Self:
        """For pinning: the template and the status, locked; the filter makes the status an inner join, as locks need."""
        standing = self.with_config().filter(standing__row_version__gte=1).order_by("pk")
        return standing.select_for_update(no_key=True, of=("template", "standing"))

    def update(self, **fields: object) -> int:
        raise TypeError("A revision never changes. Create a new one.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError("A revision is never deleted. Retire it instead.")
