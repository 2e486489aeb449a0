"""Forms of the console's pages for admins; the rules are the services', a form only reads."""

import secrets
from typing import Any

from django import forms
from django.core import signing
from django.http import HttpRequest

from accounts.admin.console import signed_in
from accounts.errors import Conflict, Refused, Stale
from accounts.models import ROLE_CHOICES, User

SALT = "pinion.form"
OPEN_FOR = 12 * 60 * 60  # seconds; a used key is remembered for twice as long
TOO_OLD = "This form was open for too long. Nothing has been changed: open it again."


class UserForm(forms.Form):
    """What may change about a user; `tag` is what they were when the form was opened."""

    name = forms.CharField(max_length=200)
    role = forms.ChoiceField(
        choices=ROLE_CHOICES,
        help_text="A viewer reads; an editor also changes what runs; an admin also manages users and tokens.",
    )
    tag = forms.CharField(required=False, widget=forms.HiddenInput)

    @staticmethod
    def facts(user: User) -> dict[str, Any]:
        return {"name": user.name, "role": user.role, "tag": user.tag}


class NewUserForm(forms.Form):
    email = forms.EmailField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    name = forms.CharField(max_length=200)
    role = forms.ChoiceField(choices=ROLE_CHOICES, help_text=UserForm.base_fields["role"].help_text)
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 10 characters. Without one they cannot log in until an operator sets it.",
    )


def blame(form: forms.Form, refusal: Refused) -> None:
    """Put each reason beside its field, where the form has one; what was typed stays, also when it came too late."""
    if isinstance(refusal, Stale):
        form.add_error(None, f"{refusal.message} What you typed is still here.")
        return
    if not any(detail.message in refusal.message for detail in refusal.details):  # else it only repeats a reason
        form.add_error(None, refusal.message)
    for detail in refusal.details:
        name = detail.field.partition("/")[0]
        form.add_error(name if name in form.fields else None, detail.message)


def new_form_key(request: HttpRequest) -> str:
    """A key for a form that may act once, good for this person and for half a day."""
    return signing.dumps([signed_in(request).pk, secrets.token_urlsafe(12)], salt=SALT)


def read_form_key(request: HttpRequest, text: str) -> str:
    """What tells this form from every other. Raises Conflict for a key that is old, or somebody else's."""
    try:
        user_id, key = signing.loads(text, salt=SALT, max_age=OPEN_FOR)
    except (signing.BadSignature, ValueError):
        raise Conflict(TOO_OLD, code="FORM_EXPIRED") from None
    if user_id != signed_in(request).pk:
        raise Conflict(TOO_OLD, code="FORM_EXPIRED")
    return str(key)
