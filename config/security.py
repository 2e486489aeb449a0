"""The Content-Security-Policy of every page: nothing from another host, no inline script."""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


class ContentSecurityPolicy:
    """Sends `SECURE_CSP`, the setting that Django 6 reads itself, unless the answer brings its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        policy = settings.SECURE_CSP_DOCS if request.path == "/v1/docs" else settings.SECURE_CSP
        response.headers.setdefault("Content-Security-Policy", written(policy))
        return response


def written(policy: Mapping[str, list[str]]) -> str:
    """`{"default-src": ["'self'"]}` as the header has it."""
    return "; ".join(" ".join([directive, *sources]) for directive, sources in policy.items())
