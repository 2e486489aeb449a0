"""What every answer says to browsers and caches: run nothing that is not ours, stand in no frame, keep no copy.

And what Django's page of an error, which shows settings and environment while DEBUG is on, leaves out.
"""

import re
from collections.abc import Callable, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.views.debug import SafeExceptionReporterFilter

# Django sends the first three too, but not with what is answered before its own middleware is reached.
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",  # secrets or people stand in most answers; the few others say what they are
}


class GuardingHeaders:
    """Around everything that may answer; what an answer says by itself stays.

    Sends `SECURE_CSP`, the setting that Django 6 reads itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._said = {**ALWAYS, "Content-Security-Policy": written(settings.SECURE_CSP)}
        self._said_by_docs = {**ALWAYS, "Content-Security-Policy": written(settings.SECURE_CSP_DOCS)}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in (self._said_by_docs if request.path == "/v1/docs" else self._said).items():
            response.headers.setdefault(name, value)
        return response


def written(policy: Mapping[str, list[str]]) -> str:
    """`{"default-src": ["'self'"]}` as the header has it."""
    return "; ".join(" ".join([directive, *sources]) for directive, sources in policy.items())


class Concealing(SafeExceptionReporterFilter):
    """Knows that the address of the database holds a password; the names of all other secrets say that they are some."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|DATABASE_URL", re.IGNORECASE)
