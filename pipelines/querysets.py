"""Questions about pipelines, pins and their history, by name."""

from typing import TYPE_CHECKING, Self

from django.db import connection, models
from django.db.models.expressions import RawSQL

if TYPE_CHECKING:
    from pipelines.models import HistoryEntry, Pin, Pipeline

UNRESOLVED = """
    SELECT pin.id FROM pipelines_pin pin
    JOIN integrations_revision revision ON revision.id = pin.revision_id
    CROSS JOIN {each}(revision.parameters_used) AS needed{columns}
    WHERE pin.organisation_id = %s AND NOT EXISTS (
        SELECT 1 FROM pipelines_parameter held
        WHERE held.pipeline_id = pin.pipeline_id AND held.key = needed.value AND (held.secret OR held.value <> '')
    )
"""


class PipelineQuerySet(models.QuerySet["Pipeline"]):
    def in_organisation(self, organisation_id: str) -> Self:
        """Those of the organisation that have not been removed."""
        return self.filter(organisation_id=organisation_id, deleted_at=None)

    def labelled(self, key: str, value: str) -> Self:
        return self.filter(pk__in=self.model.labels.rel.related_model.objects.labelled(key, value))

    def with_everything(self) -> Self:
        """What a client sees of a pipeline, in three statements however many there are."""
        return self.prefetch_related("labels", "parameters")

    def locked(self) -> Self:
        """For a change: locked in primary-key order, like every lock of more than one row here."""
        return self.order_by("pk").select_for_update(no_key=True, of=("self",))


class LabelQuerySet(models.QuerySet["models.Model"]):
    def labelled(self, key: str, value: str) -> models.QuerySet["models.Model", str]:
        """The ids of the pipelines that carry this label."""
        return self.filter(key=key, value=value).values_list("pipeline_id", flat=True)


class PinQuerySet(models.QuerySet["Pin"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def enabled(self) -> Self:
        return self.filter(enabled=True)

    def outdated(self, outdated: bool = True) -> Self:
        """Pinned to an older revision than the template's latest, or, turned round, to the latest."""
        behind = models.Q(revision__number__lt=models.F("template__latest_number"))
        return self.filter(behind if outdated else ~behind)

    def unresolved(self, organisation_id: str) -> Self:
        """Those of the organisation whose revision needs a parameter that their pipeline lacks or has left empty."""
        each = "jsonb_array_elements_text" if connection.vendor == "postgresql" else "json_each"
        columns = "(value)" if connection.vendor == "postgresql" else ""  # SQLite names them itself
        found = RawSQL(UNRESOLVED.format(each=each, columns=columns), [organisation_id])  # noqa: S611  # no text from outside in it
        return self.filter(pk__in=found)

    def with_names(self) -> Self:
        """What a client sees of a pin, in one statement however many there are."""
        return self.select_related("template", "revision")

    def with_config(self) -> Self:
        """All that resolving takes, in one statement."""
        return self.select_related("template", "revision__template", "revision__standing", "revision__sealed")

    def locked(self) -> Self:
        """For a change: the template, the pipeline and the pin, in the order every change locks them."""
        related = self.select_related("template", "pipeline")
        return related.order_by("pk").select_for_update(no_key=True, of=("template", "pipeline", "self"))


class HistoryQuerySet(models.QuerySet["HistoryEntry"]):
    def up_to(self, number: int) -> Self:
        """Nothing later than this configuration version."""
        return self.filter(version__number__lte=number)

    def last_of_each(self) -> Self:
        """For each pin and each parameter the newest of these entries, oldest subject first."""
        newest = self.order_by().values("subject", "subject_id").annotate(last=models.Max("pk")).values("last")
        same = {name: models.OuterRef(name) for name in ("pipeline", "subject", "subject_id")}
        first = self.model.objects.filter(**same).order_by("pk").values("pk")[:1]
        return self.model.objects.filter(pk__in=newest).annotate(first=models.Subquery(first)).order_by("first")

    def with_names(self) -> Self:
        return self.select_related("version", "before_revision__template", "after_revision__template")
