"""Logging in to the console, and changing one's own password there."""

from functools import partial
from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.admin.console import actor_of
from accounts.admin.sending import Done, acts, settle
from accounts.errors import TooManyAttempts
from accounts.sessions import enter_console
from accounts.users import change_password


class LoginForm(AdminAuthenticationForm):
    """Says of a locked account that it is locked, and for how long."""

    def clean(self) -> dict[str, Any]:
        email, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if email and password:
            try:
                self.user_cache = enter_console(email=email, password=password, **self._origin())
            except TooManyAttempts as refusal:
                raise forms.ValidationError(refusal.message, code="locked") from None
            if self.user_cache is None:
                raise self.get_invalid_login_error()
        return self.cleaned_data

    def _origin(self) -> dict[str, Any]:
        facts = self.request.META if self.request else {}
        return {"request_id": facts.get("pinion.request_id", ""), "ip_address": facts.get("pinion.ip_address")}


class PasswordChange(PasswordChangeView):
    """Django's page and form; the change itself is our service's, so that it is audited and ends other sessions."""

    template_name = "console/password.html"

    def form_valid(self, form: Any) -> HttpResponse:
        if not acts(self.request):
            return self.form_invalid(form)
        return settle(self.request, partial(_changed, self.request, form.cleaned_data["new_password1"]))


def _changed(request: HttpRequest, password: str) -> Done:
    user = change_password(actor=actor_of(request), password=password)
    update_session_auth_hash(request, user)
    return Done(reverse("admin:index"), "Your password is changed. Wherever else you were logged in, you are not now.")
