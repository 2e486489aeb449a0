"""The API tokens of an organisation, for its admins: a token is shown once, in the answer that makes it."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.console import ConsoleAdmin, Question, actor_of, organisation_id_of, rehearse, require, time_of
from accounts.admin.forms import blame
from accounts.admin.sending import acts, carry_out, spent
from accounts.errors import Conflict, NotFound, Refused
from accounts.models import SCOPE_CHOICES, ApiToken
from accounts.once import SentAlready, use_up
from accounts.roles import Role
from accounts.tokens import revoke_token
from pipelines.models import Pipeline, TokenPipeline
from pipelines.tokens import issue_limited_token

MATCHES_SHOWN = 20
LIMIT_SHOWN = 200


class TokenForm(forms.Form):
    """What a token is; the pipelines to tick are those found so far and those ticked already."""

    name = forms.CharField(max_length=200, help_text="Who or what uses it, such as “Event processor, Frankfurt”.")
    scope = forms.ChoiceField(
        choices=SCOPE_CHOICES,
        help_text="Viewer, editor and admin act over REST as such a user would; a processor reads the runtime feed.",
    )
    expires_at = forms.DateTimeField(
        label="Expires (UTC)",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Leave it empty for a token that does not expire.",
    )
    pipelines = forms.MultipleChoiceField(
        label="Limit to pipelines", required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, pipelines: Iterable[Pipeline], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pipelines"].choices = [  # type: ignore[attr-defined]  # the stubs know a plain Field here
            (pipeline.pk, f"{pipeline.name} ({pipeline.slug})") for pipeline in pipelines
        ]


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("live", "Live"), ("expired", "Expired"), ("revoked", "Revoked")]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:
        now = timezone.now()
        chosen: QuerySet[Any] = {
            "live": queryset.unrevoked().exclude(expires_at__lte=now),
            "expired": queryset.unrevoked().filter(expires_at__lte=now),
            "revoked": queryset.exclude(revoked_at=None),
        }.get(self.value() or "", queryset)
        return chosen


class TokenAdmin(ConsoleAdmin):
    reads = Role.ADMIN
    writes = Role.ADMIN
    list_display = [
        "named",
        "scope",
        "shown_hint",
        "limit",
        "state",
        "expires",
        "created_by",
        "added",
    ]
    list_display_links = None
    list_filter = [StateFilter, "scope"]
    search_fields = ["name", "id", "created_by", "hint"]
    search_help_text = "Name, id, the last four characters, or who made it"
    ordering = ["-created_at", "-id"]
    actions = None
    change_list_template = "console/token_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        named = TokenPipeline.objects.filter(token=OuterRef("pk")).order_by().values("token")
        count = Subquery(named.annotate(all=Count("pk")).values("all"))
        counted: QuerySet[Any] = super().get_queryset(request).annotate(limits=count)
        return counted

    def get_urls(self) -> list[URLPattern]:
        return [
            self.route("new/", self.issue, "new"),
            self.route("<str:key>/revoke/", self.revoke, "revoke"),
            self.route("<str:key>/", self.show, "page"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "API tokens"} | (extra_context or {}))

    @admin.display(description="Name", ordering="name")
    def named(self, token: ApiToken) -> SafeString:
        return format_html('<a href="{}">{}</a>', address_of(token), token.name)

    @admin.display(description="Ends in")
    def shown_hint(self, token: ApiToken) -> SafeString:
        return format_html("<code>…{}</code>", token.hint)

    @admin.display(description="Expires (UTC)", ordering="expires_at")
    def expires(self, token: ApiToken) -> SafeString | str:
        return time_of(token.expires_at) if token.expires_at else "never"

    @admin.display(description="Pipelines")
    def limit(self, token: Any) -> str:
        return str(token.limits) if token.limits else "all"

    @admin.display(description="State")
    def state(self, token: ApiToken) -> SafeString:
        return format_html('<span class="state state-{}">{}</span>', *state_of(token, timezone.now()))

    def show(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.reads)
        token = self.found(request, key)
        limits = TokenPipeline.objects.filter(token=token).select_related("pipeline").order_by("pipeline__name")
        return self.page(
            request,
            "token.html",
            title=token.name,
            token=token,
            state=state_of(token, timezone.now()),
            pipelines=[limit.pipeline for limit in limits[:LIMIT_SHOWN]],
            more=max(0, (token.limits or 0) - LIMIT_SHOWN),
        )

    def issue(self, request: HttpRequest) -> HttpResponse:
        """The form, and in the answer to it the token: this once, since the form's key is good for one token."""
        require(request, self.writes)
        query = request.POST.get("q", "").strip()
        found = _found(organisation_id_of(request), request.POST.getlist("pipelines"), query)
        if "find" in request.POST:
            typed = request.POST.dict() | {"pipelines": request.POST.getlist("pipelines")}
            form = TokenForm(initial=typed, pipelines=found)
        else:
            form = TokenForm(request.POST or None, pipelines=found)
            if acts(request) and form.is_valid():
                answer = self._issue(request, form)
                if answer is not None:
                    return answer
        context = {"form": form, "query": query, "shown": MATCHES_SHOWN}
        return self.page(request, "token_new.html", title="New API token", **context)

    def _issue(self, request: HttpRequest, form: TokenForm) -> HttpResponse | None:
        """None where the form has to be mended."""
        actor = actor_of(request)
        fields = form.cleaned_data | {"scope": Role(form.cleaned_data["scope"])}
        try:
            with transaction.atomic():
                use_up(actor=actor, **spent(request))
                token, secret = issue_limited_token(actor=actor, **fields)
        except SentAlready as refusal:
            return self._answer(request, "No token was issued", refusal=refusal, status=409)
        except Refused as refusal:
            blame(form, refusal)
            return None
        return self._answer(request, f"The token “{token.name}”", token=token, secret=secret)

    def _answer(self, request: HttpRequest, title: str, *, status: int = 200, **context: Any) -> HttpResponse:
        response = self.page(request, "token_issued.html", title=title, **context)
        response.status_code = status
        response["Cache-Control"] = "no-store"
        return response

    def revoke(self, request: HttpRequest, key: str) -> HttpResponse:
        require(request, self.writes)
        token = self.found(request, key)
        actor = actor_of(request)
        if acts(request):
            tokens = reverse("admin:accounts_apitoken_changelist")
            return carry_out(request, partial(_revoke, actor, token), done=f"{token.name} is revoked.", then=tokens)
        question = Question(
            title=f"Revoke {token.name}?",
            explanation=f"Whoever uses the token that ends in {token.hint} is refused from the next request on. "
            "This cannot be taken back.",
            button="Revoke",
            back=address_of(token),
            problems=rehearse(lambda: _revoke(actor, token)),
            dangerous=True,
        )
        return self.ask(request, question)


def _revoke(actor: Any, token: ApiToken) -> None:
    """Raises Conflict where it is revoked already, as it is after a second click."""
    try:
        revoke_token(actor=actor, token_id=token.pk)
    except NotFound:
        raise Conflict(f"{token.name} is revoked already.") from None


def _found(organisation_id: str, ticked: list[str], query: str) -> list[Pipeline]:
    """The pipelines ticked so far, then what matches the search: part of the name or slug, or an id or key."""
    pipelines = Pipeline.objects.in_organisation(organisation_id).order_by("name", "pk")
    found = {pipeline.pk: pipeline for pipeline in pipelines.filter(pk__in=ticked)} if ticked else {}
    if query:
        text = Q(name__icontains=query) | Q(slug__icontains=query) | Q(pk=query) | Q(pipeline_key=query)
        found |= {pipeline.pk: pipeline for pipeline in pipelines.filter(text)[:MATCHES_SHOWN]}
    return list(found.values())


def state_of(token: ApiToken, now: datetime) -> tuple[str, str]:
    """The token's state as a word for the style sheet and one for people."""
    if token.revoked_at is not None:
        return "off", "Revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "behind", "Expired"
    return "current", "Live"


def address_of(token: ApiToken) -> str:
    return reverse("admin:accounts_apitoken_page", args=[token.pk])
