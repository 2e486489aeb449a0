"""What clients were told is done stands in history, audit log and REST, exactly once."""

from collections import Counter, defaultdict
from itertools import pairwise

from accounts.models import AuditEntry
from integrations.models import Template
from pipelines.models import HistoryEntry, Pin, Rollout, RolloutWave
from tests.load.ledger import Line
from tests.load.looking import Before, Check, Versions, line_of
from tests.load.scene import Scene
from tests.load.traffic import Crowd


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


def revisions_without_a_gap(scene: Scene) -> Check:
    check = Check("revisions numbered without a gap")
    for template in Template.objects.filter(organisation=scene.organisation):
        numbers = list(template.revisions.order_by("number").values_list("number", flat=True))
        check.count += len(numbers) - 1
        check.that(numbers == list(range(1, template.latest_number + 1)), f"Those of {template} are {numbers}")
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
    kept_entries = AuditEntry.objects.filter(pk__gt=start.audit_entry).values_list("pk", "action", "request_id")
    entries = sorted((str(pk), action, request_id) for pk, action, request_id in kept_entries)
    told = sorted((entry["id"], entry["action"], entry["request_id"]) for entry in crowd.audit_log)
    told = [entry for entry in told if int(entry[0]) > start.audit_entry]
    check.count += len(entries) - 1
    check.that(entries == told, "The audit log over REST is not what the database has.")
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
