"""The people of an organisation, for its admins."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.console import ConsoleAdmin, Question, actor_of, rehearse, require, signed_in
from accounts.admin.forms import NewUserForm, PasswordForm, UserForm, blame
from accounts.admin.sending import Done, acts, carry_out, settle
from accounts.errors import Refused
from accounts.models import User
from accounts.roles import Role
from accounts.users import create_user, set_password, update_user

MESSAGE_OF_SELF = " This is you: it takes effect with your next click."


@dataclass(frozen=True)
class Deed:
    """One change to one user: how it is asked for, and the service call that does it."""

    title: str
    explanation: str
    button: str
    done: str
    change: Callable[[], object]
    fields: tuple[tuple[str, str], ...]
    dangerous: bool = False


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("enabled", "Enabled"), ("disabled", "Disabled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(is_active=self.value() == "enabled") if self.value() else queryset


class UserAdmin(ConsoleAdmin):
    reads = Role.ADMIN
    writes = Role.ADMIN
    list_display = ["named", "name", "role", "state", "added", "changed"]
    list_display_links = None
    list_filter = ["role", StateFilter]
    search_fields = ["email", "name", "id"]
    search_help_text = "Email, name or id"
    ordering = ["email"]
    actions = None
    change_list_template = "console/user_list.html"

    def get_urls(self) -> list[URLPattern]:
        return [
            self.route("new/", self.create, "new"),
            self.route("<str:key>/edit/", self.edit, "edit"),
            self.route("<str:key>/password/", self.password, "password"),
            self.route("<str:key>/do/<str:name>/", self.act, "act"),
            self.route("<str:key>/", self.show, "page"),
            *super().get_urls(),
        ]

    @admin.display(description="Email", ordering="email")
    def named(self, user: User) -> SafeString:
        return format_html('<a href="{}">{}</a>', address_of(user), user.email)

    @admin.display(description="State", ordering="is_active")
    def state(self, user: User) -> SafeString:
        kind, word = ("off", "Disabled") if user.disabled else ("current", "Enabled")
        return format_html('<span class="state state-{}">{}</span>', kind, word)

    def show(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.reads)
        user = self.found(request, key)
        audit_log = reverse("admin:accounts_auditentry_changelist")
        return self.page(request, "user.html", title=user.email, person=user, audit_log=audit_log)

    def create(self, request: HttpRequest) -> HttpResponse:
        require(request, self.writes)
        form = NewUserForm(request.POST or None)
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_created, request, form.cleaned_data))
            except Refused as refusal:
                blame(form, refusal)
        return self.page(request, "form.html", form=form, title="New user", button="Add user", back="../")

    def edit(self, request: HttpRequest, key: str) -> HttpResponse:
        """The form, then the question with what the form would change, then the change."""
        require(request, self.writes)
        user = self.found(request, key)
        form = UserForm(request.POST or None, initial=UserForm.facts(user))
        if request.method == "POST" and form.is_valid():
            deed = _edited(user, form.cleaned_data, actor_of(request))
            return self._ask_or_do(request, user, deed, confirmed="confirmed" in request.POST and acts(request))
        title = f"Edit {user.email}"
        return self.page(request, "form.html", form=form, title=title, button="Continue", back=address_of(user))

    def act(self, request: HttpRequest, key: str, name: str) -> HttpResponse:
        """Disable or enable."""
        require(request, self.writes)
        user = self.found(request, key)
        if name not in ("disable", "enable"):
            raise Http404
        tag = request.POST.get("tag", "none") if request.method == "POST" else user.tag
        change = partial(
            update_user, actor=actor_of(request), user_id=key, disabled=name == "disable", expected=tag or "none"
        )
        return self._ask_or_do(request, user, _switched(user, name, tag, change), confirmed=acts(request))

    def password(self, request: HttpRequest, key: str) -> HttpResponse:
        """For somebody who has none yet, or has forgotten theirs; one's own is changed with the old one."""
        require(request, self.writes)
        user = self.found(request, key)
        if user.pk == signed_in(request).pk:
            return self.back(reverse("admin:password_change"))
        form = PasswordForm(request.POST or None)
        if acts(request) and form.is_valid():
            try:
                return settle(request, partial(_password_set, request, user, form.cleaned_data["password"]))
            except Refused as refusal:
                blame(form, refusal)
        title = f"Set a password for {user.email}"
        return self.page(
            request,
            "form.html",
            form=form,
            title=title,
            explanation="They can log in with it at once. Wherever they are logged in now, they are logged out.",
            button="Set password",
            back=address_of(user),
        )

    def _ask_or_do(self, request: HttpRequest, user: User, deed: Deed, *, confirmed: bool) -> HttpResponse:
        self_made = user.pk == signed_in(request).pk
        if confirmed:
            then = reverse("admin:index") if self_made else address_of(user)
            return carry_out(request, deed.change, done=deed.done, then=then)
        if self_made:
            deed = replace(deed, explanation=deed.explanation + MESSAGE_OF_SELF)
        question = Question(
            title=deed.title,
            explanation=deed.explanation,
            button=deed.button,
            back=address_of(user),
            problems=rehearse(deed.change),
            dangerous=deed.dangerous,
            fields=[*deed.fields, ("confirmed", "yes")],
        )
        return self.ask(request, question)


def _created(request: HttpRequest, fields: dict[str, Any]) -> Done:
    wanted = fields | {"role": Role(fields["role"]), "password": fields["password"] or None}
    user = create_user(actor=actor_of(request), **wanted)
    return Done(address_of(user), f"{user.email} is here as {user.role}.")


def _password_set(request: HttpRequest, user: User, password: str) -> Done:
    set_password(actor=actor_of(request), user_id=user.pk, password=password)
    return Done(address_of(user), f"{user.email} has a new password.")


def _edited(user: User, wanted: dict[str, Any], actor: Any) -> Deed:
    tag = wanted["tag"] or "none"
    told_changes = [
        f"{field.capitalize()}: from “{getattr(user, field)}” to “{wanted[field]}”."
        for field in ("name", "role")
        if getattr(user, field) != wanted[field]
    ]
    change = partial(
        update_user, actor=actor, user_id=user.pk, name=wanted["name"], role=Role(wanted["role"]), expected=tag
    )
    return Deed(
        title=f"Change {user.email}?",
        explanation=" ".join(told_changes) or "Nothing: the form says what stands already.",
        button="Change",
        done=f"{user.email} is changed.",
        change=change,
        fields=(("name", wanted["name"]), ("role", wanted["role"]), ("tag", tag)),
    )


def _switched(user: User, name: str, tag: str, change: Callable[[], object]) -> Deed:
    if name == "disable":
        text = "They are logged out and cannot log in any more. What they did stays in the audit log."
        done = f"{user.email} is disabled."
        return Deed(f"Disable {user.email}?", text, "Disable", done, change, (("tag", tag),), dangerous=True)
    text = f"They can log in again, as {user.role}."
    return Deed(f"Enable {user.email}?", text, "Enable", f"{user.email} is enabled.", change, (("tag", tag),))


def address_of(user: User) -> str:
    return reverse("admin:accounts_user_page", args=[user.pk])
