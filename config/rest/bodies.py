"""What comes in, before anything reads it: no NUL in an address, no body that is too large, compressed or not UTF-8."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError

from accounts.errors import Malformed, Refused
from config.rest.errors import TooLarge, Unsupported, answer_for, answer_to, is_api, status_of
from config.rest.servers import CHUNK, POLITE

READERS_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})


class ReadableRequests:
    """Refuses what cannot be read, and reads what can, so that nothing further in meets half a body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (refusal := _unreadable(request)) is not None:
            return answer_for(refusal) if is_api(request) else _plainly(refusal)
        if is_api(request) and request.method not in READERS_ONLY:
            try:
                _ = request.body  # kept by the request
            except UnreadablePostError as error:
                return answer_to(error, request)
        return self.get_response(request)


def _unreadable(request: HttpRequest) -> Refused | None:
    """Why a request is not read any further, or None. Django reads the query string in the charset of the body."""
    if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
        return Malformed("The address holds a NUL character. Take it out.")
    charset = (request.content_params or {}).get("charset", "utf-8")
    if charset.strip().lower() not in ("utf-8", "utf8"):
        return Unsupported("The body must be encoded as UTF-8. Leave the charset out of Content-Type.")
    if not is_api(request) or request.method in READERS_ONLY:
        return None
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        return Unsupported("The body must not be compressed. Send it without Content-Encoding.")
    if _length(request) > _limit():
        _let_finish(request)
        return TooLarge(f"The body is too large. Send at most {_limit() // 1024} KiB.")
    return None


def _let_finish(request: HttpRequest) -> None:
    for _ in range(POLITE // CHUNK):
        try:
            if not request.read(CHUNK):
                return
        except OSError:  # the client has left
            return


def _length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() else 0


def _limit() -> int:
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return limit


def _plainly(refusal: Refused) -> HttpResponse:
    return HttpResponse(refusal.message, status=status_of(refusal), content_type="text/plain")
