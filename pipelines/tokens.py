"""Tokens that are limited to some pipelines."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from accounts.actors import Actor
from accounts.errors import Invalid
from accounts.models import ApiToken
from accounts.roles import Role
from accounts.tokens import issue_token
from pipelines.models import TokenPipeline
from pipelines.pins import require_pipelines


@transaction.atomic
def issue_limited_token(
    *,
    actor: Actor,
    name: str,
    scope: Role,
    expires_at: datetime | None = None,
    pipelines: Sequence[str] = (),
) -> tuple[ApiToken, str]:
    """A token and its secret, shown this once; a processor's may be limited to some pipelines.

    Raises Invalid for a pipeline that is not there, and for a limit on any other scope.
    """
    if pipelines and scope != Role.PROCESSOR:
        message = "Only a processor token can be limited to pipelines. Leave pipelines out."
        raise Invalid.because("pipelines", "not_a_processor", message)
    require_pipelines(actor=actor, pipelines=pipelines, field="pipelines")
    named = list(dict.fromkeys(pipelines))
    limits = {"pipelines": named} if named else {}
    token, secret = issue_token(actor=actor, name=name, scope=scope, expires_at=expires_at, limits=limits)
    TokenPipeline.objects.bulk_create(TokenPipeline(token=token, pipeline_id=key) for key in named)
    return token, secret


def pipelines_of(tokens: Iterable[ApiToken]) -> dict[str, list[str]]:
    """For each token that is limited, its pipelines."""
    named: dict[str, list[str]] = {}
    limits = TokenPipeline.objects.filter(token__in=[token.pk for token in tokens]).order_by("pk")
    for token_id, pipeline_id in limits.values_list("token_id", "pipeline_id"):
        named.setdefault(token_id, []).append(pipeline_id)
    return named
