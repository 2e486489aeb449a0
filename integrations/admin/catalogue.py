"""The catalogue in the console: vendors by category, what each needs, and installing one."""

from functools import partial

from django.contrib.admin import AdminSite
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.actors import Actor
from accounts.admin.console import actor_of, organisation_id_of, require, role_of
from accounts.admin.sending import Done, acts, settle
from accounts.errors import Refused
from accounts.roles import Role, allows
from integrations.admin.forms import InstallForm
from integrations.models import Template
from integrations.revisions import install
from integrations.vendors import CATEGORIES, VENDORS, Vendor

TEMPLATES_SHOWN = 20


def catalogue(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Every vendor that fits the search, by category, with how many templates there are of it."""
    query = request.GET.get("q", "").strip()
    templates = Template.objects.in_organisation(organisation_id_of(request)).order_by()
    counts = dict(templates.values_list("vendor").annotate(count=Count("pk")).values_list("vendor", "count"))
    groups = [
        (name, [(vendor, counts.get(vendor.key, 0)) for vendor in VENDORS.values() if _fits(vendor, key, query)])
        for key, name in CATEGORIES.items()
    ]
    found = [(name, vendors) for name, vendors in groups if vendors]
    context = {"title": "Catalogue", "query": query, "groups": found}
    return TemplateResponse(request, "console/catalogue.html", site.each_context(request) | context)


def vendor_page(site: AdminSite, request: HttpRequest, key: str) -> HttpResponse:
    vendor = _found(key)
    templates = Template.objects.in_organisation(organisation_id_of(request)).filter(vendor=key)
    context = {
        "title": vendor.name,
        "vendor": vendor,
        "category": CATEGORIES[vendor.category],
        "groups": [[_label(vendor, name) for name in group] for group in vendor.one_of],
        "variants": [
            (variant, [_label(vendor, name) for name in variant.requires], list(variant.preset.items()))
            for variant in vendor.variants
        ],
        "templates": templates.order_by("name", "pk")[:TEMPLATES_SHOWN],
        "template_count": templates.count(),
        "may_write": allows(role_of(request), Role.EDITOR),
    }
    return TemplateResponse(request, "console/catalogue_vendor.html", site.each_context(request) | context)


def install_page(site: AdminSite, request: HttpRequest, key: str) -> HttpResponse:
    require(request, Role.EDITOR)
    vendor = _found(key)
    actor = actor_of(request)
    data = request.POST if request.method == "POST" else None
    form = InstallForm(data, vendor=vendor, owner=f"install-form:{actor.id}:{key}")
    if form.is_bound and form.is_valid() and acts(request):
        try:
            return settle(request, partial(_installed, actor, key, form))
        except Refused as refusal:
            form.take(refusal)
    context = {"title": f"Install {vendor.name}", "vendor": vendor, "form": form}
    return TemplateResponse(request, "console/catalogue_install.html", site.each_context(request) | context)


def _installed(actor: Actor, key: str, form: InstallForm) -> Done:
    template, created = install(actor=actor, vendor=key, **form.wish)
    address = reverse("admin:integrations_template_page", args=[template.pk])
    warnings = tuple(warning.message for warning in created.warnings)
    return Done(address, f"{template.name} is installed. It runs nowhere until it is pinned.", warnings)


def _found(key: str) -> Vendor:
    if key not in VENDORS:
        raise Http404
    return VENDORS[key]


def _fits(vendor: Vendor, category: str, query: str) -> bool:
    words = f"{vendor.key} {vendor.name} {vendor.description} {CATEGORIES[vendor.category]}".casefold()
    return vendor.category == category and all(word in words for word in query.casefold().split())


def _label(vendor: Vendor, key: str) -> str:
    return next(field.label for field in vendor.fields if field.key == key)
