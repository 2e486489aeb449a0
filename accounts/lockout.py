"""The guard of the login: so many attempts at one email, then a pause, the same for emails that nobody has."""

import hashlib
from datetime import datetime
from math import ceil

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from accounts.errors import TooManyAttempts
from accounts.models import LoginGuard
from accounts.querysets import stored_email

SWEEP = 100  # expired guards taken away with each new one, so that made-up emails do not pile up


def reserve_attempt(email: str) -> None:
    """Take one of the attempts before any password is looked at, so that guesses made side by side count too.

    Raises TooManyAttempts with the seconds to wait.
    """
    now = timezone.now()
    guard = LoginGuard.objects.filter(email_hash=_hash(email))
    if _take(guard, now):
        return
    fresh = LoginGuard(email_hash=_hash(email), window_ends_at=now + settings.LOGIN_LOCKOUT)
    LoginGuard.objects.bulk_create([fresh], ignore_conflicts=True)
    if not _take(guard, now):
        raise _locked(guard, now)
    _sweep(now)


def forget_attempts(email: str) -> None:
    """After a right password the count starts anew."""
    LoginGuard.objects.filter(email_hash=_hash(email)).update(attempts=0)


def _take(guard: QuerySet[LoginGuard], now: datetime) -> bool:
    """One statement decides, so that of many at once no more get through than may."""
    left = guard.filter(Q(window_ends_at__lte=now) | Q(attempts__lt=settings.LOGIN_ATTEMPTS))
    attempts = Case(When(window_ends_at__lte=now, then=Value(1)), default=F("attempts") + 1)
    return left.update(attempts=attempts, window_ends_at=now + settings.LOGIN_LOCKOUT) == 1


@transaction.atomic
def _sweep(now: datetime) -> None:
    expired = LoginGuard.objects.filter(window_ends_at__lte=now).select_for_update(skip_locked=True)
    LoginGuard.objects.filter(pk__in=expired.values("pk")[:SWEEP]).delete()


def _locked(guard: QuerySet[LoginGuard], now: datetime) -> TooManyAttempts:
    """A window that ends later than any can was written before the clock was put back, and is cut to the usual length."""
    longest = now + settings.LOGIN_LOCKOUT
    guard.filter(window_ends_at__gt=longest).update(window_ends_at=longest)
    window_ends_at = guard.values_list("window_ends_at", flat=True).first() or now
    seconds = max(1, ceil((window_ends_at - now).total_seconds()))
    message = f"Too many failed logins for this account. Try again in {seconds} seconds."
    return TooManyAttempts(message, seconds, code="ACCOUNT_LOCKED")


def _hash(email: str) -> str:
    return hashlib.sha256(stored_email(email).encode()).hexdigest()
