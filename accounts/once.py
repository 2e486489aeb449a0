"""One form, one change: the key that a form carries is used up when what the form asks for is done."""

from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actors import Actor
from accounts.errors import Conflict
from accounts.models import IdempotentAnswer

DONE = 204  # an answer that holds nothing to replay
KEPT = timedelta(hours=24)  # as long as REST's idempotent answers
SWEEP = 100  # keys long used that go with each new one
LED_TO = "Location"
SENT = "This form has been sent already, and what it asked for has been done once."
CHANGED = (
    "This form has been sent already, and you have changed it since. Look it over, and send it again as a new one."
)


class SentAlready(Conflict):
    """The form has done what it asked for; `address` is where that led, if it led anywhere."""

    code = "SENT_ALREADY"

    def __init__(self, address: str) -> None:
        super().__init__(SENT)
        self.address = address


@transaction.atomic
def do_once(*, actor: Actor, key: str, said: str, change: Callable[[], str]) -> str:
    """Make the change, which gives the address that it leads to, and use the key up with it, or do neither.

    Raises SentAlready or Conflict, and whatever the change raises: the key is good then for another try.
    """
    used = use_up(actor=actor, key=key, said=said)
    address = change()
    IdempotentAnswer.objects.filter(pk=used.pk).update(headers={LED_TO: address})
    return address


def use_up(*, actor: Actor, key: str, said: str) -> IdempotentAnswer:
    """Call it in the transaction of the change, so that a change refused leaves the key good.

    `said` stands for what the form holds. Raises SentAlready, and Conflict (`FORM_CHANGED`) where that was another.
    """
    used = IdempotentAnswer(
        organisation_id=actor.organisation_id, actor_id=actor.id, key=f"form:{key}", request_hash=said, status=DONE
    )
    try:
        with transaction.atomic():
            used.save(force_insert=True)
    except IntegrityError:
        raise _refusal(used) from None
    return used


@transaction.atomic
def sweep_used_keys() -> None:
    """Forget some keys that no form can carry any more; whoever else sweeps just now is not waited for."""
    old = IdempotentAnswer.objects.filter(created_at__lte=timezone.now() - KEPT)
    oldest = old.order_by("created_at").select_for_update(skip_locked=True)
    IdempotentAnswer.objects.filter(pk__in=list(oldest.values_list("pk", flat=True)[:SWEEP])).delete()


def _refusal(used: IdempotentAnswer) -> Conflict:
    """Read after the one that was faster has committed: its key would not be in the way before."""
    same = IdempotentAnswer.objects.filter(organisation=used.organisation_id, actor_id=used.actor_id, key=used.key)
    earlier = same.first()
    if earlier is not None and earlier.request_hash != used.request_hash:
        return Conflict(CHANGED, code="FORM_CHANGED")
    return SentAlready(str(earlier.headers.get(LED_TO, "")) if earlier else "")
