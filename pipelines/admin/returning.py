"""A form that came when its person was logged out: kept in the page, sealed, and given back after the login.

What comes back is the form as it was sent, and it is shown before it may do anything. No secret that somebody typed
stands in a page in clear, and nothing is kept on the server.
"""

import json
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.admin import sending
from accounts.admin.console import CHOSEN_ORGANISATION, signed_in
from accounts.admin.login import LoginForm
from integrations import secrets

FIELD = "kept"
LARGEST = 1024 * 1024  # characters; sealed and sent again it has to fit into DATA_UPLOAD_MAX_MEMORY_SIZE
LOST = "You are logged in again. What you sent could not be given back, and nothing has been changed."
NOT_YOURS = "You are logged in. The form that was open here was somebody else's, and nothing has been changed."


def received(site: AdminSite, request: HttpRequest) -> HttpResponse | None:
    """The answer to a form whose person has to log in first; None where its page may look at it."""
    if not site.has_permission(request):
        form = LoginForm(request, data=request.POST) if FIELD in request.POST else LoginForm(request)
        if not form.is_valid():
            return _login_page(site, request, form)
        login(request, form.get_user())
    return _given_back(request) if FIELD in request.POST else None


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  # what Django calls it with
    """A form that was open while somebody logged in in another tab, or that no page of ours has sent."""
    site, is_known = admin.site, admin.site.has_permission(request)
    needless = is_known and request.path == reverse("admin:login")
    if needless or not _is_from_here(request):
        context = {"title": "Nothing was sent", "needless": needless, "next": _next(request)}
        return TemplateResponse(request, "console/expired.html", context, status=403)
    if not is_known:
        return _login_page(site, request, LoginForm(request))
    context = {"title": "Look over what you sent", "kept": _kept(request), "address": request.get_full_path()}
    return _uncached(TemplateResponse(request, "console/returned.html", site.each_context(request) | context))


def _login_page(site: AdminSite, request: HttpRequest, form: LoginForm) -> HttpResponse:
    """Its form goes to where the lost one was going, and takes that along."""
    is_login = request.path == reverse("admin:login")
    context = {
        "title": "Log in",
        "form": form,
        "app_path": request.get_full_path(),
        "next": _next(request) if is_login else "",
        "ended": not is_login,
        "stale": is_login,
        "kept": "" if is_login else _kept(request),
    }
    return _uncached(TemplateResponse(request, "admin/login.html", site.each_context(request) | context))


def _kept(request: HttpRequest) -> str:
    """The form as it was sent, for a hidden input of a page at the same address; empty where it is too long."""
    if FIELD in request.POST:
        return request.POST[FIELD]
    sent = request.POST.copy()
    sent.pop("csrfmiddlewaretoken", None)
    text = json.dumps({"form": sent.urlencode(), "at": timezone.now().timestamp()})
    return secrets.seal(text, context=_context(request)) if len(text) <= LARGEST else ""


def _given_back(request: HttpRequest) -> HttpResponse | None:
    """Put what was kept in the place of what was sent; or lead to the page as it is, where that cannot be."""
    sent = _opened(request)
    key = sending.key_in(sent.get(sending.FIELD, ""), max_age=None) if sent else None
    user = signed_in(request)
    if sent is None or key is None or key.user_id != user.pk:
        messages.warning(request, LOST if key is None else NOT_YOURS)
        return HttpResponseRedirect(request.get_full_path())
    if not user.organisation_id:
        request.session[CHOSEN_ORGANISATION] = key.organisation_id
    request.POST = sent  # type: ignore[assignment]  # the stubs know no setter
    request.META[sending.RETURNED] = True
    messages.info(request, sending.LOOK_AGAIN)
    return None


def _opened(request: HttpRequest) -> QueryDict | None:
    """None for what is not ours, was kept for another address, or is too old."""
    try:
        facts = json.loads(secrets.unseal(request.POST[FIELD], context=_context(request)))
    except (secrets.Unreadable, ValueError):
        return None
    is_recent = timezone.now().timestamp() - facts["at"] < sending.OPEN_FOR
    return QueryDict(facts["form"]) if is_recent else None


def _context(request: HttpRequest) -> str:
    return f"kept-form:{request.get_full_path()}"


def _is_from_here(request: HttpRequest) -> bool:
    """Whether a page of ours sent it, as browsers say of every form; what another site made up is never shown."""
    origin = request.headers.get("Origin", "")
    return origin == f"{request.scheme}://{request.get_host()}" or origin in settings.CSRF_TRUSTED_ORIGINS


def _next(request: HttpRequest) -> str:
    """Where the login page was to lead."""
    asked = request.POST.get("next") or request.GET.get("next") or ""
    home = reverse("admin:index")
    ours = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and urlsplit(asked).path.startswith(home)
    return asked if ours else home


def _uncached(response: HttpResponse) -> HttpResponse:
    """The answer to a form that did nothing."""
    response.status_code = 403
    add_never_cache_headers(response)
    return response
