"""Changing who belongs to an organisation, and in which role."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound
from accounts.models import Organisation, RefreshToken, User
from accounts.preconditions import require_unchanged
from accounts.roles import Role


@transaction.atomic
def create_organisation(*, name: str) -> Organisation:
    """A tenant of its own, with nobody in it yet."""
    return Organisation.objects.create(name=name)


@transaction.atomic
def create_user(*, actor: Actor, email: str, name: str, role: Role, password: str | None = None) -> User:
    """Add a person to the actor's organisation. Without a password they cannot log in until one is set.

    Raises Invalid for a taken email or a weak password.
    """
    address = email.strip().lower()
    Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    if User.objects.by_email(address).exists():
        raise Invalid.because("email", "taken", "A user with this email exists already. Use another email.")
    user = User(organisation_id=actor.organisation_id, email=address, name=name, role=role.value)
    _set_password(user, password)
    user.save(force_insert=True)
    changes = {"email": (None, address), "name": (None, name), "role": (None, role.value)}
    audit.record(
        actor=actor, action="user.created", resource_type="user", resource=user, label=address, changes=changes
    )
    return user


@transaction.atomic
def update_user(
    *,
    actor: Actor,
    user_id: str,
    name: str | None = None,
    role: Role | None = None,
    disabled: bool | None = None,
    expected: str | None = None,
) -> User:
    """Change what is given. A disabled user's sessions end with it.

    Raises NotFound, Stale, and Conflict (`LAST_ADMIN`) where the organisation would be left without an admin.
    """
    Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    user = User.objects.in_organisation(actor.organisation_id).select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user in this organisation.")
    require_unchanged(user, expected)
    before = _facts(user)
    user.name = user.name if name is None else name
    user.role = user.role if role is None else role.value
    user.is_active = user.is_active if disabled is None else not disabled
    changes = audit.changed(before, _facts(user))
    if changes:
        _keep_an_admin(user, before)
        _save(user, actor, changes)
    return user


def _save(user: User, actor: Actor, changes: dict[str, tuple[Any, Any]]) -> None:
    user.row_version += 1
    user.updated_at = timezone.now()
    user.save(update_fields=["name", "role", "is_active", "row_version", "updated_at"])
    if not user.is_active:
        RefreshToken.objects.filter(user=user).delete()
    audit.record(
        actor=actor, action="user.updated", resource_type="user", resource=user, label=user.email, changes=changes
    )


def _keep_an_admin(user: User, before: dict[str, Any]) -> None:
    """The organisation's row is locked, so nobody can step down beside this; the database refuses it as well."""
    admin = {"role": Role.ADMIN.value, "disabled": False}
    steps_down = admin.items() <= before.items() and not admin.items() <= _facts(user).items()
    others = User.objects.in_organisation(str(user.organisation_id)).enabled().filter(role=Role.ADMIN.value)
    if steps_down and not others.exclude(pk=user.pk).exists():
        message = "This is the organisation's last admin. Make someone else an admin first."
        raise Conflict(message, [Detail("role", "last_admin", message)], code="LAST_ADMIN")


def _set_password(user: User, password: str | None) -> None:
    if password is not None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            details = [Detail("password", "weak_password", message) for message in error.messages]
            raise Invalid("This password is too weak. " + " ".join(error.messages), details) from None
    user.set_password(password)


def _facts(user: User) -> dict[str, Any]:
    return {"name": user.name, "role": user.role, "disabled": user.disabled}
