"""Reports: what an instance of a processor says it runs and has delivered since it last said so.

A report changes nothing that runs, so it leaves neither audit nor a configuration version. It takes the same few
statements however much it holds, and what it says of things that are not there is passed over, never refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Q
from django.utils import timezone

from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid
from integrations.models import Revision
from pipelines.feed.figures import add_figures, forget_old_figures
from pipelines.feed.rows import upsert
from pipelines.models import Pin, Processor, RunningPin, TokenPipeline

LIMIT = 1000  # integrations, and as many that stopped, and as many figures in one report
MAX_INSTANCES = 1000  # of one token, those aside whose time is over
SWEEP = 2  # instances forgotten with each new one, so that they never pile up and nobody waits for many

RUNNING_COLUMNS = {
    "pipeline_id": "text",
    "pin_id": "text",
    "claim": "text",
    "revision_id": "text",
    "config_hash": "text",
    "refused_hash": "text",
    "reason": "text",
}


@dataclass(frozen=True)
class Said:
    """What an instance says of one integration; `refused_hash` is the config it did not take, where it kept another."""

    pin_id: str
    revision_id: str
    config_hash: str
    claim: str
    refused_hash: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Delivered:
    """Events of one integration at one revision since the last report."""

    pin_id: str
    revision_id: str
    delivered: int
    failed: int


@dataclass(frozen=True)
class Report:
    """One report of one instance: what is new about what it runs, and its figures.

    `run` is new at each start of the instance, and `sequence` counts its reports from 1 on; a report that is sent
    again keeps its number.
    """

    instance: str
    run: str
    sequence: int
    started_at: datetime | None = None
    integrations: Sequence[Said] = ()
    stopped: Sequence[str] = ()
    deliveries: Sequence[Delivered] = ()


class ReportStatus(StrEnum):
    ACCEPTED = "accepted"
    REPEATED = "repeated"


@dataclass(frozen=True)
class Receipt:
    """How a report was taken.

    `resend` asks for everything that the instance runs, since what it said before is not known here (any more).
    `ignored` are the pins it named that this token cannot see, or that have no such revision to count for.
    """

    status: ReportStatus
    resend: bool = False
    ignored: tuple[str, ...] = ()


class _Place(Enum):
    """Where a report stands in what its instance has said so far."""

    REPEATED = "repeated"
    NEXT = "next"
    FRESH = "fresh"  # the instance started anew, and says so from the beginning
    BROKEN = "broken"  # something before it never arrived


@transaction.atomic
def record_report(*, actor: Actor, report: Report) -> Receipt:
    """Keep what the instance says, once however often it is sent.

    Raises Invalid for an integration that is named twice, and Conflict (`TOO_MANY_INSTANCES`, `SUPERSEDED`).
    """
    _refuse_contradictions(report)
    now = timezone.now()
    processor = _lock_processor(actor, report, now)
    place = _place_of(report, processor, now)
    _see(processor, report, place, now)
    if place is _Place.REPEATED:
        return Receipt(ReportStatus.REPEATED, resend=processor.resend)
    known = _Known.named_in(actor, report)
    _forget_what_stopped(processor, report, everything=place is not _Place.NEXT)
    _keep_running(processor, report.integrations, known, now)
    add_figures(organisation_id=actor.organisation_id, counts=_counts(report.deliveries, known), moment=now)
    forget_old_figures(now=now)
    return Receipt(ReportStatus.ACCEPTED, resend=processor.resend, ignored=_ignored(report, known))


@dataclass(frozen=True)
class _Known:
    """The pins and revisions that a report names and its token may speak of."""

    pins: Mapping[str, tuple[str, str]]  # by pin: its pipeline and its template
    templates: Mapping[str, str]  # by revision

    @classmethod
    def named_in(cls, actor: Actor, report: Report) -> "_Known":
        """Two statements; a token that is limited to pipelines knows the pins of those alone."""
        items: list[Said | Delivered] = [*report.integrations, *report.deliveries]
        limits = TokenPipeline.objects.filter(token_id=actor.id)
        seen = Pin.objects.in_organisation(actor.organisation_id).filter(
            ~Exists(limits) | Q(pipeline__in=limits.values("pipeline"))
        )
        pins = seen.filter(pk__in={item.pin_id for item in items}).values_list("pk", "pipeline_id", "template_id")
        revisions = Revision.objects.filter(pk__in={item.revision_id for item in items})
        return cls(
            {pin_id: (pipeline_id, template_id) for pin_id, pipeline_id, template_id in pins},
            dict(revisions.values_list("pk", "template_id")),
        )

    def has(self, item: Said | Delivered) -> bool:
        """Whether there is such a pin, and the revision is one of its template's."""
        return item.pin_id in self.pins and self.templates.get(item.revision_id) == self.pins[item.pin_id][1]


def _refuse_contradictions(report: Report) -> None:
    counts = Counter([*(said.pin_id for said in report.integrations), *report.stopped])
    twice = [pin_id for pin_id, count in counts.items() if count > 1]
    if twice:
        message = f"{twice[0]!a} is named more than once. Say one thing of each integration in a report."
        raise Invalid(message, [Detail("integrations", "named_twice", message, {"id": pin_id}) for pin_id in twice])


def _lock_processor(actor: Actor, report: Report, now: datetime) -> Processor:
    """The instance's row, made where there is none: reports of one instance are taken one after another."""
    own = Processor.objects.filter(token_id=actor.id)
    named = own.filter(instance=report.instance).select_for_update(no_key=True)
    found = named.first()
    if found is not None:
        return found
    _forget_old_processors(actor, now)
    if own.exclude(pk__in=own.past_their_time(now)).count() >= MAX_INSTANCES:
        message = f"A token has at most {MAX_INSTANCES} instances. Give each the same name again when it restarts."
        raise Conflict(message, [Detail("instance", "too_many", message)], code="TOO_MANY_INSTANCES")
    fresh = Processor(
        organisation_id=actor.organisation_id,
        token_id=actor.id,
        instance=report.instance,
        run=report.run,
        sequence=0,
        last_seen_at=now,
    )
    Processor.objects.bulk_create([fresh], ignore_conflicts=True)  # two first reports at once: one makes the row
    return named.get()


def _forget_old_processors(actor: Actor, now: datetime) -> None:
    old = Processor.objects.in_organisation(actor.organisation_id).past_their_time(now).order_by("last_seen_at", "pk")
    Processor.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:SWEEP])).delete()


def _place_of(report: Report, processor: Processor, now: datetime) -> _Place:
    """Raises Conflict for a run that goes on although a later one of this name has begun, and is alive."""
    if report.run == processor.run:
        if report.sequence <= processor.sequence:
            return _Place.REPEATED
        return _Place.NEXT if report.sequence == processor.sequence + 1 else _Place.BROKEN
    if report.sequence == 1:
        return _Place.FRESH
    if abs(now - processor.last_seen_at) < settings.PROCESSOR_LIVENESS:  # later than that: the clock was put back
        message = f"Another run of {processor.instance!a} reports now. Give each instance a name of its own."
        raise Conflict(message, [Detail("instance", "superseded", message)], code="SUPERSEDED")
    return _Place.BROKEN


def _see(processor: Processor, report: Report, place: _Place, now: datetime) -> None:
    """It lives, also where it repeats itself."""
    if place is not _Place.REPEATED:
        processor.run, processor.sequence, processor.started_at = report.run, report.sequence, report.started_at
        processor.resend = place is _Place.BROKEN
    processor.last_seen_at = now
    processor.save(update_fields=["run", "sequence", "started_at", "resend", "last_seen_at"])


def _forget_what_stopped(processor: Processor, report: Report, *, everything: bool) -> None:
    """What stopped need not be there any more; after a gap nothing that was said before is believed."""
    running = RunningPin.objects.filter(processor=processor)
    if everything:
        running.delete()
    elif report.stopped:
        running.filter(pin_id__in=report.stopped).delete()


def _keep_running(processor: Processor, items: Iterable[Said], known: _Known, now: datetime) -> None:
    """A revision that the pin cannot have had is kept as none: it shows as drift."""
    rows = [
        {
            "pipeline_id": known.pins[said.pin_id][0],
            "pin_id": said.pin_id,
            "claim": said.claim,
            "revision_id": said.revision_id if known.has(said) else None,
            "config_hash": said.config_hash,
            "refused_hash": said.refused_hash,
            "reason": said.reason,
        }
        for said in items
        if said.pin_id in known.pins
    ]
    upsert(
        RunningPin,
        columns=RUNNING_COLUMNS,
        rows=rows,
        same={"processor_id": processor.pk, "reported_at": now},
        unique=("processor_id", "pin_id"),
    )


def _counts(items: Iterable[Delivered], known: _Known) -> dict[tuple[str, str], tuple[int, int]]:
    """By pin and revision: delivered and failed, summed where a report names one more than once."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for item in items:
        if known.has(item):
            delivered, failed = counts.get((item.pin_id, item.revision_id), (0, 0))
            counts[item.pin_id, item.revision_id] = delivered + item.delivered, failed + item.failed
    return counts


def _ignored(report: Report, known: _Known) -> tuple[str, ...]:
    unseen = [said.pin_id for said in report.integrations if said.pin_id not in known.pins]
    uncounted = [item.pin_id for item in report.deliveries if not known.has(item)]
    return tuple(dict.fromkeys([*unseen, *uncounted]))
