"""`/metrics`: what Prometheus reads. Requests from this server's processes, everything else from the database."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts.errors import Unauthenticated
from config.lately import Lately
from config.metrics import requests_so_far
from config.rest.errors import answer_for
from pipelines.census import Census, Pins, Processors, take_census
from pipelines.feed.serving.application import Standing
from pipelines.models import RolloutState

METRICS = "/metrics"
STANDING = "pinion.feed"  # where a server that also answers the feed puts how that is doing
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CENSUS_SECONDS = 10.0  # so long a count may be old; with 200,000 pins it takes about 200 ms
CLOSED = Unauthenticated(
    "Metrics are read with the METRICS_TOKEN of this server, as “Authorization: Bearer {METRICS_TOKEN}”. "
    "Where none is set they are closed."
)

census = Lately(take_census, CENSUS_SECONDS)


@csrf_exempt
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For whoever runs the server, about all organisations: no token of an organisation opens it."""
    if not _may_read(request):
        return answer_for(CLOSED)
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    figures = CollectorRegistry()
    figures.register(Figures(scope.get(STANDING)))
    text = generate_latest(requests_so_far()) + generate_latest(figures)
    return HttpResponse(text, content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _may_read(request: HttpRequest) -> bool:
    if not settings.METRICS_TOKEN:
        debug: bool = settings.DEBUG
        return debug
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and constant_time_compare(bearer.strip(), settings.METRICS_TOKEN)


class Figures(Collector):
    """What is read anew for each answer; a feed has a standing where this very process serves one."""

    def __init__(self, feed: Standing | None) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        try:
            counted = census()
        except Error:
            yield _one("pinion_database_up", "Whether the database answered just now.", 0)
        else:
            yield _one("pinion_database_up", "Whether the database answered just now.", 1)
            yield from _of(counted)
        if self._feed is not None:
            yield _one(
                "pinion_feed_streams_open",
                "Streams and snapshots of the feed under way in this process.",
                self._feed.streams,
            )
        if self._feed is not None and self._feed.age is not None:
            said = "How long ago this process compared its feed with the database."
            yield _one("pinion_feed_age_seconds", said, self._feed.age)


def _of(counted: Census) -> Iterator[Metric]:
    organisations = sorted({*counted.versions, *counted.pins, *counted.processors})
    pins = {key: counted.pins.get(key, Pins(0, 0, 0)) for key in organisations}
    processors = {key: counted.processors.get(key, Processors(0, 0)) for key in organisations}
    for name, said, values in (
        ("configuration_version", "The newest configuration version.", counted.versions),
        ("pins", "Pinned integrations, enabled or not.", {key: each.total for key, each in pins.items()}),
        ("pins_behind", "Those not at their template's latest.", {key: each.behind for key, each in pins.items()}),
        ("pins_unresolvable", "Those that lack something.", {key: each.unresolvable for key, each in pins.items()}),
        ("processors_live", "Instances that reported lately.", {key: each.live for key, each in processors.items()}),
        ("processors_silent", "Instances that are late.", {key: each.silent for key, each in processors.items()}),
    ):
        family = GaugeMetricFamily(f"pinion_{name}", said, labels=["organisation"])
        for key in organisations:
            family.add_metric([key], values.get(key, 0))
        yield family
    rollouts = GaugeMetricFamily("pinion_rollouts", "Rollouts by state.", labels=["organisation", "state"])
    for key in organisations:
        for state in RolloutState.values:
            rollouts.add_metric([key, state], counted.rollouts.get((key, state), 0))
    yield rollouts


def _one(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)
