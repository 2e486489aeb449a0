"""The console: Django's admin with our own frame, one guard at its login, and an organisation at work."""

from functools import partial, wraps
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from accounts.admin.audit_log import AuditLogAdmin
from accounts.admin.console import CHOSEN_ORGANISATION, organisation_id_of, role_of, signed_in
from accounts.admin.login import LoginForm, PasswordChange
from accounts.admin.sending import new_form_key
from accounts.admin.users import UserAdmin
from accounts.models import ApiToken, AuditEntry, Organisation, User
from accounts.roles import Role, allows
from integrations.admin.catalogue import catalogue, install_page, vendor_page
from integrations.models import Template
from pipelines.admin.fleet import fleet
from pipelines.admin.home import home
from pipelines.admin.pins import PinAdmin
from pipelines.admin.pipelines import PipelineAdmin
from pipelines.admin.returning import received
from pipelines.admin.rollouts import RolloutAdmin
from pipelines.admin.templates import TemplateAdmin
from pipelines.admin.tokens import TokenAdmin
from pipelines.models import Pin, Pipeline, Rollout

PAGES = {
    Pipeline: PipelineAdmin,
    Pin: PinAdmin,
    Rollout: RolloutAdmin,
    Template: TemplateAdmin,
    User: UserAdmin,
    ApiToken: TokenAdmin,
    AuditEntry: AuditLogAdmin,
}
SECTIONS = (
    ("Home", "admin:index", Role.VIEWER),
    ("Fleet", "admin:fleet", Role.VIEWER),
    ("Pipelines", "admin:pipelines_pipeline_changelist", Role.VIEWER),
    ("Integrations", "admin:pipelines_pin_changelist", Role.VIEWER),
    ("Rollouts", "admin:pipelines_rollout_changelist", Role.VIEWER),
    ("Templates", "admin:integrations_template_changelist", Role.VIEWER),
    ("Catalogue", "admin:catalogue", Role.VIEWER),
    ("Users", "admin:accounts_user_changelist", Role.ADMIN),
    ("API tokens", "admin:accounts_apitoken_changelist", Role.ADMIN),
    ("Audit log", "admin:accounts_auditentry_changelist", Role.ADMIN),
)


class OrganisationForm(forms.Form):
    organisation = forms.ModelChoiceField(Organisation.objects.order_by("name"))


class ConsoleSite(AdminSite):
    site_title = "Pinion"
    site_header = "Pinion"
    index_title = "Home"
    site_url = None
    login_form = LoginForm
    enable_nav_sidebar = False  # our sections are few enough to stand in one line
    empty_value_display = "–"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        for model, page in PAGES.items():
            self.register(model, page)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        if request.user.is_authenticated:
            context |= self._frame(request)
        return context

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Our own sections stand in place of Django's list of models."""
        return []

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """A superuser chooses an organisation before anything else; a form outlives the session of who sends it."""

        @wraps(view)
        def inside(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if self.has_permission(request) and not organisation_id_of(request):
                return HttpResponseRedirect(reverse("admin:choose_organisation"))
            response: HttpResponse = view(request, *args, **kwargs)
            return response

        return self._receiving(super().admin_view(inside, cacheable))

    def get_urls(self) -> list[URLResolver | URLPattern]:
        choose = self._receiving(super().admin_view(self.choose_organisation))
        return [
            path("organisation/", choose, name="choose_organisation"),
            path("fleet/", self.admin_view(partial(fleet, self)), name="fleet"),
            path("catalogue/", self.admin_view(partial(catalogue, self)), name="catalogue"),
            path("catalogue/<str:key>/", self.admin_view(partial(vendor_page, self)), name="catalogue_vendor"),
            path(
                "catalogue/<str:key>/install/", self.admin_view(partial(install_page, self)), name="catalogue_install"
            ),
            *super().get_urls(),
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return home(self, request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        frame = self.each_context(request) | {"button": "Change password", "back": reverse("admin:index")}
        view = PasswordChange.as_view(extra_context=frame | (extra_context or {}))
        return view(request)

    def choose_organisation(self, request: HttpRequest) -> HttpResponse:
        """For superusers, who belong to none."""
        if signed_in(request).organisation_id:
            return HttpResponseRedirect(reverse("admin:index"))
        form = OrganisationForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            request.session[CHOSEN_ORGANISATION] = form.cleaned_data["organisation"].pk
            return HttpResponseRedirect(reverse("admin:index"))
        context = self.each_context(request) | {"form": form, "title": "Choose an organisation"}
        return TemplateResponse(request, "console/choose_organisation.html", context)

    def _receiving(self, view: Any) -> Any:
        """Around Django's own guard, which would lead a form to the login and lose it."""

        @wraps(view)
        def outside(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            is_form = request.method == "POST" and request.path != reverse("admin:logout")
            answer = received(self, request) if is_form else None
            return answer or view(request, *args, **kwargs)

        return outside

    def _frame(self, request: HttpRequest) -> dict[str, Any]:
        """The sections that this person's role opens, and where they are."""
        role = role_of(request)
        organisation = Organisation.objects.filter(pk=organisation_id_of(request)).first()
        sections = [(title, reverse(name)) for title, name, needed in SECTIONS if organisation and allows(role, needed)]
        current = max((address for _, address in sections if request.path.startswith(address)), key=len, default="")
        return {
            "sections": sections,
            "current_section": current,
            "organisation": organisation,
            "role": role.value,
            "form_key": new_form_key(request),
        }
