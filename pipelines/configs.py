"""What a pipeline runs, now or at any version before, as a processor would load it, with its secrets masked."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from accounts.errors import Detail
from integrations.models import Revision
from integrations.placeholders import MASK, find_references
from integrations.pointers import masked
from integrations.resolution import CompiledConfig, compile_config
from integrations.revisions import compiled, sealed_values, types_of, whole_config
from pipelines.models import HistoryEntry, Pin, Pipeline, Subject
from pipelines.preflight import plain_values
from pipelines.versions import head


@dataclass(frozen=True)
class ResolvedPin:
    """One enabled pin as it runs; `config` is None where `reasons` say why it cannot be resolved."""

    pin_id: str
    revision: Revision
    config: Any
    reasons: tuple[Detail, ...]

    @property
    def state(self) -> str:
        return "unresolvable" if self.reasons else "ok"


@dataclass(frozen=True)
class PipelineConfig:
    """All that one pipeline runs at one configuration version."""

    pipeline: Pipeline
    epoch: str
    version: int
    enabled: bool
    integrations: tuple[ResolvedPin, ...]


def current_config(pipeline: Pipeline) -> PipelineConfig:
    """What the pipeline runs now, secrets masked: five statements, however many pins and parameters.

    Each statement sees what was committed before it. If the version moved meanwhile, history tells what ran at it.
    """
    epoch, number = head(pipeline.organisation_id)
    enabled = Pipeline.objects.filter(pk=pipeline.pk, deleted_at=None).values_list("enabled", flat=True).first()
    parameters = list(pipeline.parameters.all())
    pins = list(Pin.objects.filter(pipeline=pipeline).enabled().with_config().in_order_of_assignment())
    if head(pipeline.organisation_id) != (epoch, number):
        return config_at(pipeline, number)
    secret_keys = {parameter.key for parameter in parameters if parameter.secret}
    values = plain_values(parameters)
    resolved = tuple(resolve_masked(pin.pk, pin.revision, values, secret_keys) for pin in pins)
    return PipelineConfig(pipeline, epoch, number, bool(enabled), resolved)


def config_at(pipeline: Pipeline, number: int) -> PipelineConfig:
    """What the pipeline ran at a version, from its history: three statements, however long that is.

    A parameter that was made secret since is masked here too.
    """
    epoch, _ = head(pipeline.organisation_id)
    entries = list(_standing(pipeline, number))
    values, secret_keys = _parameters(entries, HistoryEntry.objects.filter(pipeline=pipeline).last_secret_lines())
    running = [entry for entry in entries if entry.subject == Subject.PIN and entry.after_enabled]
    resolved = tuple(
        resolve_masked(entry.subject_id, entry.after_revision, values, secret_keys)
        for entry in running
        if entry.after_revision is not None
    )
    switches = [entry.after_enabled for entry in entries if entry.subject == Subject.PIPELINE]
    return PipelineConfig(pipeline, epoch, number, bool(switches and switches[0]), resolved)


def resolve_masked(
    pin_id: str, revision: Revision, values: Mapping[str, str], secret_keys: Collection[str]
) -> ResolvedPin:
    """One revision with these values filled in; what is secret, by the vendor or by the pipeline, is the mask."""
    config = _compiled(revision, {key for key in secret_keys if values.get(key) == MASK})
    reasons = config.problems(values)
    if reasons:
        return ResolvedPin(pin_id, revision, None, reasons)
    shown = masked(config.resolve(values, conceal=secret_keys), sealed_values(revision), MASK)
    return ResolvedPin(pin_id, revision, shown, ())


def concealed_pointers(revision: Revision, secret_keys: Collection[str]) -> frozenset[str]:
    """The places that may not be shown: those the vendor marks, and those that a secret parameter fills."""
    pointers = set(sealed_values(revision))
    if secret_keys:
        pointers |= _places_of(whole_config(revision), secret_keys)
    return frozenset(pointers)


def _compiled(revision: Revision, unknown_keys: Collection[str]) -> CompiledConfig:
    """A past secret is known only by having been there, so what it filled cannot be cast; it is masked anyway."""
    if not unknown_keys:
        return compiled(revision)
    config = whole_config(revision)
    hidden = _places_of(config, unknown_keys)
    types = {place: kind for place, kind in types_of(revision.template.vendor).items() if place not in hidden}
    return compile_config(config, types)


def _places_of(tree: Any, keys: Collection[str], pointer: str = "") -> set[str]:
    """Where in a config any of these parameters is used."""
    if isinstance(tree, dict):
        children = [(step.replace("~", "~0").replace("/", "~1"), child) for step, child in tree.items()]
    elif isinstance(tree, list):
        children = [(str(index), child) for index, child in enumerate(tree)]
    else:
        used = {reference.key for reference in find_references(tree)} if isinstance(tree, str) else set()
        return set() if used.isdisjoint(keys) else {pointer}
    return set().union(*(_places_of(child, keys, f"{pointer}/{step}") for step, child in children))


def _standing(pipeline: Pipeline, number: int) -> Iterable[HistoryEntry]:
    """For each pin, each parameter and the pipeline itself the line of history that was in force."""
    entries = HistoryEntry.objects.filter(pipeline=pipeline).up_to(number).last_of_each()
    related = "after_revision__template", "after_revision__standing", "after_revision__sealed"
    return entries.select_related(*related)


def _parameters(
    entries: Iterable[HistoryEntry], last_secret_lines: Mapping[str, int]
) -> tuple[dict[str, str], set[str]]:
    """The values that were in force, and the keys of those that may not be shown."""
    lines = [entry for entry in entries if entry.subject == Subject.PARAMETER and entry.after_value is not None]
    values = {entry.subject_id: entry.after_value or "" for entry in lines}
    return values, {entry.subject_id for entry in lines if entry.pk <= last_secret_lines.get(entry.subject_id, 0)}
