"""Who may read: a processor's token as it stands in the database, and which of those in memory still stand."""

from collections.abc import Collection
from math import inf
from typing import NamedTuple

from accounts.credentials import NOT_VALID, actor_for_bearer
from accounts.errors import Forbidden, Unauthenticated
from accounts.models import ApiToken
from accounts.roles import Role, allows
from pipelines.feed.reading import Head, heads, one_view
from pipelines.models import TokenPipeline

NOT_A_PROCESSOR = "Only a processor token opens the runtime feed. An admin of your organisation can issue one."


class Standing(NamedTuple):
    """What there is to know of a token: of its limits None means that it has none."""

    token_id: str
    token_hash: str
    organisation_id: str
    expires_at: float
    pipelines: frozenset[str] | None


def identify(bearer: str) -> tuple[Standing, Head]:
    """Whose bearer this is, and where their organisation stands. Raises Unauthenticated and Forbidden."""
    actor = actor_for_bearer(bearer)
    if not allows(actor.role, Role.PROCESSOR):
        raise Forbidden(NOT_A_PROCESSOR)
    with one_view():
        found = still_standing([actor.id])
        head = heads([actor.organisation_id])[actor.organisation_id]
    if not found:  # revoked this very moment
        raise Unauthenticated(NOT_VALID)
    return found[0], head


def still_standing(tokens: Collection[str]) -> list[Standing]:
    """Those of these processor tokens that have not been revoked, in two statements however many there are."""
    limits: dict[str, set[str]] = {}
    for token_id, pipeline_id in TokenPipeline.objects.filter(token__in=tokens).values_list("token_id", "pipeline_id"):
        limits.setdefault(token_id, set()).add(pipeline_id)
    live = ApiToken.objects.unrevoked().filter(pk__in=tokens, scope=Role.PROCESSOR.value)
    return [
        Standing(
            token_id,
            token_hash,
            organisation_id,
            expires_at.timestamp() if expires_at else inf,
            frozenset(limits[token_id]) if token_id in limits else None,
        )
        for token_id, token_hash, organisation_id, expires_at in live.values_list(
            "pk", "token_hash", "organisation_id", "expires_at"
        )
    ]
