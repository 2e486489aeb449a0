"""Organisations, the people and programs that act in them, and the record of what they did."""

from datetime import UTC
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.actors import Actor, ActorType
from accounts.ids import IdField
from accounts.querysets import ApiTokenQuerySet, UserQuerySet
from accounts.roles import LADDER, Role

ROLE_CHOICES = [(role.value, role.value) for role in LADDER]
SCOPE_CHOICES = [(role.value, role.value) for role in Role]
ACTOR_CHOICES = [(kind.value, kind.value) for kind in ActorType]


class Organisation(models.Model):
    """A tenant: everything below belongs to exactly one, and none sees another's."""

    id = IdField("org")
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~models.Q(name=""), name="organisation_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class User(AbstractBaseUser):
    """A person who logs in by email and holds one role in one organisation."""

    id = IdField("usr")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="users", null=True, blank=True
    )
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=16, choices=ROLE_CHOICES, default=Role.VIEWER.value)
    is_active = models.BooleanField(default=True)
    is_superuser = models.BooleanField(default=False)
    row_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = UserQuerySet.as_manager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = ["name"]

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(role__in=[role.value for role in LADDER]), name="user_role_known"
            ),
            models.CheckConstraint(
                condition=models.Q(organisation__isnull=False) | models.Q(is_superuser=True),
                name="user_has_an_organisation_unless_superuser",
            ),
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower"),
        ]
        indexes: ClassVar = [models.Index(fields=["organisation", "created_at", "id"], name="user_in_order")]

    def __str__(self) -> str:
        return self.email

    @property
    def tag(self) -> str:
        return str(self.row_version)

    @property
    def disabled(self) -> bool:
        return not self.is_active

    @property
    def is_staff(self) -> bool:
        """Every user may open the console; what they see and do there follows from the role."""
        return self.is_active

    def has_perm(self, permission: str, obj: object = None) -> bool:
        return self.is_active and self.is_superuser

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active


class RefreshToken(models.Model):
    """One link of a login's chain of refresh tokens; using a link twice breaks every chain of that user."""

    token_hash = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"refresh token of {self.user_id}"


class LoginGuard(models.Model):
    """The attempts made lately at one email, known here or not; an attempt is reserved before the password is read."""

    email_hash = models.CharField(max_length=64, primary_key=True)
    attempts = models.PositiveIntegerField(default=0)
    window_ends_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["window_ends_at"], name="guard_by_age")]

    def __str__(self) -> str:
        return f"{self.attempts} attempts"


class ApiToken(models.Model):
    """A long-lived bearer for a program: one scope, shown once, kept as a hash."""

    id = IdField("tok")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=200)
    scope = models.CharField(max_length=16, choices=SCOPE_CHOICES)
    token_hash = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=8)
    created_by = models.CharField(max_length=320)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(scope__in=[role.value for role in Role]), name="token_scope_known"
            ),
            models.CheckConstraint(condition=~models.Q(name=""), name="token_has_a_name"),
        ]
        indexes: ClassVar = [models.Index(fields=["organisation", "created_at", "id"], name="token_in_order")]

    def __str__(self) -> str:
        return self.name

    @property
    def expiry(self) -> str | None:
        """`expires_at` as clients and the audit log read it."""
        return self.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if self.expires_at else None


class ActorFields(models.Model):
    """The copied facts about who acted, as every record of a change keeps them."""

    actor_type = models.CharField(max_length=16, choices=ACTOR_CHOICES)
    actor_id = models.CharField(max_length=320)
    actor_label = models.CharField(max_length=320)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        abstract = True

    @staticmethod
    def facts(actor: Actor) -> dict[str, Any]:
        """The column values that record this actor."""
        return {
            "actor_type": actor.type.value,
            "actor_id": actor.id,
            "actor_label": actor.label,
            "request_id": actor.request_id,
        }

    @property
    def actor(self) -> dict[str, str]:
        return {"type": self.actor_type, "id": self.actor_id, "label": self.actor_label}


class AuditEntry(ActorFields):
    """What someone did, for people to read; append-only, held so by the database."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=64)
    resource_type = models.CharField(max_length=32)
    resource_id = models.CharField(max_length=80)
    resource_label = models.CharField(max_length=320)
    changes = models.JSONField(default=dict)
    ip_address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(actor_id="") & ~models.Q(actor_label=""), name="audit_entry_names_its_actor"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "-created_at", "-id"], name="audit_newest_first"),
            models.Index(
                fields=["organisation", "resource_type", "resource_id", "-created_at", "-id"], name="audit_by_resource"
            ),
            models.Index(fields=["organisation", "actor_id", "-created_at", "-id"], name="audit_by_actor"),
            models.Index(fields=["organisation", "resource_type", "-created_at", "-id"], name="audit_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_label}: {self.action} {self.resource_label}"


class IdempotentAnswer(models.Model):
    """The answer once given to a POST with an `Idempotency-Key`; a status of 0 means that it is still being made."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    actor_id = models.CharField(max_length=320)
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organisation", "actor_id", "key"], name="one_answer_per_key"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="answer_by_age")]

    def __str__(self) -> str:
        return self.key

    @property
    def seal_context(self) -> str:
        """What the sealed body is bound to."""
        return f"answer:{self.organisation_id}:{self.actor_id}:{self.key}"
