"""Making and revoking the long-lived tokens of programs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.credentials import TOKEN_PREFIX, hashed, new_secret
from accounts.errors import Invalid, NotFound
from accounts.models import ApiToken
from accounts.roles import Role
from accounts.validity import require_valid


@transaction.atomic
def issue_token(
    *,
    actor: Actor,
    name: str,
    scope: Role,
    expires_at: datetime | None = None,
    limits: Mapping[str, Any] | None = None,
) -> tuple[ApiToken, str]:
    """A token and its secret, which is shown this once and kept nowhere.

    `limits` is what the audit entry says of the token besides. Raises Invalid for a blank or overlong name and for an
    expiry in the past.
    """
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid.because("expires_at", "in_the_past", "expires_at is in the past. Give a time to come, or none.")
    secret = TOKEN_PREFIX + new_secret()
    token = ApiToken(
        organisation_id=actor.organisation_id,
        name=name,
        scope=scope.value,
        token_hash=hashed(secret),
        hint=secret[-4:],
        created_by=actor.label,
        expires_at=expires_at,
    )
    require_valid(token, "name")
    token.save(force_insert=True)
    facts = {"name": name, "scope": scope.value, "expires_at": token.expiry, **(limits or {})}
    changes = {field: (None, value) for field, value in facts.items()}
    audit.record(actor=actor, action="token.issued", resource_type="token", resource=token, label=name, changes=changes)
    return token, secret


@transaction.atomic
def revoke_token(*, actor: Actor, token_id: str) -> ApiToken:
    """Make a token useless from the next request on. Raises NotFound."""
    live = ApiToken.objects.in_organisation(actor.organisation_id).unrevoked()
    token = live.select_for_update().filter(pk=token_id).first()
    if token is None:
        raise NotFound("There is no such token in this organisation.")
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    audit.record(actor=actor, action="token.revoked", resource_type="token", resource=token, label=token.name)
    return token
