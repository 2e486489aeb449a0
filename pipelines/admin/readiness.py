"""Which pipelines could not run a revision, before it is saved or pinned."""

from dataclasses import dataclass

from django.db.models import Case, Count, QuerySet, Value, When

from accounts.errors import Detail
from integrations.models import Revision, Template
from pipelines.models import Parameter, Pin, Pipeline
from pipelines.preflight import plain_values, problems_of

TRIED = 100
NAMED = 5


@dataclass(frozen=True)
class Readiness:
    """How many enabled pins could not move to a revision; `named` are a few of them, with the first reason.

    Missing parameters are counted over all pins. What only filling in tells (a text where a number belongs) is known
    of the first hundred, those with missing parameters first: beyond that, `failing` is what is known at least.
    """

    failing: int
    named: tuple[tuple[Pipeline, Detail], ...]

    @property
    def unnamed(self) -> int:
        return self.failing - len(self.named)


def readiness(template: Template, revision: Revision) -> Readiness:
    """Three statements, however many pins; none for a revision that needs no parameter."""
    keys = revision.parameters_used
    if not keys:
        return Readiness(0, ())
    pins = Pin.objects.filter(template=template).enabled()
    lacking = pins.values_list("pipeline").difference(_with_all(pins, keys))
    found = [pipeline_id for (pipeline_id,) in lacking]
    known = Case(When(pipeline__in=found[:TRIED], then=Value(0)), default=Value(1)) if found else Value(1)
    tried = pins.select_related("pipeline").prefetch_related("pipeline__parameters").order_by(known, "pk")[:TRIED]
    failing = [(pin.pipeline, problems[0]) for pin in tried if (problems := _problems(pin.pipeline, revision))]
    return Readiness(max(len(found), len(failing)), tuple(failing[:NAMED]))


def _with_all(pins: QuerySet[Pin], keys: list[str]) -> QuerySet[Parameter, tuple[str]]:
    """The pipelines of these pins that have each of the parameters: two sets to subtract, no question per row."""
    asked = Parameter.objects.filter(pipeline__in=pins.values("pipeline"), key__in=keys)
    filled = asked.exclude(value="", sealed="").order_by().values("pipeline")
    return filled.annotate(held=Count("pk")).filter(held=len(keys)).values_list("pipeline")


def _problems(pipeline: Pipeline, revision: Revision) -> tuple[Detail, ...]:
    return problems_of(revision, plain_values(pipeline.parameters.all()))
