"""Many pipelines at once, and the questions that tell whether a rollout left any of them wrong."""

from collections import Counter
from collections.abc import Sequence

from django.db import connection, transaction

from accounts.models import Organisation
from integrations.models import Revision, Template
from pipelines.models import HistoryEntry, Pin, Pipeline, Rollout, RolloutTarget
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import Schedule, plan_rollout
from pipelines.rollouts.waves import parse_waves
from pipelines.versions import publish
from tests.factories import TemplateFactory, revision_of, system

COUNTED_ANEW = 1000  # so many new rows PostgreSQL would soon have noticed by itself, in a database that is not so new


@transaction.atomic
def build_fleet(organisation: Organisation, size: int, templates: int = 1) -> list[Template]:
    """So many pipelines, each with a pin of the first of two revisions of each template; one change made them all."""
    made: list[Template] = [TemplateFactory(organisation=organisation, revisions=2) for _ in range(templates)]
    shops = Pipeline.objects.bulk_create(
        Pipeline(organisation=organisation, name=f"Shop {number}", slug=f"shop-{number}") for number in range(size)
    )
    pins = Pin.objects.bulk_create(
        Pin(organisation=organisation, pipeline=shop, template=template, revision=first)
        for template, first in [(template, revision_of(template, 1)) for template in made]
        for shop in shops
    )
    entries = [
        HistoryEntry(
            pipeline_id=pin.pipeline_id,
            subject="pin",
            subject_id=pin.pk,
            after_revision_id=pin.revision_id,
            after_enabled=True,
        )
        for pin in pins
    ]
    publish(actor=system(organisation), entries=entries, pipelines=[shop.pk for shop in shops])
    if size >= COUNTED_ANEW and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return made


def start(template: Template, waves: str, soak_seconds: int = 0) -> Rollout:
    """A rollout to the latest revision that runs, and waits for a worker."""
    actor = system(template.organisation)
    schedule = Schedule(waves=parse_waves(waves), soak_seconds=soak_seconds)
    plan = plan_rollout(actor=actor, template_id=template.pk, schedule=schedule)
    return start_rollout(actor=actor, rollout_id=plan.pk, plan_hash=plan.plan_hash)


def standing_of(template: Template) -> dict[int, int]:
    """How many pins stand at which revision number."""
    return dict(Counter(Pin.objects.filter(template=template).values_list("revision__number", flat=True)))


def moves_of(rollout: Rollout) -> Counter[str]:
    """How often history says that each pin of the rollout was moved to its revision."""
    aims: Sequence[Revision] = [rollout.revision] if rollout.revision else []
    lines = HistoryEntry.objects.filter(subject="pin", after_revision__in=aims, before_revision__isnull=False)
    pins = RolloutTarget.objects.filter(rollout=rollout).values("pin_id")
    return Counter(lines.filter(subject_id__in=pins).values_list("subject_id", flat=True))


def somebody_waits_for_us() -> bool:
    """Whether another process of PostgreSQL waits for a lock of this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return cursor.fetchone() is not None
