"""Forms of the pipeline page; the rules are the services', a form only reads."""

from typing import Any

from django import forms

from integrations.models import Template
from pipelines.models import Pipeline, PipelineType

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


class ParameterForm(forms.Form):
    key = forms.CharField(max_length=64)
    value = forms.CharField(strip=False, required=False, max_length=32768)
    secret = forms.BooleanField(required=False, help_text="Kept encrypted and never shown again.")


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
