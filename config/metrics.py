"""Counting and timing every request by its route, never by its address: that names objects, and there is no end of it.

With several processes behind one port, `PROMETHEUS_MULTIPROC_DIR` names the folder in which they add up. The library
decides that while it is imported.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from time import perf_counter

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
OTHER = "other"  # a method that nobody takes, or an address that nothing stands behind
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")

if settings.METRICS_FOLDER:
    Path(settings.METRICS_FOLDER).mkdir(parents=True, exist_ok=True)
_own = CollectorRegistry()
_requests = Histogram(
    "pinion_http_request_duration_seconds",
    "Requests, and how long each took until its answer began.",
    ["route", "method", "status"],
    registry=_own,
    buckets=BUCKETS,
)


class Measured:
    """Stands outside of everything, so that it sees what the client sees."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        route = OTHER if match is None else written(match.route)
        observe(route, request.method or "", response.status_code, perf_counter() - began)
        return response


def observe(route: str, method: str, status: int, seconds: float) -> None:
    _series(route, method if method in METHODS else OTHER, f"{status // 100}xx").observe(seconds)


def requests_so_far() -> CollectorRegistry:
    """What all processes counted that share the folder, or this one alone where there is none."""
    if not settings.METRICS_FOLDER:
        return _own
    shared = CollectorRegistry()
    MultiProcessCollector(shared, path=settings.METRICS_FOLDER)  # type: ignore[no-untyped-call]  # it has no types
    return shared


@lru_cache(maxsize=1000)
def written(route: str) -> str:
    """A route as the API's own description writes it: `/v1/admin/pipelines/{id}`."""
    return "/" + ARGUMENT.sub(r"{\1}", route)


@lru_cache(maxsize=10_000)
def _series(route: str, method: str, status: str) -> Histogram:
    series: Histogram = _requests.labels(route, method, status)
    return series
