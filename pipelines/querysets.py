"""Questions about pipelines, pins and their history, by name."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce

if TYPE_CHECKING:
    from pipelines.models import HistoryEntry, Label, Pin, Pipeline, Processor, Rollout, RolloutTarget

# A list shows of a revision its number; its config may be 256 KiB.
HEAVY = ("config", "parameters_used", "change_summary")

LONGER = timedelta(
    minutes=2
)  # than its soak no rollout waits: a gate begins with a minute, and looks every few seconds


class PipelineQuerySet(models.QuerySet["Pipeline"]):
    def in_organisation(self, organisation_id: str) -> Self:
        """Those of the organisation that have not been removed."""
        return self.filter(organisation_id=organisation_id, deleted_at=None)

    def with_everything(self) -> Self:
        """What a client sees of a pipeline, in three statements however many there are."""
        return self.prefetch_related("labels", "parameters")

    def locked(self) -> Self:
        """For a change: locked in primary-key order, like every lock of more than one row here."""
        return self.order_by("pk").select_for_update(no_key=True, of=("self",))


class LabelQuerySet(models.QuerySet["Label"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def labelled(self, organisation_id: str, key: str, value: str) -> models.QuerySet["Label", str]:
        """The ids of the organisation's pipelines that carry this label."""
        carried = self.in_organisation(organisation_id).filter(key=key, value=value)
        return carried.values_list("pipeline_id", flat=True)


class PinQuerySet(models.QuerySet["Pin"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def of_pipeline(self, organisation_id: str, pipeline_id: str) -> Self:
        """None where the organisation has no such pipeline."""
        return self.filter(pipeline=pipeline_id, pipeline__organisation=organisation_id, pipeline__deleted_at=None)

    def enabled(self) -> Self:
        return self.filter(enabled=True)

    def outdated(self, outdated: bool = True) -> Self:
        """Pinned to an older revision than the template's latest, or, turned round, to the latest."""
        behind = models.Q(revision__number__lt=models.F("template__latest_number"))
        return self.filter(behind if outdated else ~behind)

    def resolvable(self, resolvable: bool = True) -> Self:
        """Those whose config could be filled in at their last change, or, turned round, could not."""
        return self.filter(resolvable=resolvable)

    def with_names(self) -> Self:
        """What a client sees of a pin, in one statement however many there are."""
        return self.select_related("template", "revision").defer(*(f"revision__{name}" for name in HEAVY))

    def with_needs(self) -> Self:
        """As `with_names`, and the parameters that each needs."""
        return self.select_related("template", "revision").defer("revision__config")

    def with_config(self) -> Self:
        """All that resolving takes, in one statement."""
        return self.select_related("template", "revision__template", "revision__standing", "revision__sealed")

    def in_order_of_assignment(self) -> Self:
        """Oldest first by their history, as `last_of_each` has them too: clocks can run backwards, versions cannot."""
        entries = apps.get_model("pipelines", "HistoryEntry").objects.filter(
            pipeline=models.OuterRef("pipeline"), subject="pin", subject_id=models.OuterRef("pk")
        )
        return self.order_by(models.Subquery(entries.order_by("pk").values("pk")[:1]), "pk")

    def locked(self) -> Self:
        """For a change: the template, the pipeline and the pin, in the order every change locks them."""
        related = self.select_related("template", "pipeline")
        return related.order_by("pk").select_for_update(no_key=True, of=("template", "pipeline", "self"))


class HistoryQuerySet(models.QuerySet["HistoryEntry"]):
    def up_to(self, number: int) -> Self:
        """Nothing later than this configuration version."""
        return self.filter(version__number__lte=number)

    def last_of_each(self) -> "HistoryQuerySet":
        """For each pin and each parameter the newest of these entries, oldest subject first."""
        newest = self.order_by().values("subject", "subject_id").annotate(last=models.Max("pk")).values("last")
        same = {name: models.OuterRef(name) for name in ("pipeline", "subject", "subject_id")}
        first = self.model.objects.filter(**same).order_by("pk").values("pk")[:1]
        return self.model.objects.filter(pk__in=newest).order_by(models.Subquery(first))

    def last_secret_lines(self) -> dict[str, int]:
        """For each parameter among these that was ever secret, the newest line that says so."""
        lines = self.filter(secret=True).order_by().values("subject_id").annotate(last=models.Max("pk"))
        return dict(lines.values_list("subject_id", "last"))

    def with_names(self) -> Self:
        """What a client sees of a line, in one statement however many there are."""
        related = self.select_related("version", "before_revision__template", "after_revision__template")
        return related.defer(*(f"{side}_revision__{name}" for side in ("before", "after") for name in HEAVY))


class ProcessorQuerySet(models.QuerySet["Processor"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def past_their_time(self, now: datetime) -> Self:
        """Those that have been silent for so long that they are forgotten."""
        return self.filter(last_seen_at__lte=now - settings.REPORT_RETENTION)

    def live(self, now: datetime) -> Self:
        """Those that count: they reported lately, and their token still opens the door."""
        return self.let_in(now).filter(last_seen_at__gt=now - settings.PROCESSOR_LIVENESS)

    def let_in(self, now: datetime) -> Self:
        """Those whose token still opens the door."""
        unexpired = models.Q(token__expires_at=None) | models.Q(token__expires_at__gt=now)
        return self.filter(unexpired, token__revoked_at=None)


class _Seconds(models.Func):
    """A number of seconds as a duration, which SQLite keeps in microseconds."""

    template = "(%(expressions)s * 1000000)"
    output_field = models.DurationField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="make_interval(secs => %(expressions)s)", **context)


class RolloutQuerySet(models.QuerySet["Rollout"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def active(self) -> Self:
        """Those that run or are paused: one per template at most."""
        return self.filter(state__in=["running", "paused"])

    def due(self, moment: datetime) -> Self:
        """Those that run and should be looked at by now, the longest waiting first.

        Also those that wait for longer than they can: their time was set before the clock was put back.
        """
        latest = models.ExpressionWrapper(
            models.Value(moment + LONGER) + _Seconds("soak_seconds"), models.DateTimeField()
        )
        now_or_never = models.Q(next_at__lte=moment) | models.Q(next_at__gt=latest)
        return self.filter(now_or_never, state="running").order_by("next_at", "pk")

    def with_names(self) -> Self:
        """What a client sees of a rollout but its waves, in one statement however many there are."""
        related = self.select_related("template", "revision")
        return related.defer(*(f"revision__{name}" for name in HEAVY))

    def with_waves(self) -> Self:
        """Each with its waves in order and the configuration version that each made, in one statement more."""
        return self.prefetch_related(waves_in_order())

    def locked(self, *, skip_locked: bool = False) -> Self:
        """For a change: the rollout's row, which comes before every other lock."""
        return self.order_by("pk").select_for_update(no_key=True, of=("self",), skip_locked=skip_locked)


class TargetQuerySet(models.QuerySet["RolloutTarget"]):
    def moving(self) -> Self:
        """Those that the plan moves and that nobody has taken out of it."""
        return self.filter(outcome="moves", detached=False)

    def between(self, lower: int, upper: int) -> Self:
        """Those of one wave: at positions after `lower` up to `upper`."""
        return self.filter(position__gt=lower, position__lte=upper)

    def as_planned(self, *, moved: bool) -> Self:
        """Those whose pin is as the plan has it, before the move or after it."""
        return self.filter(models.Exists(_same_pin(moved)))

    def astray(self, *, moved: bool) -> Self:
        """Those whose pin is not as the plan has it, before the move or after it."""
        return self.filter(~models.Exists(_same_pin(moved)))

    def with_standing(self, rollout: "Rollout") -> Self:
        """Each target of this rollout with `standing`: the plan's outcome, or *waiting*, *moved* or *detached*.

        All of it is of one moment, since one statement asks for it. While the rollout is active the pins are asked
        whether they are still as planned; afterwards it stays as it was at the end.
        """
        waves = apps.get_model("pipelines", "RolloutWave").objects.filter(rollout=rollout).exclude(applied_at=None)
        reached = Coalesce(models.Subquery(waves.order_by("-number").values("upper")[:1]), 0)
        moved = models.Q(position__lte=reached)
        went = models.Q(detached=True)
        if rollout.is_active:
            went |= moved & ~models.Exists(_same_pin(True)) | ~moved & ~models.Exists(_same_pin(False))
        return self.annotate(
            standing=models.Case(
                models.When(~models.Q(outcome="moves"), then=models.F("outcome")),
                models.When(went, then=models.Value("detached")),
                models.When(moved, then=models.Value("moved")),
                default=models.Value("waiting"),
            )
        )

    def with_names(self) -> Self:
        """What a client sees of a target, in one statement however many there are."""
        related = self.select_related("pipeline", "from_revision", "to_revision")
        return related.defer(*(f"{side}_revision__{name}" for side in ("from", "to") for name in HEAVY))


def waves_in_order() -> "models.Prefetch[str]":
    """What is shown of a rollout's waves."""
    waves = apps.get_model("pipelines", "RolloutWave").objects
    return models.Prefetch("waves", waves.select_related("version").order_by("number"))


def _same_pin(moved: bool) -> models.QuerySet["Pin"]:
    pins = apps.get_model("pipelines", "Pin").objects
    return pins.filter(pk=models.OuterRef("pin_id"), row_version=models.OuterRef("pin_row_version") + int(moved))
