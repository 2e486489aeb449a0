"""Forms of templates, revisions and the catalogue; the rules are the services', a form only reads."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.crypto import constant_time_compare, salted_hmac

from integrations.admin.config_form import ConfigForm
from integrations.models import DeliveryMode, Revision, Status, Template
from integrations.vendors import CATEGORIES, VENDORS, Vendor

MODES = {
    DeliveryMode.SERVER_SIDE: "Server side",
    DeliveryMode.CLIENT_SIDE: "Client side",
    DeliveryMode.HYBRID: "Hybrid: both",
}


def printable(text: str) -> None:
    if not text.isprintable():
        raise ValidationError("This must not hold control characters.", code="control_character")


class NameField(forms.CharField):
    """A name for people."""

    def __init__(self) -> None:
        super().__init__(max_length=200, validators=[printable], widget=forms.TextInput(attrs={"autocomplete": "off"}))


class Lines(forms.CharField):
    """Text of several lines; browsers send line ends as CR LF."""

    widget = forms.Textarea(attrs={"rows": 3})

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class TemplateForm(forms.Form):
    name = NameField()
    description = Lines(required=False, max_length=2000)
    tag = forms.CharField(required=False, widget=forms.HiddenInput)

    @staticmethod
    def facts(template: Template) -> dict[str, Any]:
        """What the form shows of a template as it stands."""
        return {"name": template.name, "description": template.description, "tag": template.tag}


class NewTemplateForm(forms.Form):
    name = NameField()
    vendor = forms.ChoiceField(help_text="Fixed for the life of the template.")
    description = Lines(required=False, max_length=2000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["vendor"] = forms.ChoiceField(
            choices=[("", "Choose one"), *vendors_by_category()], help_text="Fixed for the life of the template."
        )


class StatusForm(forms.Form):
    """The service decides on a reason left out; the browser asks for one before anything is sent."""

    reason = forms.CharField(
        max_length=500,
        required=False,
        help_text="Required: for whoever meets this revision later.",
        widget=forms.TextInput(attrs={"required": True}),
    )
    tag = forms.CharField(required=False, widget=forms.HiddenInput)


class RevisionForm(ConfigForm):
    """A new revision of a template, started from `base`; what is seen of the difference is what may be saved."""

    def __init__(
        self, data: QueryDict | None = None, *, template: Template, vendor: Vendor, base: Revision | None, owner: str
    ) -> None:
        super().__init__(data, vendor=vendor, held=base.config if base else {}, owner=owner)
        self.base = base
        self.newest_seen = _number(self.data.get("seen", "")) if self.is_bound else template.latest_number
        self.fields["delivery_mode"] = forms.ChoiceField(
            label="Delivery mode",
            choices=list(MODES.items()),
            initial=base.delivery_mode if base else DeliveryMode.SERVER_SIDE,
        )
        self.fields["change_summary"] = forms.CharField(
            label="Change summary",
            required=False,
            max_length=500,
            help_text="One line that says what is different, for whoever chooses a revision later.",
        )

    @property
    def wish(self) -> dict[str, Any]:
        """What the service takes."""
        return {
            "config": self.config,
            "delivery_mode": self.cleaned_data["delivery_mode"],
            "change_summary": self.cleaned_data["change_summary"],
            "base_revision_id": self.base.pk if self.base else None,
        }

    @property
    def wants_to_save(self) -> bool:
        """Whether the save button was pressed, and nothing but the summary has changed since the difference was shown."""
        return self.data.get("do") == "save" and constant_time_compare(
            self.data.get("reviewed", ""), self.fingerprint(self.newest_seen)
        )

    def fingerprint(self, newest: int) -> str:
        """What the difference was shown for; keyed, because it covers the secrets as well."""
        facts = self.wish | {"change_summary": "", "newest": newest}
        return salted_hmac(self.owner, json.dumps(facts, sort_keys=True), algorithm="sha256").hexdigest()


class InstallForm(ConfigForm):
    """A template of a vendor with its first revision."""

    def __init__(self, data: QueryDict | None = None, *, vendor: Vendor, owner: str) -> None:
        super().__init__(data, vendor=vendor, held={}, owner=owner, initial={"name": vendor.name})
        self.fields["name"] = NameField()
        if vendor.variants:
            self.fields["variant"] = forms.ChoiceField(
                required=False,
                help_text="Fills in what is usual, unless you say otherwise below.",
                choices=[("", "None: all by hand"), *((variant.key, variant.label) for variant in vendor.variants)],
            )

    @property
    def wish(self) -> dict[str, Any]:
        """What the service takes."""
        variant = self.cleaned_data.get("variant") or None
        return {"name": self.cleaned_data["name"], "variant": variant, "config": self.config}


def vendors_by_category() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (name, [(vendor.key, vendor.name) for vendor in VENDORS.values() if vendor.category == key])
        for key, name in CATEGORIES.items()
    ]


def vendor_name(key: str) -> str:
    """A vendor that has left the catalogue goes by its key."""
    return VENDORS[key].name if key in VENDORS else key


STATUS_TEXTS: Mapping[str, tuple[str, str]] = {
    Status.ACTIVE: ("Make active again", "It may be pinned, enabled and rolled out like any other."),
    Status.DEPRECATED: ("Deprecate", "It may still be pinned, with a warning. Pins that stand keep delivering."),
    Status.RETIRED: (
        "Retire",
        "No new pin, no enabling and no rollout to it. Pins that stand keep delivering until they are moved.",
    ),
}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
