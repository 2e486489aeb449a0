"""Changing who belongs to an organisation, and in which role."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound
from accounts.models import Organisation, RefreshToken, User
from accounts.preconditions import require_unchanged
from accounts.querysets import stored_email
from accounts.roles import Role
from accounts.validity import require_valid

MISSING = "There is no such user in this organisation."


@transaction.atomic
def create_organisation(*, name: str) -> Organisation:
    """A tenant of its own, with nobody in it yet. Raises Invalid for a blank or overlong name."""
    organisation = Organisation(name=name)
    require_valid(organisation, "name")
    organisation.save(force_insert=True)
    return organisation


@transaction.atomic
def create_user(*, actor: Actor, email: str, name: str, role: Role, password: str | None = None) -> User:
    """Add a person to the actor's organisation. Without a password they cannot log in until one is set.

    Raises Invalid for a taken or malformed email, a blank or overlong name and a weak password.
    """
    user = User(organisation_id=actor.organisation_id, email=stored_email(email), name=name, role=role.value)
    require_valid(user, "email", "name")
    _set_password(user, password)
    _insert(user)
    changes = {"email": (None, user.email), "name": (None, name), "role": (None, role.value)}
    audit.record(
        actor=actor, action="user.created", resource_type="user", resource=user, label=user.email, changes=changes
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

    Raises NotFound, Stale, Invalid, and Conflict (`LAST_ADMIN`) where the organisation would lose its last admin.
    """
    Organisation.objects.select_for_update(no_key=True).get(pk=actor.organisation_id)
    members = User.objects.in_organisation(actor.organisation_id)
    user = members.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise NotFound(MISSING)
    require_unchanged(user, expected)
    before = _facts(user)
    user.name = user.name if name is None else name
    user.role = user.role if role is None else role.value
    user.is_active = user.is_active if disabled is None else not disabled
    changes = audit.changed(before, _facts(user))
    if changes:
        require_valid(user, "name")
        _keep_an_admin(user, before)
        _save(user, actor, changes)
    return user


def _insert(user: User) -> None:
    """The database says whether the email is free, also to two who add the same person at once."""
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        if not User.objects.by_email(user.email).exists():
            raise
        message = "A user with this email exists already. Use another email."
        raise Invalid.because("email", "taken", message) from error


@transaction.atomic
def change_password(*, actor: Actor, password: str) -> User:
    """Give the person who acts another password; their other sessions end. Raises Invalid for a weak one."""
    user: User = User.objects.select_for_update(no_key=True).get(pk=actor.id)
    _replace_password(user, password)
    audit.record(actor=actor, action="user.password_changed", resource_type="user", resource=user, label=user.email)
    return user


@transaction.atomic
def set_password(*, actor: Actor, user_id: str, password: str) -> User:
    """Give somebody of the actor's organisation a password, their first or another; all of their sessions end.

    Raises NotFound, and Invalid for a weak one.
    """
    members = User.objects.in_organisation(actor.organisation_id)
    user = members.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise NotFound(MISSING)
    _replace_password(user, password)
    audit.record(actor=actor, action="user.password_set", resource_type="user", resource=user, label=user.email)
    return user


@transaction.atomic
def set_password_of_superuser(*, email: str, password: str) -> User:
    """For who belongs to no organisation, so that no audit log would be theirs. Raises NotFound and Invalid."""
    superusers = User.objects.by_email(email).filter(organisation=None)
    user = superusers.select_for_update(no_key=True).first()
    if user is None:
        raise NotFound("There is no such superuser.")
    _replace_password(user, password)
    return user


def _replace_password(user: User, password: str) -> None:
    """Sessions of the console end by themselves: each is bound to the password it was begun with."""
    _set_password(user, password)
    user.save(update_fields=["password"])
    RefreshToken.objects.filter(user=user).delete()


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
    lost = [field for field, value in admin.items() if _facts(user)[field] != value]
    others = User.objects.in_organisation(str(user.organisation_id)).admins().exclude(pk=user.pk)
    if lost and admin.items() <= before.items() and not others.exists():
        message = "This is the organisation's last admin. Make someone else an admin first."
        raise Conflict(message, [Detail(field, "last_admin", message) for field in lost], code="LAST_ADMIN")


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
