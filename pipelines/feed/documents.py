"""What a processor loads of one pipeline, as the very line of JSON that it is sent."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quoted
from threading import Lock
from typing import NamedTuple

from integrations.models import Revision
from integrations.resolution import CompiledConfig
from integrations.revisions import compiled
from integrations.secrets import Unreadable
from pipelines.feed.hashes import canonical, sealed
from pipelines.feed.reading import Head, Row, among
from pipelines.models import Parameter, Pin
from pipelines.preflight import plain_value

logger = logging.getLogger(__name__)

KEPT_CHARACTERS = 32 * 1024 * 1024  # of compiled configs, as JSON
OVERHEAD = 2000  # that a compiled config takes beside itself, however short it is
NO_KEY = "A secret of this revision cannot be opened here: its encryption key is missing. Tell whoever runs Pinion."
NO_KEY_FOR = "The secret parameter {} cannot be opened here: its encryption key is missing. Tell whoever runs Pinion."


class Document(NamedTuple):
    """`readable` is False where a key of ours is missing, which an operator mends without a new version."""

    row: Row
    line: bytes
    readable: bool = True

    def __repr__(self) -> str:
        """Without the line, which holds secrets."""
        return f"Document({self.row!r}, readable={self.readable})"


@dataclass(frozen=True, slots=True)
class _Runnable:
    """A revision as any number of pipelines run it: `says` is what is the same for all, `fixed` the whole config."""

    revision_id: str
    says: str
    config: CompiledConfig | None  # None where its secrets cannot be opened
    fixed: tuple[str, str] | None = field(default=None, repr=False)  # the config as text, and its digest


@dataclass(slots=True)
class _Values:
    """The parameters of one pipeline, and the keys of those that cannot be opened."""

    plain: dict[str, str] = field(default_factory=dict, repr=False)
    unreadable: set[str] = field(default_factory=set)


EMPTY = _Values()


class Documents:
    """Makes documents, and keeps what it compiled: a revision never changes. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[_Runnable, int]] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    def of(self, standing: Mapping[str, Head], rows: Sequence[Row]) -> Iterator[Document]:
        """One for each row, in three statements however many there are, or two where all revisions are known.

        `standing` says for each organisation where it stands.
        """
        running = [row.id for row in rows if row.enabled and not row.removed]
        pins = _pins_of(running) if running else {}
        runnables = self._runnables({revision_id for each in pins.values() for _, revision_id in each})
        keys = {key for each in runnables.values() if each.config for key in each.config.keys}
        values = _values_of(list(pins), keys) if keys else {}
        for row in rows:
            epoch = standing[row.organisation_id].epoch
            yield _document(epoch, row, pins.get(row.id, ()), runnables, values.get(row.id, EMPTY))

    def _runnables(self, revisions: Collection[str]) -> dict[str, _Runnable]:
        with self._lock:
            found = {key: self._kept[key][0] for key in revisions if key in self._kept}
            for key in found:
                self._kept.move_to_end(key)
        missing = revisions - found.keys()
        for revision in Revision.objects.with_config().filter(pk__in=missing) if missing else ():
            found[revision.pk] = made = _runnable(revision)
            if made.config:
                self._keep(made, len(str(revision.config)) + OVERHEAD)
        return found

    def _keep(self, runnable: _Runnable, size: int) -> None:
        with self._lock:
            if runnable.revision_id in self._kept:
                return
            self._kept[runnable.revision_id] = runnable, size
            self._characters += size
            while self._characters > KEPT_CHARACTERS:
                _, (_, gone) = self._kept.popitem(last=False)
                self._characters -= gone


def tombstone(epoch: str, row: Row) -> bytes:
    """What is said of a pipeline that has been removed."""
    return f'{{{_identity(epoch, row)},"removed":true}}'.encode("ascii")


def _pins_of(pipelines: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """For each pipeline its enabled pins, oldest first: the id and the revision."""
    pins: dict[str, list[tuple[str, str]]] = {}
    found = Pin.objects.filter(pipeline__in=among(pipelines)).enabled().order_by("pipeline_id", "created_at", "pk")
    for pipeline_id, pin_id, revision_id in found.values_list("pipeline_id", "pk", "revision_id"):
        pins.setdefault(pipeline_id, []).append((pin_id, revision_id))
    return pins


def _values_of(pipelines: Collection[str], keys: Collection[str]) -> dict[str, _Values]:
    values: dict[str, _Values] = {}
    fields = ("pipeline_id", "key", "value", "secret", "sealed")
    found = Parameter.objects.filter(pipeline__in=among(pipelines), key__in=among(keys))
    for pipeline_id, key, value, secret, box in found.values_list(*fields):
        held = values.get(pipeline_id)
        if held is None:
            held = values[pipeline_id] = _Values()
        if not secret:
            held.plain[key] = value
            continue
        try:
            held.plain[key] = plain_value(Parameter(pipeline_id=pipeline_id, key=key, secret=True, sealed=box))
        except Unreadable:
            logger.exception("The feed cannot open a secret parameter of %s", pipeline_id)
            held.unreadable.add(key)
    return values


def _runnable(revision: Revision) -> _Runnable:
    says = (
        f'"integration_id":{quoted(revision.template_id)},"vendor":{quoted(revision.template.vendor)},'
        f'"revision_id":{quoted(revision.pk)},"revision_number":{revision.number},'
        f'"delivery_mode":{quoted(revision.delivery_mode)}'
    )
    try:
        config = compiled(revision)
    except Unreadable:
        logger.exception("The feed cannot open the secrets of %s", revision.pk)
        return _Runnable(revision.pk, says, None)
    fixed = None if config.keys or config.problems({}) else _text_and_digest(config, {})
    return _Runnable(revision.pk, says, config, fixed)


def _document(
    epoch: str,
    row: Row,
    pins: Iterable[tuple[str, str]],
    runnables: Mapping[str, _Runnable],
    values: _Values,
) -> Document:
    if row.removed:
        return Document(row, tombstone(epoch, row))
    lines, readable = [], True
    for pin_id, revision_id in pins:
        line, opened = _integration(pin_id, runnables[revision_id], values)
        lines.append(line)
        readable = readable and opened
    enabled = "true" if row.enabled else "false"
    text = f'{{{_identity(epoch, row)},"enabled":{enabled},"integrations":[{",".join(lines)}]}}'
    return Document(row, text.encode("ascii"), readable)


def _identity(epoch: str, row: Row) -> str:
    return (
        f'"epoch":{quoted(epoch)},"version":{row.version},'
        f'"pipeline_id":{quoted(row.id)},"pipeline_key":{quoted(row.key)}'
    )


def _integration(pin_id: str, runnable: _Runnable, values: _Values) -> tuple[str, bool]:
    """As text, and whether all its secrets could be opened."""
    config = runnable.config
    if config is None:
        return _unresolvable(pin_id, runnable, NO_KEY), False
    if values.unreadable and not values.unreadable.isdisjoint(config.keys):
        closed = min(values.unreadable.intersection(config.keys))
        return _unresolvable(pin_id, runnable, NO_KEY_FOR.format(closed)), False
    if runnable.fixed is None and (problems := config.problems(values.plain)):
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        return _unresolvable(pin_id, runnable, problems[0].message + more), True
    text, digest = runnable.fixed or _text_and_digest(config, values.plain)
    seal = sealed(pin_id=pin_id, revision_id=runnable.revision_id, digest=digest)
    return f'{{"id":{quoted(pin_id)},{runnable.says},"state":"ok","config":{text},"config_hash":"{seal}"}}', True


def _unresolvable(pin_id: str, runnable: _Runnable, reason: str) -> str:
    return (
        f'{{"id":{quoted(pin_id)},{runnable.says},"state":"unresolvable","reason":{quoted(reason)},'
        '"config":null,"config_hash":null}'
    )


def _text_and_digest(config: CompiledConfig, values: Mapping[str, str]) -> tuple[str, str]:
    """The canonical form is what is sent, so that whoever checks the digest need not write it anew."""
    text = canonical(config.resolve(values))
    return text.decode("ascii"), hashlib.sha256(text).hexdigest()
