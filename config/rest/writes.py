"""Promises that hold for every write over REST: a dry run keeps nothing, and an idempotency key acts once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone

from accounts.actors import Actor
from accounts.api.authentication import actor_of
from accounts.errors import Conflict, Invalid, Malformed, Unauthenticated
from accounts.models import IdempotentAnswer
from integrations import secrets

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=5)  # longer than any request runs: its process died before it could answer
KEPT_HEADERS = ("Content-Type", "ETag", "Location", "Warning")


class Writes:
    """Wraps whole requests, so that no endpoint has to remember either promise."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/v1") or request.method in SAFE:
            return self.get_response(request)
        if is_dry_run(request):
            return self._dry_run(request)
        if request.method == "POST" and "Idempotency-Key" in request.headers and not _is_login(request):
            return self._once(request)
        return self.get_response(request)

    def _dry_run(self, request: HttpRequest) -> HttpResponseBase:
        if _is_login(request):
            raise Malformed("Logins have no dry run. Leave dry_run out.")
        with transaction.atomic():
            response = self.get_response(request)
            transaction.set_rollback(True)
        response["Dry-Run"] = "true"
        return response

    def _once(self, request: HttpRequest) -> HttpResponseBase:
        try:
            actor = actor_of(request)
        except Unauthenticated:
            return self.get_response(request)  # the view says the same, in the same words as ever
        ticket = Ticket(actor, _read_key(request), _fingerprint(request))
        if (stored := ticket.reserve()) is not None:
            return _replayed(stored)
        try:
            with transaction.atomic():
                response = self.get_response(request)
                if response.status_code < 400:
                    ticket.keep(response)
        except BaseException:
            ticket.release()
            raise
        if response.status_code >= 400:
            ticket.release()  # nothing was done, so the same key may try again
        return response


@dataclass(frozen=True)
class Ticket:
    """The right of one request to act for its key."""

    actor: Actor
    key: str
    request_hash: str

    def reserve(self) -> IdempotentAnswer | None:
        """None when this request is the one that acts, else the answer once given. Raises Conflict and Invalid."""
        now = timezone.now()
        IdempotentAnswer.objects.filter(created_at__lte=now - KEPT).delete()
        self._rows().filter(status=0, created_at__lte=now - ABANDONED).delete()
        fresh = IdempotentAnswer(request_hash=self.request_hash, created_at=now, **self._identity())
        IdempotentAnswer.objects.bulk_create([fresh], ignore_conflicts=True)
        row = self._rows().get()
        if row.request_hash != self.request_hash:
            message = "This Idempotency-Key was used for another request. Use a new key for a new request."
            raise Invalid(message, code="IDEMPOTENCY_KEY_REUSED")
        if row.status:
            return row
        if row.created_at != now:
            message = "The first request with this Idempotency-Key is still running. Try again in a moment."
            raise Conflict(message, code="STILL_RUNNING")
        return None

    def keep(self, response: HttpResponseBase) -> None:
        """Store the answer in the transaction of the change itself; it is sealed, since it may show a new token."""
        body = response.content if isinstance(response, HttpResponse) else b""
        self._rows().update(
            status=response.status_code,
            headers={name: response[name] for name in KEPT_HEADERS if name in response},
            body=secrets.seal(body.decode(), context=self._context()).encode(),
        )

    def release(self) -> None:
        self._rows().filter(status=0).delete()

    def _identity(self) -> dict[str, str]:
        return {"organisation_id": self.actor.organisation_id, "actor_id": self.actor.id, "key": self.key}

    def _context(self) -> str:
        return answer_context(self.actor.organisation_id, self.actor.id, self.key)

    def _rows(self) -> QuerySet[IdempotentAnswer]:
        return IdempotentAnswer.objects.filter(**self._identity())


def is_dry_run(request: HttpRequest) -> bool:
    """Raises Malformed for anything but true and false."""
    text = request.GET.get("dry_run", "false").lower()
    if text not in ("true", "false"):
        raise Malformed("dry_run must be true or false.")
    return text == "true"


def answer_context(organisation_id: str, actor_id: str, key: str) -> str:
    """What a sealed answer is bound to."""
    return f"answer:{organisation_id}:{actor_id}:{key}"


def _is_login(request: HttpRequest) -> bool:
    return request.path.startswith("/v1/admin/auth/")


def _read_key(request: HttpRequest) -> str:
    key: str = request.headers["Idempotency-Key"]
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Malformed("Idempotency-Key must be 1 to 255 printable ASCII characters, such as a UUID.")
    return key


def _fingerprint(request: HttpRequest) -> str:
    parts = [request.method or "", request.get_full_path(), request.content_type or ""]
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + request.body).hexdigest()


def _replayed(row: IdempotentAnswer) -> HttpResponse:
    context = answer_context(row.organisation_id, row.actor_id, row.key)
    body = secrets.unseal(bytes(row.body).decode(), context=context)
    response = HttpResponse(body, status=row.status, headers=row.headers)
    response["Idempotent-Replayed"] = "true"
    return response
