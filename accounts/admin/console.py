"""What every page of the console shares: who acts, in which organisation, and how a refusal is told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.actors import Actor, ActorType
from accounts.admin.pages import IdsFirst
from accounts.errors import NotFound, Refused
from accounts.models import User
from accounts.roles import Role, allows

CHOSEN_ORGANISATION = "organisation"


def organisation_id_of(request: HttpRequest) -> str:
    """The organisation at work: the user's own, or the one that a superuser has chosen; empty before that."""
    user = signed_in(request)
    return user.organisation_id or str(request.session.get(CHOSEN_ORGANISATION, ""))


def role_of(request: HttpRequest) -> Role:
    """A superuser does in the chosen organisation what its admins do."""
    user = signed_in(request)
    return Role(user.role) if user.organisation_id else Role.ADMIN


def actor_of(request: HttpRequest) -> Actor:
    """The person at the console as the one who acts, read anew with every request."""
    user = signed_in(request)
    return Actor(
        ActorType.USER,
        user.pk,
        user.email,
        organisation_id_of(request),
        role_of(request),
        request.META.get("pinion.request_id", ""),
        request.META.get("pinion.ip_address"),
    )


def signed_in(request: HttpRequest) -> User:
    """The user of this request. Raises PermissionDenied where nobody is signed in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def require(request: HttpRequest, needed: Role) -> None:
    """Raises PermissionDenied unless the person's role allows what takes this one."""
    if not allows(role_of(request), needed):
        raise PermissionDenied


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Do something that may be refused: a refusal becomes a message with every reason, and nothing has changed."""
    try:
        yield
    except NotFound as refusal:
        raise Http404(refusal.message) from None
    except Refused as refusal:
        reasons = [detail.message for detail in refusal.details if detail.message != refusal.message]
        messages.error(request, " ".join(dict.fromkeys([refusal.message, *reasons])))


def rehearse(change: Callable[[], object]) -> list[str]:
    """Do a change and take it all back; what stands in its way, if anything. The services' own dry run."""
    try:
        with transaction.atomic():
            change()
            transaction.set_rollback(True)
    except Refused as refusal:
        return list(dict.fromkeys([refusal.message, *(detail.message for detail in refusal.details)]))
    return []


@dataclass(frozen=True)
class Question:
    """A page that says what a change will do and asks for it; nothing happens before the button."""

    title: str
    explanation: str
    button: str
    back: str
    changes: Sequence[tuple[str, str, str]] = ()  # what, before, after
    problems: Sequence[str] = ()
    note: str | None = None  # what else to know before, with links where it is safe text
    dangerous: bool = False
    fields: Sequence[tuple[str, str]] = ()  # hidden inputs, such as the tag of what was seen


class ConsoleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # the class takes no parameters at run time
    """A model in the console: lists are Django's own, changes go through the services, each on a page of ours."""

    reads: ClassVar[Role] = Role.VIEWER
    writes: ClassVar[Role] = Role.EDITOR
    linked_filters: ClassVar[tuple[str, ...]] = ()  # further columns that pages of ours link to
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter is a statement for each
    paginator = IdsFirst
    list_per_page = 50
    list_max_show_all = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows of the organisation at work, and no others."""
        return super().get_queryset(request).filter(organisation_id=organisation_id_of(request))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Nothing but the filters that are offered: any other column could be guessed at, a password's hash too."""
        offered = [name for entry in self.list_filter for name in _parameters_of(entry)]
        return lookup in {*offered, *(f"{name}__exact" for name in offered), *self.linked_filters}

    @admin.display(description="Added (UTC)", ordering="created_at")
    def added(self, row: Any) -> SafeString:
        return time_of(row.created_at)

    @admin.display(description="Changed (UTC)", ordering="updated_at")
    def changed(self, row: Any) -> SafeString:
        return time_of(row.updated_at)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_authenticated and allows(role_of(request), self.reads)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def may_write(self, request: HttpRequest) -> bool:
        return allows(role_of(request), self.writes)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = str(self.model._meta.verbose_name_plural).capitalize()
        shared = {"may_write": self.may_write(request), "title": title}
        return super().changelist_view(request, shared | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        """Of Django's pages only the list: its own forms would go round the services, and show every column."""
        return [self.route("", self.changelist_view, "changelist")]

    def found(self, request: HttpRequest, key: str) -> Any:
        """The row of the address. Raises Http404, also for a row of another organisation."""
        row = self.get_queryset(request).filter(pk=key).first()
        if row is None:
            raise Http404
        return row

    def route(self, address: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
        """An address below this model's own, named as the admin names its own: `admin:pipelines_pin_<name>`."""
        meta = self.model._meta
        full_name = f"{meta.app_label}_{meta.model_name}_{name}"
        return path(address, self.admin_site.admin_view(view), name=full_name)

    def page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """One of our own pages, within the console's frame."""
        shared = self.admin_site.each_context(request) | {
            "opts": self.model._meta,
            "may_write": self.may_write(request),
        }
        return TemplateResponse(request, f"console/{template}", shared | context)

    def ask(self, request: HttpRequest, question: Question) -> TemplateResponse:
        return self.page(request, "question.html", question=question, title=question.title)

    def back(self, address: str) -> HttpResponseRedirect:
        return HttpResponseRedirect(address)


def time_of(moment: datetime) -> SafeString:
    """A time in a list, written as everywhere."""
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), f"{moment:%Y-%m-%d %H:%M}")


def _parameters_of(entry: Any) -> tuple[str, ...]:
    """What a filter is called in an address: a column by its name, a filter of ours by its own name or names."""
    names: tuple[str, ...] = getattr(entry, "names", None) or (str(getattr(entry, "parameter_name", entry)),)
    return names
