"""Which pipelines could not run a revision, before it is saved or pinned."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.errors import Detail
from integrations.models import Revision, Template
from pipelines.models import Parameter, Pin, Pipeline
from pipelines.preflight import plain_values, problems_of

TRIED = 100
NAMED = 5


@dataclass(frozen=True)
class Readiness:
    """How many enabled pins there are and how many would fail; `named` are a few of these, with the first reason.

    Missing parameters are counted over all pins. What only filling in tells (a text where a number belongs) is known
    of the first hundred, those with missing parameters first: beyond that, `failing` is what is known at least.
    """

    pins: int
    failing: int
    named: tuple[tuple[Pipeline, Detail], ...]

    @property
    def unnamed(self) -> int:
        return self.failing - len(self.named)


def readiness(template: Template, revision: Revision) -> Readiness:
    """Three statements, however many pins; none for a revision that needs no parameter."""
    keys = revision.parameters_used
    if not keys:
        return Readiness(0, 0, ())
    pins = _with_held_count(Pin.objects.filter(template=template).enabled(), keys)
    counts = pins.aggregate(all=Count("pk"), missing=Count("pk", filter=Q(held__lt=len(keys))))
    tried = pins.select_related("pipeline").prefetch_related("pipeline__parameters").order_by("held", "pk")[:TRIED]
    failing = [(pin.pipeline, problems[0]) for pin in tried if (problems := _problems(pin.pipeline, revision))]
    return Readiness(counts["all"], max(counts["missing"], len(failing)), tuple(failing[:NAMED]))


def _with_held_count(pins: QuerySet[Pin], keys: list[str]) -> QuerySet[Any]:
    """Each pin with `held`: how many of these parameters its pipeline has."""
    filled = Parameter.objects.filter(pipeline=OuterRef("pipeline"), key__in=keys).exclude(value="", sealed="")
    counts = filled.order_by().values("pipeline").annotate(count=Count("pk")).values("count")
    return pins.annotate(held=Coalesce(Subquery(counts, output_field=IntegerField()), 0))


def _problems(pipeline: Pipeline, revision: Revision) -> tuple[Detail, ...]:
    return problems_of(revision, plain_values(pipeline.parameters.all()))
