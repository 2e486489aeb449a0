"""Questions about accounts, by name."""

from typing import TYPE_CHECKING, Self

from django.db import models

from accounts.roles import Role

if TYPE_CHECKING:
    from accounts.models import ApiToken, User


def stored_email(typed: str) -> str:
    """Emails are kept and compared without regard to case and to blanks around them, as people type them."""
    return typed.strip().lower()


class UserQuerySet(models.QuerySet["User"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def enabled(self) -> Self:
        return self.filter(is_active=True)

    def by_email(self, email: str) -> Self:
        return self.filter(email=stored_email(email))

    def admins(self) -> Self:
        """Those who count when an organisation is asked to keep one."""
        return self.enabled().filter(role=Role.ADMIN.value)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Django's name for it: `manage.py createsuperuser` asks for the user with this email."""
        return self.by_email(username or "").get()

    def create_superuser(self, email: str, name: str, password: str | None = None) -> "User":
        """What `manage.py createsuperuser` makes: someone of no organisation, for the console of the whole house."""
        user = self.model(email=stored_email(email), name=name, is_superuser=True)
        user.set_password(password)
        user.save(using=self.db, force_insert=True)
        return user


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def in_organisation(self, organisation_id: str) -> Self:
        return self.filter(organisation_id=organisation_id)

    def unrevoked(self) -> Self:
        return self.filter(revoked_at=None)
