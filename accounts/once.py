"""One form, one change: the key that a form carries is used up when the form is first sent."""

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.errors import Conflict
from accounts.models import IdempotentAnswer

DONE = 204  # an answer that holds nothing to replay
SENT = "This form has been sent already, and what it asked for has been done once."


def use_up(*, actor: Actor, key: str) -> None:
    """Call it in the transaction of the change, so that a change refused leaves the key good.

    Keys are kept as long as those of REST's idempotent answers, a day. Raises Conflict (`SENT_ALREADY`).
    """
    used = IdempotentAnswer(
        organisation_id=actor.organisation_id, actor_id=actor.id, key=f"form:{key}", request_hash="", status=DONE
    )
    try:
        with transaction.atomic():
            used.save(force_insert=True)
    except IntegrityError:
        raise Conflict(SENT, code="SENT_ALREADY") from None
