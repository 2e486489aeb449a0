"""Promises that hold for every write over REST: a dry run keeps nothing, and an idempotency key acts once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.actors import Actor
from accounts.api.authentication import actor_of
from accounts.errors import Conflict, Detail, Forbidden, Invalid, Malformed, Unauthenticated
from accounts.models import IdempotentAnswer
from accounts.roles import Role, allows
from config.rest.errors import answer_to, is_api
from integrations import secrets

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
KEPT = timedelta(hours=24)
KEPT_HEADERS = ("Cache-Control", "Content-Type", "ETag", "Location", "Warning")
SALT = "pinion.request"
ROLE = "role"  # kept beside the headers: who may have done this then may no longer read it now


class Writes:
    """Wraps whole requests, so that no endpoint has to remember either promise."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api(request) or request.method in SAFE:
            return self.get_response(request)
        try:
            return self._write(request)
        except Exception as error:  # noqa: BLE001  # one raised outside of a view has no other mapper
            return answer_to(error, request)

    def _write(self, request: HttpRequest) -> HttpResponseBase:
        if is_dry_run(request):
            return self._dry_run(request)
        if request.method == "POST" and "Idempotency-Key" in request.headers and not _is_login(request):
            return self._once(request)
        return self.get_response(request)

    def _dry_run(self, request: HttpRequest) -> HttpResponseBase:
        if _is_login(request):
            message = "Logins have no dry run. Leave dry_run out."
            raise Malformed(message, [Detail("dry_run", "no_dry_run", message)])
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
        ticket = reserve(actor, _read_key(request), _fingerprint(request))
        if isinstance(ticket, HttpResponse):
            return ticket
        return self._act(request, ticket)

    def _act(self, request: HttpRequest, ticket: "Ticket") -> HttpResponseBase:
        """What is changed and the answer to it are kept together, or neither. Raises Conflict."""
        with transaction.atomic():
            ticket.take()
            response = self.get_response(request)
            if response.status_code < 400:
                ticket.keep(response)
                return response
            transaction.set_rollback(True)
        ticket.release()
        return response


@dataclass(frozen=True)
class Ticket:
    """The right of one request to act for its key, which it has while it holds the row that waits for an answer.

    A process that dies lets go of the row, so that whoever sends the request again may act at once.
    """

    actor: Actor
    row: IdempotentAnswer

    def take(self) -> None:
        """Hold the row until the transaction ends. Raises Conflict where another request does, or has done all of it."""
        if not self._running().select_for_update(no_key=True, skip_locked=True):
            raise _still_running()

    def keep(self, response: HttpResponseBase) -> None:
        """Store the answer in the transaction of the change itself; it is sealed, since it may show a new token.

        Raises Conflict where the row has gone meanwhile.
        """
        body = response.content if isinstance(response, HttpResponse) else b""
        kept = {name: response[name] for name in KEPT_HEADERS if name in response}
        updated = self._running().update(
            status=response.status_code,
            headers={**kept, ROLE: self.actor.role.value},
            body=secrets.seal(body.decode(), context=self.row.seal_context).encode(),
        )
        if not updated:
            raise _still_running()

    def release(self) -> None:
        """Let the same key try again, unless there is an answer."""
        self._running().delete()

    def _running(self) -> QuerySet[IdempotentAnswer]:
        return IdempotentAnswer.objects.filter(pk=self.row.pk, status=0)


def reserve(actor: Actor, key: str, request_hash: str) -> Ticket | HttpResponse:
    """A ticket for a request that may act, or the answer once given. Raises Conflict, Invalid and Forbidden."""
    now = timezone.now()
    identity = {"organisation_id": actor.organisation_id, "actor_id": actor.id, "key": key}
    IdempotentAnswer.objects.filter(created_at__lte=now - KEPT).delete()
    fresh = {"request_hash": request_hash, "created_at": now}
    try:
        row, _ = IdempotentAnswer.objects.get_or_create(**identity, defaults=fresh)
    except IntegrityError:  # made and released by another request while this one looked twice
        raise _still_running() from None
    if row.request_hash != request_hash:
        message = "This Idempotency-Key was used for another request. Use a new key for a new request."
        raise Invalid(message, code="IDEMPOTENCY_KEY_REUSED")
    return _replayed(actor, row) if row.status else Ticket(actor, row)


def is_dry_run(request: HttpRequest) -> bool:
    """Raises Malformed for anything but true and false, once."""
    texts = request.GET.getlist("dry_run", ["false"])
    if len(texts) != 1 or texts[0] not in ("true", "false"):
        message = "dry_run must be true or false."
        raise Malformed(message, [Detail("dry_run", "not_a_flag", message)])
    return texts == ["true"]


def _still_running() -> Conflict:
    message = "The first request with this Idempotency-Key is still running. Try again in a moment."
    return Conflict(message, code="STILL_RUNNING")


def _is_login(request: HttpRequest) -> bool:
    return request.path_info.startswith("/v1/admin/auth/")


def _read_key(request: HttpRequest) -> str:
    key: str = request.headers["Idempotency-Key"]
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        message = "Idempotency-Key must be 1 to 255 printable ASCII characters, such as a UUID."
        raise Malformed(message, [Detail("Idempotency-Key", "invalid_key", message)])
    return key


def _fingerprint(request: HttpRequest) -> str:
    """Keyed: a password stands in some bodies, and a plain hash in a backup would be quick to try guesses against."""
    head = f"{request.method} {request.get_full_path()}\n"
    return salted_hmac(SALT, head.encode(errors="surrogatepass") + request.body, algorithm="sha256").hexdigest()


def _replayed(actor: Actor, row: IdempotentAnswer) -> HttpResponse:
    headers = dict(row.headers)
    if not allows(actor.role, Role(headers.pop(ROLE))):
        raise Forbidden("Your role has changed since this request was answered, and does not allow it any more.")
    body = secrets.unseal(bytes(row.body).decode(), context=row.seal_context)
    return HttpResponse(body, status=row.status, headers={**headers, "Idempotent-Replayed": "true"})
