"""After a restored backup: a new epoch, and whoever read the old one begins anew."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry, Organisation
from pipelines.models import ConfigurationHead
from tests.factories import PipelineFactory
from tests.pipelines.feed.clients import FeedReader


def new_epoch(**options: str) -> list[str]:
    out = StringIO()
    call_command("new_epoch", stdout=out, **options)
    return out.getvalue().splitlines()


def test_who_read_another_epoch_begins_anew(organisation: Organisation, reader: FeedReader) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    before = ConfigurationHead.objects.get()
    with reader.stream() as stream:
        stream.version()
        old = reader.pipeline(pipeline.pk)
        [line] = new_epoch()
        now = ConfigurationHead.objects.get()
        assert (now.number, line) == (before.number, f"{now.epoch}  Acme")
        assert now.epoch != before.epoch
        assert stream.event()["id"].strip() == f"{now.epoch}.1"
    assert reader.changes(since=1, epoch=before.epoch).code == (410, "GONE")
    answer = reader.pipeline(pipeline.pk, If_None_Match=old.headers["ETag"])
    assert (answer.status, answer.body) == (200, {**old.body, "epoch": now.epoch})
    PipelineFactory(organisation=organisation)
    assert reader.changes(since=1, epoch=now.epoch).body["to_version"] == 2


def test_it_may_be_one_organisation_and_is_audited(
    db: None, organisation: Organisation, other_organisation: Organisation
) -> None:
    for each in (organisation, other_organisation):
        PipelineFactory(organisation=each)
    before = dict(ConfigurationHead.objects.values_list("pk", "epoch"))
    new_epoch(organisation="Acme")
    after = dict(ConfigurationHead.objects.values_list("pk", "epoch"))
    assert [key for key in before if before[key] != after[key]] == [organisation.pk]
    entry = AuditEntry.objects.get(action="epoch.begun")
    assert (entry.organisation_id, entry.actor_type) == (organisation.pk, "operator")
    assert entry.changes == {"epoch": {"old": before[organisation.pk], "new": after[organisation.pk]}}


def test_an_organisation_without_a_version_needs_none(db: None, organisation: Organisation) -> None:
    assert new_epoch() == ["nothing published yet  Acme"]
    assert not AuditEntry.objects.filter(action="epoch.begun").exists()


def test_an_organisation_that_is_none_is_refused(db: None, organisation: Organisation) -> None:
    with pytest.raises(CommandError, match="There are: Acme"):
        new_epoch(organisation="Nowhere")
