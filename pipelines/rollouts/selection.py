"""Which pipelines a rollout is about."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import QuerySet

from accounts.actors import Actor
from accounts.errors import Detail, Invalid, NotFound
from integrations.models import Template
from integrations.revisions import find_revision
from pipelines.models import Label, Pin
from pipelines.pins import require_pipelines

MAX_NAMED = 1000


@dataclass(frozen=True)
class Selection:
    """The pins of one template on the pipelines that match everything given; nothing given means all of them.

    `percent` takes that share of what would move, always the same ones first. Pins that are off are skipped, and
    pipelines that are off block, unless `include_disabled`.
    """

    pipelines: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    from_revision: str | None = None
    percent: int | None = None
    exclude: tuple[str, ...] = ()
    include_disabled: bool = False

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": [f"{key}:{value}" for key, value in self.labels]}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Selection":
        """What `as_json` made, as it was."""
        labels = (text.partition(":") for text in kept["labels"])
        lists = {
            "pipelines": tuple(kept["pipelines"]),
            "exclude": tuple(kept["exclude"]),
            "labels": tuple((key, value) for key, _, value in labels),
        }
        return cls(**{**kept, **lists})


def require_selectable(*, actor: Actor, template: Template, selection: Selection) -> Selection:
    """The selection with `from_revision` as an id. Raises Invalid for what it names and is not there.

    A pipeline named without an integration of this template is refused too: whoever names one expects it to move.
    """
    if selection.percent is not None and not 1 <= selection.percent <= 100:
        raise Invalid.because("percent", "out_of_range", "percent must be a whole number from 1 to 100.")
    for field, named in (("pipelines", selection.pipelines), ("exclude", selection.exclude)):
        if len(named) > MAX_NAMED:
            message = f"At most {MAX_NAMED} pipelines can be named. Choose them by label instead."
            raise Invalid.because(field, "too_many", message)
        require_pipelines(actor=actor, pipelines=named, field=field)
    _require_pinned(template, selection.pipelines)
    origin = selection.from_revision
    return Selection(**{**vars(selection), "from_revision": origin and _revision_id(template, origin)})


def chosen_pins(template: Template, selection: Selection) -> QuerySet[Pin]:
    """The pins that the selection is about, the excluded ones and those that are off among them."""
    pins = Pin.objects.in_organisation(template.organisation_id).filter(template=template)
    if selection.pipelines:
        pins = pins.filter(pipeline__in=selection.pipelines)
    for key, value in selection.labels:
        pins = pins.filter(pipeline__in=Label.objects.labelled(template.organisation_id, key, value))
    if selection.from_revision:
        pins = pins.filter(revision=selection.from_revision)
    return pins


def _require_pinned(template: Template, pipelines: Sequence[str]) -> None:
    pinned = set(Pin.objects.filter(template=template, pipeline__in=pipelines).values_list("pipeline_id", flat=True))
    message = f"This pipeline has no integration of “{template.name}”. Assign one first, or leave the pipeline out."
    missing = [
        Detail(f"pipelines/{place}", "not_pinned", message, {"pipeline_id": key})
        for place, key in enumerate(pipelines)
        if key not in pinned
    ]
    if missing:
        named = ", ".join(str(detail.extra["pipeline_id"]) for detail in missing[:20])
        raise Invalid(
            f"Without an integration of “{template.name}”: {named}. Assign one first, or leave it out.", missing
        )


def _revision_id(template: Template, reference: str) -> str:
    try:
        return str(find_revision(template, reference).pk)
    except NotFound as error:
        raise Invalid.because("from_revision", "unknown_revision", error.message) from None
