"""The configuration version: the last thing a change takes, so that versions appear in the order of the commits."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from accounts.actors import Actor
from accounts.errors import Detail, Malformed
from accounts.ids import new_id
from accounts.statements import execute, insert, together, update
from pipelines.models import ConfigurationHead, ConfigurationVersion, HistoryEntry, Pipeline, new_epoch

ALMOST_A_SECOND = timedelta(microseconds=999_999)
NEXT = """
    INSERT INTO pipelines_configurationhead (organisation_id, epoch, number, changed_at) VALUES (%s, %s, 1, %s)
    ON CONFLICT (organisation_id) DO UPDATE SET
        number = pipelines_configurationhead.number + 1,
        changed_at = {greatest}(pipelines_configurationhead.changed_at, excluded.changed_at)
"""
VERSION = """
    INSERT INTO pipelines_configurationversion
        (id, organisation_id, number, created_at, actor_type, actor_id, actor_label, request_id)
    SELECT %s, organisation_id, number, changed_at, %s, %s, %s, %s
    FROM pipelines_configurationhead WHERE organisation_id = %s
"""


def publish(*, actor: Actor, entries: Sequence[HistoryEntry], pipelines: Collection[str]) -> None:
    """Append the history of a change and give it the next version: call it last in the change's transaction.

    A reader who has seen version N has seen all before it.
    """
    version_id = new_version_id()
    for entry in entries:
        entry.version_id = version_id
    with together():
        _append(entries)
        _mark(pipelines, version_id)
        take_version(actor=actor, version_id=version_id)


def new_version_id() -> str:
    """What history and pipelines point at before the version itself is there: the constraints wait for the commit."""
    return new_id("ver")


def take_version(*, actor: Actor, version_id: str) -> None:
    """Give a change whose history has been written the next version: call it last in the change's transaction.

    From the moment the number is taken until commit no other change of the organisation can take one; only the row
    that names the version is still to be written then. Its time never runs backwards from version to version, whatever
    the clock does.
    """
    greatest = "GREATEST" if connection.vendor == "postgresql" else "MAX"
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    facts = ConfigurationVersion.facts(actor)
    with together():
        execute(NEXT.format(greatest=greatest), [actor.organisation_id, new_epoch(), now])
        execute(VERSION, [version_id, *facts.values(), actor.organisation_id])


def head(organisation_id: str) -> tuple[str, int]:
    """The epoch and the newest version; a fresh organisation is at version 0 of no epoch yet."""
    found = ConfigurationHead.objects.filter(pk=organisation_id).values_list("epoch", "number").first()
    return found or ("", 0)


def version_at(organisation_id: str, moment: datetime) -> int:
    """The version that was current at this moment, 0 before the first.

    Times are shown in whole seconds, so a moment without a fraction means the end of its second: asking at the time
    that a change shows answers with that change.
    """
    last = moment if moment.microsecond else moment + ALMOST_A_SECOND
    versions = ConfigurationVersion.objects.filter(organisation_id=organisation_id, created_at__lte=last)
    return versions.order_by("-number").values_list("number", flat=True).first() or 0


def require_existing(organisation_id: str, number: int) -> None:
    """Raises Malformed for a version that has not happened."""
    newest = head(organisation_id)[1]
    if number > newest:
        message = f"There is no version {number} yet. The newest is {newest}."
        raise Malformed(message, [Detail("version", "unknown_version", message)])


def _append(entries: Sequence[HistoryEntry]) -> None:
    if len(entries) == 1:
        insert(entries[0])
    else:
        HistoryEntry.objects.bulk_create(entries, batch_size=1000)


def _mark(pipelines: Collection[str], version_id: str) -> None:
    """Say on the pipelines themselves when they changed last, for readers who know an earlier version."""
    if len(pipelines) == 1:
        [pipeline_id] = pipelines
        update(Pipeline(pk=pipeline_id, changed_in_id=version_id), "changed_in")
    else:
        Pipeline.objects.filter(pk__in=pipelines).update(changed_in=version_id)
