"""The one mapper from refusals to answers: every error a client sees has the same shape and is made here."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts import errors
from accounts.errors import Detail, Refused
from config.rest.requests import REQUEST_ID

logger = logging.getLogger(__name__)

STATUSES: Mapping[type[Refused], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.Invalid: 422,
    errors.PreflightFailed: 422,
}
FRAMEWORK: Mapping[type[Exception], Refused] = {
    exceptions.NotAuthenticated: errors.Unauthenticated(
        "Credentials are missing. Send the header “Authorization: Bearer {access_token}”."
    ),
    exceptions.PermissionDenied: errors.Forbidden("Your role does not allow this. Ask an admin of your organisation."),
    PermissionDenied: errors.Forbidden("Your role does not allow this. Ask an admin of your organisation."),
    exceptions.NotFound: errors.NotFound("There is nothing at this address."),
    Http404: errors.NotFound("There is nothing at this address."),
}


def envelope(code: str, message: str, details: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The body of every error."""
    return {"error": {"code": code, "message": message, "details": list(details)}}


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn what a view raised into its answer; None is what Django then makes a logged 500 of."""
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


def refusal_of(error: Exception) -> Refused | None:
    """The refusal that an exception stands for, or None where it stands for a fault."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, RequestDataTooBig | TooManyFieldsSent):
        return errors.Malformed("The body is too large. Send at most 2 MiB.", code="TOO_LARGE")
    if isinstance(error, exceptions.ParseError):
        return errors.Malformed(str(error.detail))
    return next((refusal for kind, refusal in FRAMEWORK.items() if isinstance(error, kind)), None)


def status_of(refusal: Refused) -> int:
    if refusal.code == "TOO_LARGE":
        return 413
    if isinstance(refusal, errors.TooManyAttempts):
        return 401 if refusal.code == "ACCOUNT_LOCKED" else 429
    return next(status for kind, status in STATUSES.items() if isinstance(refusal, kind))


def _answer(refusal: Refused, context: Mapping[str, Any]) -> Response:
    body = envelope(refusal.code, refusal.message, [_as_json(detail) for detail in refusal.details])
    response = Response(body, status=status_of(refusal), headers=headers_of(refusal))
    if isinstance(refusal, errors.Stale):
        view = context["view"]
        body["current"] = view.represent(refusal.current)
        response["ETag"] = view.etag(refusal.current)
    return response


def headers_of(refusal: Refused) -> dict[str, str]:
    if isinstance(refusal, errors.TooManyAttempts):
        return {"Retry-After": str(refusal.retry_after)}
    if isinstance(refusal, errors.Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    return {}


def _framework_answer(error: exceptions.APIException) -> Response:
    code = HTTPStatus(error.status_code).phrase.upper().replace(" ", "_").replace("-", "_")
    headers = {"Retry-After": str(int(wait))} if (wait := getattr(error, "wait", None)) else {}
    return Response(envelope(code, _sentence(error)), status=error.status_code, headers=headers)


def _sentence(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.MethodNotAllowed):
        return "This address does not take this method. The Allow header lists those that it takes."
    if isinstance(error, exceptions.UnsupportedMediaType):
        return "The body must be JSON. Send it with “Content-Type: application/json”."
    return str(error.detail)


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


class ApiErrors:
    """Errors of addresses under /v1 that no view answers, and faults in any: the same shape, and nothing told."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return answer_for(errors.Malformed("The address holds a NUL character. Take it out."))
        try:
            response = self.get_response(request)
        except Exception as error:  # what the middleware below raises reaches no view's handler
            response = self._failed(request, error)
        if _is_api(request) and response.status_code >= 400 and "json" not in response.get("Content-Type", ""):
            return self._enveloped(request, response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return self._failed(request, error) if _is_api(request) else None

    def _failed(self, request: HttpRequest, error: Exception) -> HttpResponse:
        if (refusal := refusal_of(error)) is not None:
            return answer_for(refusal)
        request_id = request.META[REQUEST_ID]
        if isinstance(error, IntegrityError):
            logger.warning("A rule of the database refused a write", exc_info=error)
            conflict = "Something else changed at the same moment. Read it again, then repeat your change."
            return JsonResponse(envelope("CONFLICT", conflict), status=409)
        if isinstance(error, OperationalError):
            logger.error("The database did not answer", exc_info=error)
            busy = "The database is not available just now. Try again in a moment."
            return JsonResponse(envelope("UNAVAILABLE", busy), status=503, headers={"Retry-After": "1"})
        logger.error("A request failed", exc_info=error)
        message = f"Something went wrong here. Report this request id: {request_id}."
        return JsonResponse(envelope("INTERNAL_ERROR", message), status=500)

    def _enveloped(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code == 404:
            return answer_for(errors.NotFound("There is nothing at this address."))
        if response.status_code >= 500:
            message = f"Something went wrong here. Report this request id: {request.META[REQUEST_ID]}."
            return JsonResponse(envelope("INTERNAL_ERROR", message), status=response.status_code)
        return JsonResponse(envelope("BAD_REQUEST", "This request cannot be answered."), status=response.status_code)


def answer_for(refusal: Refused) -> JsonResponse:
    """The answer to a refusal outside of any view."""
    details = [_as_json(detail) for detail in refusal.details]
    body = envelope(refusal.code, refusal.message, details)
    return JsonResponse(body, status=status_of(refusal), headers=headers_of(refusal))


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/v1")
