"""Saying that the past is another now: after a restored backup, version numbers come again and mean something else."""

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from pipelines.models import ConfigurationHead, new_epoch


@transaction.atomic
def begin_epoch(*, actor: Actor) -> str | None:
    """Give the actor's organisation a new epoch, so that every processor loads everything anew.

    The version stays; what runs does not change. None for an organisation in which nothing was ever published.
    """
    head = ConfigurationHead.objects.select_for_update().filter(pk=actor.organisation_id).first()
    if head is None:
        return None
    before, head.epoch = head.epoch, new_epoch()
    head.save(update_fields=["epoch"])
    audit.record(
        actor=actor,
        action="epoch.begun",
        resource_type="organisation",
        resource=head,
        label=str(head),
        changes={"epoch": (before, head.epoch)},
    )
    return head.epoch
