"""The one mapper from refusals to answers: every error a client sees has the same shape and is made here."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.views import defaults
from psycopg.errors import DiskFull
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts import errors
from accounts.errors import Detail, Malformed, Refused
from config.rest.requests import REQUEST_ID

logger = logging.getLogger(__name__)


class TooLarge(Malformed):
    code = "TOO_LARGE"


class Unsupported(Malformed):
    """The body is of a kind that is not read here."""

    code = "UNSUPPORTED_MEDIA_TYPE"


STATUSES: Mapping[type[Refused], int] = {
    TooLarge: 413,
    Unsupported: 415,
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.Stale: 412,
    errors.Invalid: 422,
    errors.PreflightFailed: 422,
    errors.ServedElsewhere: 501,
    errors.Unavailable: 503,
}
NOT_ALLOWED = errors.Forbidden("Your role does not allow this. Ask an admin of your organisation.")
WRONG_METHOD = "This address does not take this method. The Allow header lists those that it takes."
NOTHING_HERE = errors.NotFound("There is nothing at this address.")
FRAMEWORK: Mapping[type[Exception], Refused] = {
    exceptions.NotAuthenticated: errors.Unauthenticated(
        "Credentials are missing. Send the header “Authorization: Bearer {access_token}”."
    ),
    exceptions.UnsupportedMediaType: Unsupported("The body must be JSON. Send it with Content-Type: application/json."),
    exceptions.PermissionDenied: NOT_ALLOWED,
    PermissionDenied: NOT_ALLOWED,
    exceptions.NotFound: NOTHING_HERE,
    Http404: NOTHING_HERE,
    RequestDataTooBig: TooLarge("The body is too large."),
    SuspiciousOperation: Malformed("This request cannot be answered: it holds more than any request of ours needs."),
    UnreadablePostError: Malformed("The body ended before all of it was here. Send it again."),
}


def envelope(code: str, message: str, details: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The body of every error."""
    return {"error": {"code": code, "message": message, "details": list(details)}}


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn what a view raised into its answer; None leaves it to `answer_to`."""
    set_rollback()
    refusal = refusal_of(error)
    if refusal is not None:
        return _answer(refusal, context)
    if isinstance(error, exceptions.ValidationError):
        details = [_as_json(detail) for detail in _flat(error.detail)]
        return Response(envelope("VALIDATION_ERROR", _summary(details), details), status=422)
    if isinstance(error, exceptions.APIException):
        return _framework_answer(error)
    return None


def answer_to(error: Exception, request: HttpRequest) -> HttpResponse:
    """The answer to anything raised outside of a view, or that no view can answer; faults are logged."""
    if (refusal := refusal_of(error)) is not None:
        return answer_for(refusal)
    if (fault := _database_fault(error)) is not None:
        return _said(envelope(fault.code, fault.message), fault.status, fault.headers)
    logger.error("A request failed", exc_info=error)
    return _internal_error(request, 500)


def page_for(error: Exception) -> HttpResponse | None:
    """The console's page for what the database would not do; None leaves it to Django."""
    fault = _database_fault(error)
    return _page(fault.status, fault.title, fault.message, fault.headers) if fault else None


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's last resort, for what is raised outside of every view: as where a session is saved."""
    error = sys.exc_info()[1]
    page = page_for(error) if isinstance(error, Exception) and is_console(request) else None
    return page or defaults.server_error(request)


def refusal_of(error: Exception) -> Refused | None:
    """The refusal that an exception stands for, or None where it stands for a fault."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, exceptions.ParseError):
        return Malformed(str(error.detail))
    return next((refusal for kind, refusal in FRAMEWORK.items() if isinstance(error, kind)), None)


def status_of(refusal: Refused) -> int:
    if isinstance(refusal, errors.TooManyAttempts):
        return 401 if refusal.code == "ACCOUNT_LOCKED" else 429
    return next(status for kind, status in STATUSES.items() if isinstance(refusal, kind))


def headers_of(refusal: Refused) -> dict[str, str]:
    headers = {"WWW-Authenticate": "Bearer"} if status_of(refusal) == 401 else {}
    if isinstance(refusal, errors.TooManyAttempts):
        headers["Retry-After"] = str(refusal.retry_after)
    if isinstance(refusal, errors.Unavailable):
        headers["Retry-After"] = "1"
    return headers


def answer_for(refusal: Refused) -> HttpResponse:
    """The answer to a refusal outside of any view."""
    details = [_as_json(detail) for detail in refusal.details]
    body = envelope(refusal.code, refusal.message, details)
    return _said(body, status_of(refusal), headers_of(refusal))


def is_api(request: HttpRequest) -> bool:
    """Whether the address is one for programs; all others keep Django's own pages."""
    return request.path_info == "/v1" or request.path_info.startswith("/v1/")


def is_console(request: HttpRequest) -> bool:
    return request.path_info == "/admin" or request.path_info.startswith("/admin/")


class ApiErrors:
    """Under /v1 every error has the one shape, also where no view was reached or Django has a page of its own.

    The console answers the same faults with a page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_console(request) and request.method == "POST" and (refused := _unreadable_form(request)) is not None:
            return refused
        response = self.get_response(request)
        if response.status_code >= 400 and is_api(request) and "json" not in response.get("Content-Type", ""):
            return _enveloped(request, response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Called by Django for what a view raises; None leaves it to Django."""
        if is_api(request):
            return answer_to(error, request)
        return page_for(error) if is_console(request) else None


@dataclass(frozen=True)
class _Fault:
    """What the database would not do, in the words of both doors; never in its own."""

    status: int
    code: str
    title: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


CONFLICT = _Fault(
    409, "CONFLICT", "Not saved", "Something else changed at the same moment. Read it again, then repeat your change."
)
UNAVAILABLE = _Fault(
    503,
    "UNAVAILABLE",
    "Not available",
    "The database is not available just now. Try again in a moment.",
    {"Retry-After": "1"},
)
# Not 503, which promises that it will soon be better: somebody has to make room first.
NO_ROOM = _Fault(
    507,
    "STORAGE_FULL",
    "No room",
    "The database has no room left to write, and nothing of this has been kept. Whoever runs Pinion has to free space on "
    "its disk; then send it again.",
    {"Retry-After": "30"},
)
NOT_WRITTEN = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")  # a full disk, and a quota or a limit that has been reached
OUT_OF_RANGE = _Fault(
    400, "BAD_REQUEST", "Not readable", "The request holds a number, a time or a text that is out of range."
)


def _database_fault(error: Exception) -> _Fault | None:
    """Logs the fault that it finds."""
    if isinstance(error, IntegrityError):
        logger.warning("A rule of the database refused a write", exc_info=error)
        return CONFLICT
    if isinstance(error, OperationalError) and _has_no_room(error):
        logger.error("The database has no room left to write", exc_info=error)
        return NO_ROOM
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("The database did not answer", exc_info=error)
        return UNAVAILABLE
    if isinstance(error, DataError | OverflowError):
        logger.error("A value that cannot be kept passed every check", exc_info=error)
        return OUT_OF_RANGE
    return None


def _has_no_room(error: OperationalError) -> bool:
    cause = error.__cause__
    return isinstance(cause, DiskFull) or getattr(cause, "sqlite_errorname", "") in NOT_WRITTEN


def _unreadable_form(request: HttpRequest) -> HttpResponse | None:
    """PostgreSQL keeps no NUL, and not every value of a form passes a field that refuses one.

    Of a form that is too large only the beginning has been kept.
    """
    length, most = request.META.get("CONTENT_LENGTH") or "0", settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length.isascii() and length.isdigit() and int(length) > most:
        return _page(413, "Too large", f"The form is too large. Send at most {most // 1024} KiB.")
    try:
        form = request.POST
    except UnreadablePostError:
        return _page(400, "Not readable", "The form ended before all of it was here. Send it again.")
    except (BadRequest, SuspiciousOperation, MultiPartParserError):  # too many parts, or none that can be read
        return _page(400, "Not readable", "The form holds more than any form of ours, or cannot be read as one.")
    if any("\0" in text for name, texts in form.lists() for text in (name, *texts)):
        return _page(400, "Not readable", "The form holds a NUL character. Take it out.")
    return None


def _page(status: int, title: str, message: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Needs nothing of the request: no session, no person and no database."""
    page = render_to_string("500.html", {"title": title, "message": message})
    return HttpResponse(page, status=status, headers={"Cache-Control": "no-store", **(headers or {})})


def _answer(refusal: Refused, context: Mapping[str, Any]) -> Response:
    body = envelope(refusal.code, refusal.message, [_as_json(detail) for detail in refusal.details])
    response = Response(body, status=status_of(refusal), headers=headers_of(refusal))
    if isinstance(refusal, errors.Stale):
        view = context["view"]
        body["current"] = view.represent(refusal.current)
        response["ETag"] = view.etag(refusal.current)
    return response


def _framework_answer(error: exceptions.APIException) -> Response:
    code = HTTPStatus(error.status_code).phrase.upper().replace(" ", "_").replace("-", "_")
    headers = {"Retry-After": str(int(wait))} if (wait := getattr(error, "wait", None)) else {}
    sentence = WRONG_METHOD if isinstance(error, exceptions.MethodNotAllowed) else str(error.detail)
    return Response(envelope(code, sentence), status=error.status_code, headers=headers)


def _said(body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer from outside of every middleware that could still say how long it is."""
    answer = JsonResponse(body, status=status, headers=headers)
    answer["Content-Length"] = str(len(answer.content))
    return answer


def _enveloped(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """What a page of Django's own says, in our shape."""
    if response.status_code == 404:
        return answer_for(NOTHING_HERE)
    if response.status_code == 405:
        allowed = {"Allow": response["Allow"]}
        return _said(envelope("METHOD_NOT_ALLOWED", WRONG_METHOD), status=405, headers=allowed)
    if response.status_code >= 500:
        return _internal_error(request, response.status_code)
    message = "This request cannot be answered: its Host header or another part of it is not acceptable here."
    return _said(envelope("BAD_REQUEST", message), status=response.status_code)


def _internal_error(request: HttpRequest, status: int) -> HttpResponse:
    message = f"Something went wrong here. Report this request id: {request.META[REQUEST_ID]}."
    return _said(envelope("INTERNAL_ERROR", message), status=status)


def _as_json(detail: Detail) -> dict[str, Any]:
    return {"field": detail.field, "code": detail.code, "message": detail.message, **detail.extra}


def _flat(problem: Any, path: str = "") -> Iterator[Detail]:
    """The tree that a serializer makes of its complaints, as a list with a path for each."""
    if isinstance(problem, Mapping):
        for name, inner in problem.items():
            here = "" if name == "non_field_errors" else str(name)
            yield from _flat(inner, "/".join(filter(None, (path, here))))
    elif isinstance(problem, list):
        for inner in problem:
            yield from _flat(inner, path)
    else:
        yield Detail(path, str(getattr(problem, "code", "invalid")), str(problem))


def _summary(details: Sequence[Mapping[str, Any]]) -> str:
    first = details[0]
    more = f" ({len(details) - 1} more)" if len(details) > 1 else ""
    return f"{first['field']}: {first['message']}{more}" if first["field"] else f"{first['message']}{more}"
