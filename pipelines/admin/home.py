"""The home page: what needs attention, what changed last, and how far behind the pins are."""

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Count, F, Q
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.admin.console import organisation_id_of
from integrations.vendors import VENDORS
from pipelines.admin.recent import last_changes
from pipelines.admin.rollout_words import Summary, summaries, with_names
from pipelines.models import Pin, Pipeline, Rollout

RECENT = 10
WORST = 10


@dataclass(frozen=True)
class VendorAge:
    """How many of a vendor's pins are at the latest revision, one behind, or further; widths are per cent."""

    name: str
    address: str
    current: int
    one_behind: int
    further: int

    @property
    def latest_address(self) -> str:
        return f"{self.address}&outdated=false"

    @property
    def one_behind_address(self) -> str:
        return f"{self.address}&outdated=one"

    @property
    def further_address(self) -> str:
        return f"{self.address}&outdated=more"

    @property
    def total(self) -> int:
        return self.current + self.one_behind + self.further

    @property
    def current_width(self) -> float:
        return round(100 * self.current / self.total, 1)

    @property
    def one_behind_width(self) -> float:
        return round(100 * self.one_behind / self.total, 1)

    @property
    def further_start(self) -> float:
        return round(self.current_width + self.one_behind_width, 1)

    @property
    def further_width(self) -> float:
        return round(100 - self.further_start, 1)


def home(site: AdminSite, request: HttpRequest) -> TemplateResponse:
    """Every number leads to the list behind it."""
    organisation_id = organisation_id_of(request)
    pins = Pin.objects.in_organisation(organisation_id)
    counts = pins.aggregate(
        all=Count("pk"), enabled=Count("pk", filter=Q(enabled=True)), behind=Count("pk", filter=_BEHIND)
    )
    context = {
        "title": "Home",
        "counts": counts,
        "unresolved": pins.filter(resolvable=False).count(),
        "pipeline_count": Pipeline.objects.in_organisation(organisation_id).count(),
        "templates_behind": _templates_behind(organisation_id),
        "ages": _ages(organisation_id),
        "rollouts": _rollouts(organisation_id),
        "rollout_count": Rollout.objects.in_organisation(organisation_id).active().count(),
        "recent": last_changes(organisation_id, RECENT),
    }
    return TemplateResponse(request, "console/home.html", site.each_context(request) | context)


_BEHIND = Q(revision__number__lt=F("template__latest_number"))


def _templates_behind(organisation_id: str) -> list[Any]:
    pins = Pin.objects.in_organisation(organisation_id).filter(_BEHIND)
    rows = pins.values("template_id", "template__name").annotate(behind=Count("pk")).order_by("-behind")[:WORST]
    return list(rows)


def _rollouts(organisation_id: str) -> list[Summary]:
    """Those under way, with who waits for somebody first."""
    active = with_names(Rollout.objects.in_organisation(organisation_id).active())
    return summaries(active.order_by("state", "-started_at", "pk")[:WORST])  # paused comes before running


def _ages(organisation_id: str) -> list[VendorAge]:
    distance = F("template__latest_number") - F("revision__number")
    pins = Pin.objects.in_organisation(organisation_id).annotate(distance=distance)
    rows = pins.values("template__vendor").annotate(
        current=Count("pk", filter=Q(distance=0)),
        one=Count("pk", filter=Q(distance=1)),
        further=Count("pk", filter=Q(distance__gt=1)),
    )
    pins_list = reverse("admin:pipelines_pin_changelist")
    ages = [
        VendorAge(
            VENDORS[row["template__vendor"]].name if row["template__vendor"] in VENDORS else row["template__vendor"],
            f"{pins_list}?vendor={row['template__vendor']}",
            row["current"],
            row["one"],
            row["further"],
        )
        for row in rows
    ]
    return sorted(ages, key=lambda age: -age.total)
