"""What is looked up at the end: what clients were told is done stands in the database and in REST, exactly once."""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.db.models import Sum

from accounts.models import AuditEntry
from pipelines.configs import current_config
from pipelines.models import (
    ConfigurationVersion,
    DeliveryFigure,
    HistoryEntry,
    Parameter,
    Pin,
    Pipeline,
    Rollout,
    RolloutWave,
)
from pipelines.versions import head
from tests.load.ledger import Change, Line
from tests.load.scene import TAG, Scene
from tests.load.traffic import Crowd

SEEN_WITHIN = 3.0  # seconds from an answer until nobody reads what was before: README, “What processors load”


@dataclass
class Check:
    """How many of what was looked at, and each that was not right."""

    what: str
    count: int = 0
    wrong: list[str] = field(default_factory=list)

    def that(self, holds: bool, sentence: str) -> None:
        self.count += 1
        if not holds:
            self.wrong.append(sentence)


@dataclass(frozen=True)
class Before:
    """Where database and audit log stood before anybody came."""

    version: int
    audit_entry: int


def before(scene: Scene) -> Before:
    newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first()
    return Before(head(scene.organisation.pk)[1], newest or 0)


def checks(crowd: Crowd, scene: Scene, start: Before, logs: dict[str, Path]) -> list[Check]:
    versions = Versions(scene, start)
    return [
        answers(crowd),
        written_once(crowd, versions),
        audited_once(crowd, start),
        nothing_else(crowd, versions, start),
        without_a_gap(versions),
        chained(scene),
        read_back(crowd, versions, start),
        waves(scene, versions),
        streams(crowd, scene, versions),
        polls(crowd, versions),
        processors(crowd, scene),
        deliveries(crowd),
        quiet_logs(logs),
    ]


class Versions:
    """Every version since the start, with its lines of history."""

    def __init__(self, scene: Scene, start: Before) -> None:
        rows = ConfigurationVersion.objects.filter(organisation=scene.organisation, number__gt=start.version)
        self.first = start.version + 1
        self.rows = list(rows.order_by("number"))
        self.by_request: dict[str, list[ConfigurationVersion]] = defaultdict(list)
        for row in self.rows:
            self.by_request[row.request_id].append(row)
        self.lines: dict[str, list[HistoryEntry]] = defaultdict(list)
        for entry in HistoryEntry.objects.filter(version__in=rows).order_by("pk"):
            self.lines[entry.version_id].append(entry)

    def of(self, change: Change) -> list[ConfigurationVersion]:
        return [version for request_id in change.request_ids for version in self.by_request.get(request_id, [])]


def answers(crowd: Crowd) -> Check:
    check = Check("answers without a surprise", len(crowd.ledger.answers))
    check.wrong = list(crowd.ledger.surprises)
    return check


def written_once(crowd: Crowd, versions: Versions) -> Check:
    """Each accepted write that changes what runs has one version, with just the lines that its client expects."""
    check = Check("accepted writes in the history exactly once")
    for change in crowd.ledger.changes:
        found = versions.of(change)
        lines = [line_of(entry) for version in found for entry in versions.lines[version.pk]]
        check.that(len(found) == bool(change.lines), f"{change} has {len(found)} versions")
        check.that(Counter(lines) == Counter(change.lines), f"{change} is in the history as {lines}")
    check.count //= 2
    return check


def audited_once(crowd: Crowd, start: Before) -> Check:
    check = Check("accepted writes in the audit log exactly once")
    actions: dict[str, list[str]] = defaultdict(list)
    for request_id, action in AuditEntry.objects.filter(pk__gt=start.audit_entry).values_list("request_id", "action"):
        actions[request_id].append(action)
    for change in crowd.ledger.changes:
        found = [action for request_id in change.request_ids for action in actions.get(request_id, [])]
        check.that(sorted(found) == sorted(change.actions), f"{change} is in the audit log as {found}")
    return check


def nothing_else(crowd: Crowd, versions: Versions, start: Before) -> Check:
    """What was refused or only tried left nothing, and nobody wrote but those who were told so and the worker."""
    check = Check("refusals and dry runs that left nothing")
    audited = set(AuditEntry.objects.filter(pk__gt=start.audit_entry).values_list("request_id", flat=True))
    for request_id in crowd.ledger.nothing:
        check.that(request_id not in versions.by_request and request_id not in audited, f"{request_id} left something")
    told = {request_id for change in crowd.ledger.changes for request_id in change.request_ids}
    of_waves = set(RolloutWave.objects.exclude(version=None).values_list("version_id", flat=True))
    unknown = [row.number for row in versions.rows if row.request_id not in told and row.pk not in of_waves]
    check.that(unknown == [], f"Nobody was told of the versions {unknown}")
    check.that(
        {request_id for request_id in audited if request_id.startswith("load-")} <= told,
        "The audit log knows of writes that nobody was told of.",
    )
    return check


def without_a_gap(versions: Versions) -> Check:
    check = Check("versions without a gap, times never backwards", len(versions.rows))
    numbers = [row.number for row in versions.rows]
    check.that(numbers == list(range(versions.first, versions.first + len(numbers))), f"The versions are {numbers}")
    backwards = [later.number for earlier, later in pairwise(versions.rows) if later.created_at < earlier.created_at]
    check.that(backwards == [], f"Earlier than the one before: {backwards}")
    check.count -= 2
    return check


def chained(scene: Scene) -> Check:
    """Each line begins where the one before it ended, and the last one says what stands: no update was lost."""
    check = Check("lines of history that begin where the last one ended")
    last: dict[tuple[str, str, str], HistoryEntry] = {}
    for entry in HistoryEntry.objects.filter(pipeline__organisation=scene.organisation).order_by("pk"):
        key = entry.pipeline_id, entry.subject, entry.subject_id
        earlier = last.get(key)
        ended = (earlier.after_revision_id, earlier.after_enabled, earlier.after_value) if earlier else (None,) * 3
        began = entry.before_revision_id, entry.before_enabled, entry.before_value
        check.that(began == ended, f"Line {entry.pk} of {key} begins with {began} after {ended}")
        last[key] = entry
    standing = {line_of(entry) for entry in last.values() if entry.subject == "pin" and entry.after_revision_id}
    pins = Pin.objects.filter(organisation=scene.organisation)
    now = {Line(pin.pipeline_id, "pin", pin.pk, revision_id=pin.revision_id, enabled=pin.enabled) for pin in pins}
    check.that(standing == now, f"History and pins differ in {standing ^ now}")
    return check


def read_back(crowd: Crowd, versions: Versions, start: Before) -> Check:
    """REST says the same as the database, over all of its pages."""
    check = Check("lines read back over REST")
    numbers = {row.pk: row.number for row in versions.rows}
    for pipeline, lines in crowd.histories.items():
        kept = HistoryEntry.objects.filter(pipeline=pipeline, version__in=numbers).order_by("-pk")
        here = [(str(entry.pk), numbers[entry.version_id], entry.subject, entry.subject_id) for entry in kept]
        there = [(line["id"], line["version"], line["subject"], line["subject_id"]) for line in lines]
        there = [line for line in there if line[1] >= versions.first]
        check.count += len(here) - 1
        check.that(here == there, f"The history of {pipeline} over REST is not what the database has.")
    kept_entries = AuditEntry.objects.filter(pk__gt=start.audit_entry).order_by("-pk")
    here_too = [(str(pk), action, request_id) for pk, action, request_id in kept_entries.values_list("pk", "action", "request_id")]
    there_too = [(str(entry["id"]), entry["action"], entry["request_id"]) for entry in crowd.audit_log]
    check.count += len(here_too) - 1
    check.that(here_too == there_too[: len(here_too)], "The audit log over REST is not what the database has.")
    return check


def waves(scene: Scene, versions: Versions) -> Check:
    """Each wave is one version, which moved each of its pins once, from where it stood to where it should."""
    check = Check("pins moved by waves, each once")
    for wave in RolloutWave.objects.exclude(version=None).select_related("rollout"):
        entries = versions.lines[str(wave.version_id)]
        pins = {entry.subject_id for entry in entries}
        check.count += len(entries) - 1
        check.that(
            len(entries) == wave.moved == len(pins), f"{wave} moved {wave.moved}, and history has {len(entries)} lines"
        )
        aimed = {entry.after_revision_id for entry in entries}
        aim = wave.rollout.revision_id
        check.that(aim is None or aimed == {aim}, f"{wave} moved to {aimed}")
    running = Rollout.objects.filter(organisation=scene.organisation, state__in=("running", "paused"))
    check.that(not running.exists(), f"Still under way: {list(running)}")
    return check


def streams(crowd: Crowd, scene: Scene, versions: Versions) -> Check:
    """Ever newer versions, each at once or a newer one instead, and the last one in the end."""
    check = Check("versions told by streams, each newer than the last")
    epoch, newest = head(scene.organisation.pk)
    written = sorted((change.answered_at, versions.of(change)[0].number) for change in crowd.ledger.changes if change.lines)
    for listener in crowd.listeners:
        heard = listener.heard
        numbers = [each.version for each in heard]
        check.count += len(heard) - 1
        check.that(all(a <= b for a, b in pairwise(numbers)), f"A stream told {numbers}")
        check.that({each.epoch for each in heard} == {epoch}, "A stream told of another epoch.")
        check.that(numbers[-1:] == [newest], f"A stream ended at {numbers[-1:]}, not at {newest}")
        if not listener.reconnects:
            check.that(all(a < b for a, b in pairwise(numbers)), f"A stream told twice: {numbers}")
            late = list(_late(written, [(each.at, each.version) for each in heard]))
            check.that(late == [], f"A stream had not told {SEEN_WITHIN} s after the answer of {late[:5]}")
    return check


def _late(written: Sequence[tuple[float, int]], heard: Sequence[tuple[float, int]]) -> Iterator[int]:
    """Accepted versions that were neither told in time nor overtaken by a newer one."""
    times = [at for at, _ in heard]
    for at, version in written:
        told = bisect_right(times, at + SEEN_WITHIN)
        if told == 0 or heard[told - 1][1] < version:
            yield version


def polls(crowd: Crowd, versions: Versions) -> Check:
    """Whoever asks some seconds after a write was answered reads what it wrote, or what came after it."""
    check = Check("polls that saw what had been written")
    written: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for change in sorted((one for one in crowd.ledger.changes if one.lines), key=lambda one: one.answered_at):
        pipeline = change.lines[0].pipeline_id
        newest = max(versions.of(change)[0].number, written[pipeline][-1][1] if written[pipeline] else 0)
        written[pipeline].append((change.answered_at, newest))
    for poller in crowd.pollers:
        for seen in poller.seen:
            lines = written[seen.pipeline_id]
            place = bisect_right(lines, seen.began - SEEN_WITHIN, key=lambda line: line[0])
            due = lines[place - 1][1] if place else 0
            check.that(seen.version >= due, f"{seen} is older than version {due}")
    return check


def processors(crowd: Crowd, scene: Scene) -> Check:
    """Each client runs in the end what stands in the database, with its parameters filled in."""
    check = Check("configurations that processors end on")
    rows = Pipeline.objects.filter(organisation=scene.organisation, deleted_at=None)
    truth = {pipeline.pk: _runs(pipeline) for pipeline in rows.prefetch_related("pins", "parameters")}
    for embedded in crowd.embedded:
        running = {config.pipeline_id: config for config in embedded.client.pipelines()}
        check.that(running.keys() == truth.keys(), f"A processor runs {running.keys() ^ truth.keys()} besides or not.")
        check.that(embedded.client.status.trouble == "", embedded.client.status.trouble)
        for pipeline, runs in truth.items():
            config = running.get(pipeline)
            here = {_facts(each.id, each.revision_id, each.config) for each in (config.integrations if config else ())}
            check.that(here == runs, f"{pipeline} runs {here} and should run {runs}")
    follower = crowd.follower
    assert follower is not None
    check.that(follower.versions.keys() == truth.keys(), "Following the changes ends with other pipelines.")
    return check


def _runs(pipeline: Pipeline) -> set[tuple[str, str, str]]:
    """Read from the rows, beside what the product resolves for itself."""
    tags = {parameter.value for parameter in pipeline.parameters.all() if parameter.key == TAG}
    resolved = {one.pin_id: one.config for one in current_config(pipeline).integrations}
    enabled = [pin for pin in pipeline.pins.all() if pin.enabled] if pipeline.enabled else []
    for pin in enabled:
        measured = resolved[pin.pk].get("measurement_id")
        assert measured is None or {measured} == tags, (measured, tags)
    return {_facts(pin.pk, pin.revision_id, resolved[pin.pk]) for pin in enabled}


def _facts(pin: str, revision: str, config: Any) -> tuple[str, str, str]:
    """What can be compared with the masked config: secrets differ from it."""
    return pin, revision, json.dumps({key: config[key] for key in sorted(config) if key in ("measurement_id", "url", "pixel_id")})


def deliveries(crowd: Crowd) -> Check:
    """What processors counted, and told in reports beside everything else, adds up."""
    check = Check("delivery figures that add up")
    counted: Counter[tuple[str, str, str]] = Counter()
    for embedded in crowd.embedded:
        for (pin, revision), (delivered, failed) in embedded.delivered.items():
            counted[pin, revision, "delivered"] += delivered
            counted[pin, revision, "failed"] += failed
    figures = DeliveryFigure.objects.values_list("pin_id", "revision_id").annotate(Sum("delivered"), Sum("failed"))
    kept: Counter[tuple[str, str, str]] = Counter()
    for pin, revision, delivered, failed in figures:
        kept[pin, revision, "delivered"], kept[pin, revision, "failed"] = delivered, failed
    for key in counted.keys() | kept.keys():
        check.that(counted[key] == kept[key], f"{key}: {counted[key]} were counted, and {kept[key]} are kept")
    return check


def quiet_logs(logs: dict[str, Path]) -> Check:
    check = Check("lines of the logs, none an error")
    for name, path in logs.items():
        for line in path.read_text().splitlines():
            check.that(not _is_error(line), f"{name}: {line[:1000]}")
    return check


def _is_error(line: str) -> bool:
    if line.startswith("{"):
        return json.loads(line).get("level") in ("ERROR", "CRITICAL")
    return "Traceback" in line or "[ERROR]" in line or "[CRITICAL]" in line


def line_of(entry: HistoryEntry) -> Line:
    return Line(
        entry.pipeline_id,
        entry.subject,
        entry.subject_id,
        revision_id=entry.after_revision_id,
        enabled=entry.after_enabled,
        value=entry.after_value,
    )


def wrong(found: Iterable[Check]) -> list[str]:
    return [f"{check.what}: {sentence}" for check in found for sentence in check.wrong]
