"""Forms of the console's pages for admins; the rules are the services', a form only reads."""

from typing import Any

from django import forms

from accounts.errors import Refused, Stale
from accounts.models import ROLE_CHOICES, User


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


class NewPassword(forms.CharField):
    """A password to be set, which no page ever shows again."""

    def __init__(self, **options: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
        super().__init__(strip=False, max_length=1024, widget=widget, **options)


class NewUserForm(forms.Form):
    email = forms.EmailField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    name = forms.CharField(max_length=200)
    role = forms.ChoiceField(choices=ROLE_CHOICES, help_text=UserForm.base_fields["role"].help_text)
    password = NewPassword(
        required=False, help_text="At least 10 characters. Without one they cannot log in until an admin sets it."
    )


class PasswordForm(forms.Form):
    """Another password for somebody else, typed twice, since nobody sees what is typed."""

    password = NewPassword(help_text="At least 10 characters. Tell it to them in a way that nobody else reads.")
    again = NewPassword(label="Once more")

    def clean(self) -> dict[str, Any]:
        if len({self.cleaned_data.get(name) for name in ("password", "again")} - {None}) > 1:
            self.add_error("again", "The two passwords differ.")
        return self.cleaned_data


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
