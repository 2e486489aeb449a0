"""Preflight of many pins at once: the database tells who surely has what a revision needs, the resolver the rest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Length, StrIndex

from accounts.errors import Detail
from integrations.models import Revision
from integrations.placeholders import FieldType
from integrations.resolution import CompiledConfig, Need
from integrations.revisions import compiled
from pipelines.models import Parameter
from pipelines.preflight import plain_value
from pipelines.querysets import TargetQuerySet
from pipelines.rollouts.sql import sql

CHUNK = 1000

# Text that surely can be cast: less than what `integrations.resolution.cast` takes, and the same on every database.
SURELY: Mapping[FieldType, str] = {
    "boolean": r"^(true|false)$",
    "integer": r"^(0|-?[1-9][0-9]{0,14})$",
    "number": r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?$",
}
SEALED_BLANK = 40  # characters of a sealed value after its key's id, if it has two bytes or fewer

_UNREADY = """
    SELECT target.position, target.pipeline_id, target.enabled
    FROM ({targets}) target LEFT JOIN ({ready}) ready ON ready.pipeline_id = target.pipeline_id
    WHERE ready.pipeline_id IS NULL
"""


class Subject(NamedTuple):
    """A pin that may not be ready: the place to tell the answer to, and the pipeline whose parameters count."""

    position: int
    pipeline_id: str
    enabled: bool = True


class Unready(NamedTuple):
    """A pin that cannot run, and every reason."""

    subject: Subject
    problems: tuple[Detail, ...]


def ready_pipelines(config: CompiledConfig, pipelines: QuerySet[Any, Any]) -> QuerySet[Parameter, Any]:
    """Of these pipelines (a query of ids) those that surely resolve the config, in one subquery; read only with `needs`.

    It may miss one: a short secret, a number in an unusual form, values that together come near the size limit.
    """
    needs = config.needs
    usable = Q()
    for need in needs:
        usable |= _surely_usable(need)
    most = Case(*(When(key=need.key, then=Value(need.most_bytes)) for need in needs), output_field=IntegerField())
    sealed = Parameter.objects.alias(sealed_length=Length("sealed") - StrIndex("sealed", Value(":")))
    found = sealed.filter(usable, pipeline__in=pipelines).order_by().values("pipeline_id")
    found = found.annotate(filled=Count("pk"), size=Sum(most * (Length("value") + Length("sealed"))))
    return found.filter(filled=len(needs), size__lte=config.spare_bytes).values("pipeline_id")


def problems_of_subjects(revision: Revision, subjects: Iterable[Subject]) -> Iterator[list[Unready]]:
    """Those of these that would not resolve, with the resolver's own reasons; two statements for each thousand asked."""
    config = compiled(revision)
    for chunk in _chunks(subjects):
        values = _values([subject.pipeline_id for subject in chunk], config.keys)
        asked = (Unready(subject, config.problems(values.get(subject.pipeline_id, {}))) for subject in chunk)
        yield [answer for answer in asked if answer.problems]


def unready_targets(revision: Revision, targets: TargetQuerySet) -> Iterator[list[Unready]]:
    """Those of these targets that cannot run the revision, and why, a thousand at most at a time."""
    return problems_of_subjects(revision, _suspects(revision, targets))


def _suspects(revision: Revision, targets: TargetQuerySet) -> Iterator[Subject]:
    """Those that may lack something, read as they are needed."""
    config = compiled(revision)
    if not config.needs:
        return
    ready = ready_pipelines(config, targets.values("pipeline_id"))
    statement = sql(_UNREADY, targets=targets.values("position", "pipeline_id", "enabled"), ready=ready)
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement.text, statement.params)
        while chunk := cursor.fetchmany(CHUNK):
            yield from (Subject(position, pipeline_id, bool(enabled)) for position, pipeline_id, enabled in chunk)


def _surely_usable(need: Need) -> Q:
    plain = Q(secret=False) & ~Q(value="")
    for wanted in need.types:
        plain &= Q(value__regex=SURELY[wanted])
    if need.types:  # what is sealed has to be opened to see whether it can be cast
        return Q(key=need.key) & plain
    return Q(key=need.key) & (plain | Q(secret=True, sealed_length__gt=SEALED_BLANK))


def _values(pipelines: Sequence[str], keys: Sequence[str]) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = {}
    for parameter in Parameter.objects.filter(pipeline__in=pipelines, key__in=keys):
        values.setdefault(parameter.pipeline_id, {})[parameter.key] = plain_value(parameter)
    return values


def _chunks(subjects: Iterable[Subject]) -> Iterator[list[Subject]]:
    chunk: list[Subject] = []
    for subject in subjects:
        chunk.append(subject)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
