"""How much there is of what operators watch, in every organisation: for metrics, so it names nobody."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, F, Q
from django.utils import timezone

from pipelines.models import ConfigurationHead, Pin, Processor, Rollout


class Pins(NamedTuple):
    """Of one organisation: all, those behind their template's latest revision, those that lack a parameter."""

    total: int
    behind: int
    unresolvable: int


class Processors(NamedTuple):
    """Of one organisation, with tokens that still open the feed: those that reported lately, and those that did not."""

    live: int
    silent: int


class Census(NamedTuple):
    """By organisation, or by organisation and state; what is not named there is none."""

    versions: Mapping[str, int]
    pins: Mapping[str, Pins]
    rollouts: Mapping[tuple[str, str], int]
    processors: Mapping[str, Processors]


def take_census() -> Census:
    """In four statements, however many organisations there are; the pins are all looked at."""
    return Census(
        dict(ConfigurationHead.objects.values_list("organisation_id", "number")), _pins(), _rollouts(), _processors()
    )


def _pins() -> dict[str, Pins]:
    behind = Count("pk", filter=Q(revision__number__lt=F("template__latest_number")))
    unresolvable = Count("pk", filter=Q(resolvable=False))
    rows = _by_organisation(Pin.objects.all(), total=Count("pk"), behind=behind, unresolvable=unresolvable)
    return {row["organisation_id"]: Pins(row["total"], row["behind"], row["unresolvable"]) for row in rows}


def _rollouts() -> dict[tuple[str, str], int]:
    rows = Rollout.objects.order_by().values_list("organisation_id", "state").annotate(Count("pk"))
    return {(organisation_id, state): count for organisation_id, state, count in rows}


def _processors() -> dict[str, Processors]:
    now = timezone.now()
    live = Count("pk", filter=Q(last_seen_at__gt=now - settings.PROCESSOR_LIVENESS))
    rows = _by_organisation(Processor.objects.let_in(now), total=Count("pk"), live=live)
    return {row["organisation_id"]: Processors(row["live"], row["total"] - row["live"]) for row in rows}


def _by_organisation(rows: Any, **counts: Count) -> Iterable[dict[str, Any]]:
    counted: Iterable[dict[str, Any]] = rows.order_by().values("organisation_id").annotate(**counts)
    return counted
