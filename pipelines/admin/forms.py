"""Forms of the pipeline page; the rules are the services', a form only reads."""

from collections.abc import Collection
from typing import Any

from django import forms

from integrations.models import Template
from pipelines.models import Pipeline, PipelineType
from pipelines.registry import problems_of

NEWEST_SHOWN = 20


class PipelineForm(forms.Form):
    name = forms.CharField(max_length=200)
    slug = forms.SlugField(max_length=100, required=False, help_text="Made from the name if you leave it empty.")
    type = forms.ChoiceField(choices=PipelineType.choices)
    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One a line, such as environment:production.",
    )
    enabled = forms.BooleanField(required=False, initial=True, help_text="Off: events of this pipeline go nowhere.")
    tag = forms.CharField(required=False, widget=forms.HiddenInput)

    @staticmethod
    def facts(pipeline: Pipeline) -> dict[str, Any]:
        """What the form shows of a pipeline as it stands."""
        labels = sorted(pipeline.labels.values_list("key", "value"))
        return {
            "name": pipeline.name,
            "slug": pipeline.slug,
            "type": pipeline.type,
            "labels": "\n".join(f"{key}:{value}" for key, value in labels),
            "enabled": pipeline.enabled,
            "tag": pipeline.tag,
        }

    def clean_labels(self) -> dict[str, str]:
        lines = [line.strip().partition(":") for line in self.cleaned_data["labels"].splitlines() if line.strip()]
        if not all(key and colon for key, colon, _ in lines):
            raise forms.ValidationError("Write each label as key:value on a line of its own.")
        return {key.strip(): value.strip() for key, _, value in lines}

    def clean(self) -> dict[str, Any]:
        """What the service would refuse is said here already, next to the field."""
        fields = {name: value for name, value in self.cleaned_data.items() if name != "slug" or value}
        for detail in problems_of(fields, fields.get("labels", {})):
            field, _, key = detail.field.partition("/")
            self.add_error(field, f"{key}: {detail.message}" if key else detail.message)
        return self.cleaned_data


class ParameterForm(forms.Form):
    """A secret is never sent back, also when it was refused: not in the page, nor in what the browser keeps of it."""

    key = forms.CharField(max_length=64)
    value = forms.CharField(strip=False, required=False, max_length=32768)
    secret = forms.BooleanField(required=False, help_text="Kept encrypted and never shown again.")
    verbatim = forms.BooleanField(required=False, label="Keep white space around the value")
    tag = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, secret_keys: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound and ("secret" in self.data or self.data.get("key", "").strip() in secret_keys):
            self.fields["value"].widget = forms.PasswordInput(
                render_value=False, attrs={"autocomplete": "new-password"}
            )


class AssignForm(forms.Form):
    """Which template at which revision: one list, so that it works without script."""

    revision = forms.ChoiceField(label="Template and revision")
    enabled = forms.BooleanField(required=False, initial=True, label="Deliver at once")

    def __init__(self, *args: Any, templates: list[Template], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["revision"] = forms.ChoiceField(
            label="Template and revision",
            choices=[(template.name, _choices(template)) for template in templates],
        )


def _choices(template: Template) -> list[tuple[str, str]]:
    oldest = max(0, template.latest_number - NEWEST_SHOWN)
    numbers = range(template.latest_number, oldest, -1)
    return [(f"{template.pk}:{number}", f"{template.name} v{number}") for number in numbers]
