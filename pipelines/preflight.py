"""Preflight: would this run? The same resolver answers that fills in what processors load."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db.models import QuerySet

from accounts.errors import Detail, PreflightFailed
from accounts.statements import CompiledQuery
from integrations.models import Revision
from integrations.revisions import compiled
from integrations.secrets import unseal
from pipelines.models import Parameter, Pin, Pipeline


def require_runnable(revision: Revision, pipeline: Pipeline, problems: Collection[Detail]) -> None:
    """Raises PreflightFailed with every reason why this revision cannot run with the pipeline's parameters."""
    if problems:
        raise PreflightFailed(_sentence(problems, pipeline, revision), tuple(problems))


def problems_on(pipeline: Pipeline, revision: Revision) -> tuple[Detail, ...]:
    """Every reason why this revision would not resolve with the parameters that the pipeline has now."""
    keys = revision.parameters_used
    return problems_of(revision, plain_values(_held(pipeline, keys)) if keys else {})


def problems_of(revision: Revision, values: Mapping[str, str]) -> tuple[Detail, ...]:
    """Every reason why this revision would not resolve, none if it would."""
    return compiled(revision).problems(values)


def problems_of_pins(
    pins: Iterable[Pin], values: Mapping[str, str], keys: Collection[str]
) -> dict[Pin, tuple[Detail, ...]]:
    """What would be wrong with each of those pins that use one of the keys."""
    using = (pin for pin in pins if not set(keys).isdisjoint(pin.revision.parameters_used))
    return {pin: problems_of(pin.revision, values) for pin in using}


def plain_values(parameters: Iterable[Parameter]) -> dict[str, str]:
    """The values as they run, secrets opened; for resolving, never for showing."""
    return {parameter.key: plain_value(parameter) for parameter in parameters}


def plain_value(parameter: Parameter) -> str:
    if not parameter.secret:
        return parameter.value
    return unseal(parameter.sealed, context=parameter_context(parameter.pipeline_id, parameter.key))


def parameter_context(pipeline_id: str, key: str) -> str:
    """What a sealed parameter is bound to."""
    return f"parameter:{pipeline_id}:{key}"


def _held(pipeline: Pipeline, keys: Sequence[str]) -> list[Parameter]:
    """Those of these parameters that the pipeline has."""
    return _parameters(len(keys)).all(pipeline=pipeline.pk, **{f"key{number}": key for number, key in enumerate(keys)})


@lru_cache(maxsize=100)
def _parameters(count: int) -> CompiledQuery[Parameter]:
    def named(value: Callable[[str], Any]) -> QuerySet[Parameter]:
        return Parameter.objects.filter(
            pipeline=value("pipeline"), key__in=[value(f"key{number}") for number in range(count)]
        )

    return CompiledQuery(named)


def _sentence(details: Collection[Detail], pipeline: Pipeline, revision: Revision) -> str:
    keys = sorted({str(detail.extra["key"]) for detail in details if "key" in detail.extra})
    named = f" ({', '.join(keys)})" if keys else ""
    return (
        f"Revision {revision.number} of “{revision.template.name}” cannot run on “{pipeline.name}” yet: "
        f"set the parameters named below{named}, or assign it with enabled: false."
    )
