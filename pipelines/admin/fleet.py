"""The fleet matrix: pipelines down, templates across, each cell the revision that runs there."""

from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse

from accounts.admin.console import organisation_id_of
from integrations.models import Template
from pipelines.admin.marks import LEGEND, Mark, mark_of
from pipelines.admin.pins import address_of, state_of
from pipelines.feed.applied import applied_states
from pipelines.models import Label, Pin, Pipeline

ROWS = 50
COLUMNS = 12


@dataclass(frozen=True)
class Cell:
    """One pin in the matrix, or the empty place where there could be one."""

    kind: str
    text: str
    label: str
    address: str = ""
    mark: Mark | None = None


def fleet(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Twelve statements, however many pipelines; nine where no live processor speaks of any of them."""
    organisation_id = organisation_id_of(request)
    query = request.GET.get("q", "").strip()
    templates = Template.objects.in_organisation(organisation_id).filter(latest_number__gt=0).order_by("name", "pk")
    if request.GET.get("vendor"):
        templates = templates.filter(vendor=request.GET["vendor"])
    columns = Paginator(templates, COLUMNS).get_page(request.GET.get("columns"))
    rows = Paginator(_pipelines(organisation_id, request.GET, query), ROWS).get_page(request.GET.get("page"))
    context = {
        "title": "Fleet",
        "columns": columns,
        "rows": _matrix(rows.object_list, list(columns)),
        "page": rows,
        "query": query,
        "labels": _labels(organisation_id),
        "vendors": sorted(set(Template.objects.in_organisation(organisation_id).values_list("vendor", flat=True))),
        "legend": LEGEND.values(),
        "chosen": request.GET,
        "next_page": _address(request.GET, page=rows.number + 1) if rows.has_next() else "",
        "previous_page": _address(request.GET, page=rows.number - 1) if rows.has_previous() else "",
        "next_columns": _address(request.GET, columns=columns.number + 1) if columns.has_next() else "",
        "previous_columns": _address(request.GET, columns=columns.number - 1) if columns.has_previous() else "",
    }
    return TemplateResponse(request, "console/fleet.html", site.each_context(request) | context)


def _pipelines(organisation_id: str, chosen: QueryDict, query: str) -> Any:
    pipelines = Pipeline.objects.in_organisation(organisation_id).order_by("name", "pk")
    key, colon, value = chosen.get("label", "").partition(":")
    if colon:
        pipelines = pipelines.filter(pk__in=Label.objects.labelled(organisation_id, key, value))
    if query:
        pipelines = pipelines.filter(name__icontains=query)
    if chosen.get("behind"):
        pipelines = pipelines.filter(pk__in=Pin.objects.in_organisation(organisation_id).outdated().values("pipeline"))
    return pipelines


def _matrix(pipelines: Any, columns: list[Template]) -> list[tuple[Pipeline, list[Cell]]]:
    rows = list(pipelines)
    pins = list(Pin.objects.filter(pipeline__in=rows, template__in=columns).with_names())
    states = applied_states(pins)
    at = {(pin.pipeline_id, pin.template_id): (pin, mark_of(states[pin.pk])) for pin in pins}
    return [(row, [_cell(at.get((row.pk, column.pk)), row, column) for column in columns]) for row in rows]


def _cell(found: tuple[Pin, Mark] | None, pipeline: Pipeline, template: Template) -> Cell:
    where = f"{template.name} on {pipeline.name}"
    if found is None:
        return Cell("none", "–", f"{where}: none")
    pin, mark = found
    kind, word = state_of(pin)
    label = f"{where}: revision {pin.revision.number}, {word}, {mark.text}"
    return Cell(kind, f"v{pin.revision.number}", label, address_of(pin), mark)


def _labels(organisation_id: str) -> list[str]:
    pairs = (
        Label.objects.in_organisation(organisation_id)
        .order_by("key", "value")
        .values_list("key", "value")
        .distinct()[:100]
    )
    return [f"{key}:{value}" for key, value in pairs]


def _address(chosen: QueryDict, **changed: int) -> str:
    """The same page with these parameters changed."""
    copy = chosen.copy()
    for name, value in changed.items():
        copy[name] = str(value)
    return f"?{copy.urlencode()}"
