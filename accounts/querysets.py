"""Questions about accounts, by name."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from accounts.models import ApiToken, User


class UserQuerySet(models.QuerySet["User"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def enabled(self) -> Self:
        return self.filter(is_active=True)

    def by_email(self, email: str) -> Self:
        """Emails are compared without regard to case, as people type them."""
        return self.filter(email=email.strip().lower())


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def unrevoked(self) -> Self:
        return self.filter(revoked_at=None)

    def live(self, now: datetime) -> Self:
        """Neither revoked nor expired."""
        return self.unrevoked().filter(models.Q(expires_at=None) | models.Q(expires_at__gt=now))
