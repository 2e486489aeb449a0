"""Which pipelines could not run a revision, before it is saved or pinned."""

from dataclasses import dataclass
from functools import reduce
from operator import and_

from django.db.models import Q, QuerySet

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
    """As many statements for many pins as for few, each over whole sets; none where no parameter is needed."""
    keys = revision.parameters_used
    if not keys:
        return Readiness(0, ())
    pins = Pin.objects.filter(template=template).enabled()
    whole = [Q(pipeline__in=_with(key)) for key in keys]
    lacking = pins.filter(~reduce(and_, whole))
    count = lacking.count()
    tried = [*_first(lacking, TRIED), *_first(pins.filter(*whole), max(0, TRIED - count))]
    failing = [(pin.pipeline, problems[0]) for pin in tried if (problems := _problems(pin.pipeline, revision))]
    return Readiness(max(count, len(failing)), tuple(failing[:NAMED]))


def _with(key: str) -> QuerySet[Parameter, str]:
    """The pipelines that have a value for this key."""
    filled = Parameter.objects.filter(key=key).exclude(value="", sealed="").order_by()
    return filled.values_list("pipeline", flat=True)


def _first(pins: QuerySet[Pin], count: int) -> QuerySet[Pin]:
    return pins.select_related("pipeline").prefetch_related("pipeline__parameters").order_by("pk")[:count]


def _problems(pipeline: Pipeline, revision: Revision) -> tuple[Detail, ...]:
    return problems_of(revision, plain_values(pipeline.parameters.all()))
