"""What is pinned, served and running, read for any number of pins in a constant number of statements."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.errors import Detail
from integrations.models import Revision
from integrations.resolution import CompiledConfig
from integrations.revisions import compiled
from integrations.secrets import Unreadable
from pipelines.feed.documents import NO_KEY, NO_KEY_FOR
from pipelines.feed.hashes import config_hash
from pipelines.feed.states import Applied, Served, Verdict, Word, conclude, judge
from pipelines.models import Claim, Parameter, Pin, Pipeline, Processor, RunningPin
from pipelines.preflight import plain_value

Sealed = TypeVar("Sealed")
Opened = TypeVar("Opened")


@dataclass(frozen=True)
class Instance:
    """One live instance and what it last said of one pin; no word is none of this pin."""

    processor: Processor
    running: RunningPin | None
    verdict: Verdict


@dataclass(frozen=True)
class PinStatus:
    """One pin: what is pinned, what the feed serves of it (None: nothing), and each instance that counts."""

    pin: Pin
    served: Served | None
    applied: Applied
    instances: Sequence[Instance]


def applied_states(pins: Sequence[Pin]) -> dict[str, Applied]:
    """The state of each of these pins by its id: five statements, or two where no live instance speaks of anything.

    What instances say is counted by the database, so it does not matter how many there are.
    """
    pipelines = {pin.pipeline_id for pin in pins}
    now = timezone.now()
    words = _counted_words(pins, now)
    live = _live_counts(pipelines, now)  # second: whoever begins to speak in between is pending, not overlooked
    served = served_of([pin for pin in pins if live[pin.pipeline_id]])
    return {pin.pk: _applied(pin, served.get(pin.pk), words.get(pin.pk, []), live[pin.pipeline_id]) for pin in pins}


def pin_statuses(pins: Sequence[Pin]) -> list[PinStatus]:
    """Each of these pins with each live instance that speaks of its pipeline: four statements.

    Of the instances those come first that need someone. Meant for the pins of one pipeline: it reads every word.
    """
    served = served_of(pins)
    rows = _speaking([pin.pipeline_id for pin in pins], timezone.now())
    said = _Said.of(rows.select_related("processor", "revision").defer(*_HEAVY))
    return [_status(pin, served.get(pin.pk), said) for pin in pins]


def served_of(pins: Iterable[Pin]) -> dict[str, Served]:
    """What the feed serves of those pins that it serves at all, by pin: three statements.

    The config is filled in with plain values, as the feed fills it in, and leaves here only as its hash.
    """
    enabled = [pin for pin in pins if pin.enabled]
    pipelines = Pipeline.objects.filter(pk__in={pin.pipeline_id for pin in enabled}, enabled=True, deleted_at=None)
    serving = set(pipelines.values_list("pk", flat=True))
    revisions = Revision.objects.with_config().filter(pk__in={pin.revision_id for pin in enabled})
    configs = {revision.pk: _opened(compiled, revision) for revision in revisions}
    keys = {key for config in configs.values() if config for key in config.keys}
    values = _values(serving, keys)
    return {
        pin.pk: _served(pin, configs[pin.revision_id], values[pin.pipeline_id])
        for pin in enabled
        if pin.pipeline_id in serving
    }


def running_counts(pins: Sequence[Pin]) -> dict[str, int]:
    """By pin, at how many live instances the revision that is pinned runs there: one statement."""
    rows = _speaking([pin.pipeline_id for pin in pins], timezone.now())
    pinned = Pin.objects.filter(pk=OuterRef("pin_id"), revision=OuterRef("revision"))
    running = rows.filter(Exists(pinned), pin_id__in=[pin.pk for pin in pins]).exclude(claim=Claim.REJECTED)
    return dict(running.values_list("pin_id").annotate(count=Count("pk")))


_HEAVY = ("revision__config", "revision__parameters_used", "revision__change_summary")


def _speaking(pipelines: Iterable[str], now: datetime) -> QuerySet[RunningPin]:
    """What live instances say about these pipelines."""
    live = Processor.objects.live(now)
    return RunningPin.objects.filter(pipeline__in=set(pipelines), processor__in=live).order_by()


def _live_counts(pipelines: Iterable[str], now: datetime) -> Mapping[str, int]:
    rows = _speaking(pipelines, now).values("pipeline_id").annotate(count=Count("processor", distinct=True))
    return defaultdict(int, rows.values_list("pipeline_id", "count"))


def _counted_words(pins: Iterable[Pin], now: datetime) -> Mapping[str, list[tuple[Word, int]]]:
    """For each pin that is spoken of: everything different that is said of it, and by how many."""
    rows = _speaking([pin.pipeline_id for pin in pins], now).filter(pin_id__in=[pin.pk for pin in pins])
    names = ("claim", "revision_id", "config_hash", "refused_hash")
    words: dict[str, list[tuple[Word, int]]] = {}
    for pin_id, *word, count in rows.values_list("pin_id", *names).annotate(count=Count("pk")):
        words.setdefault(pin_id, []).append((Word(*word), count))
    return words


def _applied(pin: Pin, served: Served | None, words: Sequence[tuple[Word, int]], live: int) -> Applied:
    silent = max(0, live - sum(count for _, count in words))  # one may have fallen silent since
    verdicts = [(judge(pin.pk, served, word), count) for word, count in words]
    return conclude([*verdicts, (judge(pin.pk, served, None), silent)], live=live)


@dataclass(frozen=True)
class _Said:
    """What live instances say of some pins: the instances by pipeline, and their words by pin."""

    processors: Mapping[str, Mapping[int, Processor]]
    words: Mapping[tuple[str, int], RunningPin]

    @classmethod
    def of(cls, rows: Iterable[RunningPin]) -> "_Said":
        processors: dict[str, dict[int, Processor]] = defaultdict(dict)
        words = {}
        for row in rows:
            processors[row.pipeline_id][row.processor_id] = row.processor
            words[row.pin_id, row.processor_id] = row
        return cls(processors, words)


def _status(pin: Pin, served: Served | None, said: _Said) -> PinStatus:
    instances = sorted(_instances(pin, served, said), key=_urgency)
    state = conclude([(instance.verdict, 1) for instance in instances], live=len(instances))
    return PinStatus(pin, served, state, instances)


def _instances(pin: Pin, served: Served | None, said: _Said) -> Iterator[Instance]:
    for processor in said.processors.get(pin.pipeline_id, {}).values():
        running = said.words.get((pin.pk, processor.pk))
        yield Instance(processor, running, judge(pin.pk, served, _word(running) if running else None))


def _word(running: RunningPin) -> Word:
    return Word(running.claim, running.revision_id, running.config_hash, running.refused_hash)


def _urgency(instance: Instance) -> tuple[int, str, int]:
    order = (Verdict.DRIFT, Verdict.REJECTED, Verdict.PENDING, Verdict.IN_SYNC)
    return order.index(instance.verdict), instance.processor.instance, instance.processor.pk


def _values(pipelines: Iterable[str], keys: Iterable[str]) -> Mapping[str, dict[str, str | None]]:
    """By pipeline, the values of these parameters, secrets opened; None for one that cannot be."""
    held: dict[str, dict[str, str | None]] = defaultdict(dict)
    for parameter in Parameter.objects.filter(pipeline__in=set(pipelines), key__in=set(keys)):
        held[parameter.pipeline_id][parameter.key] = _opened(plain_value, parameter)
    return held


def _opened(read: Callable[[Sealed], Opened], sealed: Sealed) -> Opened | None:
    """None where the encryption key is missing: that is told of the one integration, and the page goes on."""
    try:
        return read(sealed)
    except Unreadable:
        return None


def _served(pin: Pin, config: CompiledConfig | None, held: Mapping[str, str | None]) -> Served:
    closed = (
        [NO_KEY] if config is None else [NO_KEY_FOR.format(key) for key in config.keys if held.get(key, "") is None]
    )
    if config is None or closed:
        return Served(pin.revision_id, None, tuple(Detail("config", "unreadable", message) for message in closed))
    values = {key: value for key, value in held.items() if value is not None}
    if reasons := config.problems(values):
        return Served(pin.revision_id, None, reasons)
    made = config_hash(pin_id=pin.pk, revision_id=pin.revision_id, config=config.resolve(values))
    return Served(pin.revision_id, made)
