"""The form that plans a rollout; the rules are the services', a form only reads."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django import forms
from django.db.models import Count, Q

from accounts.errors import Invalid
from integrations.models import Revision, Status, Template
from pipelines.admin.rollout_words import ON_FAILURE, ON_INCONCLUSIVE, count, percent
from pipelines.models import OnFailure, OnInconclusive, Pin, Pipeline, Rollout
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.plans import Schedule
from pipelines.rollouts.selection import MAX_NAMED, Selection
from pipelines.rollouts.waves import ALL_AT_ONCE, as_duration, parse_duration, parse_waves

OFFERED = 200  # revisions in a list to choose from
SHORTEST = 60  # characters of a summary in such a list
CAUTIOUS = "1,10%,100%"
OWN = "own"
PRESETS = ((CAUTIOUS, "One, then 10 %, then all"), (ALL_AT_ONCE, "All at once"), (OWN, "My own"))
LIMITS = {"max_failure_ratio": "max_failures", "max_increase": "max_increase"}  # fields by what the gate calls them
SECTIONS = (
    ("Which revision", "", ("revision",)),
    (
        "Which pipelines",
        "All that have an integration of this template, unless you narrow it down here. Everything given must match.",
        ("labels", "from_revision", "percent", "pipelines", "exclude", "include_disabled"),
    ),
    ("In which waves", "", ("waves", "own_waves", "soak")),
    (
        "Gate between the waves",
        "What processors report of the integrations that moved decides whether the rollout goes on. "
        "Leave the two limits empty to go by the time alone.",
        ("max_failures", "max_increase", "min_events", "patience", "on_failure", "on_inconclusive"),
    ),
)


class Lines(forms.CharField):
    """One entry a line, or separated by commas."""

    widget = forms.Textarea(attrs={"rows": 2})

    def to_python(self, value: Any) -> Any:
        text = str(super().to_python(value)).replace(",", "\n")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        """None of them is required."""


class Percentage(forms.DecimalField):
    """0 to 100, with what people put behind it left away."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            min_value=0, max_value=100, decimal_places=2, widget=forms.TextInput(attrs=TYPED), required=False, **options
        )

    def to_python(self, value: Any) -> Any:
        return super().to_python(value.replace("%", "").strip() if isinstance(value, str) else value)


TYPED = {"autocomplete": "off", "inputmode": "decimal"}


class PlanForm(forms.Form):
    """What a plan is made of, for one template; `wish` is what the service takes."""

    revision = forms.ChoiceField(help_text="Newest first. Retired revisions are left out.")
    labels = Lines(required=False, help_text="One a line, such as environment:production. All of them must match.")
    from_revision = forms.ChoiceField(required=False, label="Only from revision")
    percent = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100,
        label="Share, in %",
        help_text="So many of them, always the same ones first. Empty: all.",
    )
    pipelines = Lines(
        required=False, label="Only these pipelines", help_text="Names, slugs or ids, one a line. Empty: all."
    )
    exclude = Lines(required=False, label="Leave out", help_text="Pipelines by name, slug or id, one a line.")
    include_disabled = forms.BooleanField(
        required=False,
        label="Take disabled ones along",
        help_text="Integrations and pipelines that are off move too, and stay off.",
    )
    waves = forms.ChoiceField(choices=PRESETS, widget=forms.RadioSelect, initial=CAUTIOUS)
    own_waves = forms.CharField(
        required=False,
        max_length=200,
        label="Waves of my own",
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "5, 25%, 100%"}),
        help_text="How far it has come after each wave, in pipelines or per cent; the last one is 100%.",
    )
    soak = forms.CharField(
        initial="10m",
        max_length=20,
        label="Wait after each wave",
        help_text="Such as 90s, 10m, 2h or 1d. 0 goes on at once.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    max_failures = Percentage(label="Most failed events, in %", help_text="Such as 2. More than that fails the wave.")
    max_increase = Percentage(
        label="Most increase, in percentage points",
        help_text="Above what the same integrations had in the hour before the wave.",
    )
    min_events = forms.IntegerField(
        min_value=1,
        initial=100,
        label="Events to judge by",
        help_text="With fewer, the gate waits: too few events are never a pass.",
    )
    patience = forms.CharField(
        initial="30m",
        max_length=20,
        label="Patience",
        help_text="How long it waits for them after the wait above, before it calls the wave inconclusive.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    on_failure = forms.ChoiceField(choices=list(ON_FAILURE.items()), label="When a wave fails")
    on_inconclusive = forms.ChoiceField(choices=list(ON_INCONCLUSIVE.items()), label="When it is inconclusive")

    def __init__(self, *args: Any, template: Template, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.template = template
        revisions = _revisions(template)
        at = dict(Pin.objects.filter(template=template).values_list("revision").annotate(pins=Count("pk")))
        self.fields["revision"].choices = [  # type: ignore[attr-defined]  # a choice field, which the stubs forget
            (str(one.number), _named(one)) for one in revisions if one.status != Status.RETIRED
        ]
        self.fields["from_revision"].choices = [  # type: ignore[attr-defined]  # the same
            ("", "Any"),
            *(
                (str(one.number), f"v{one.number} ({count(at[one.pk], 'integration')})")
                for one in revisions
                if one.pk in at
            ),
        ]

    @property
    def sections(self) -> Iterator[tuple[str, str, list[forms.BoundField]]]:
        """The fields as the page has them: title, help, fields."""
        for title, help_text, names in SECTIONS:
            yield title, help_text, [self[name] for name in names]

    @property
    def shows_gate(self) -> bool:
        """Whether the fields of the gate, the last section, should be open to see: they say something, or are wrong."""
        names = SECTIONS[-1][2]
        return any(self[name].errors for name in names) or any(self[name].value() for name in LIMITS.values())

    @property
    def wish(self) -> dict[str, Any]:
        said = self.cleaned_data
        selection = Selection(
            pipelines=said["pipelines"],
            labels=said["labels"],
            from_revision=said["from_revision"] or None,
            percent=said["percent"],
            exclude=said["exclude"],
            include_disabled=said["include_disabled"],
        )
        schedule = Schedule(
            waves=said["steps"],
            soak_seconds=said["soak"],
            gate=said["gate"],
            on_failure=OnFailure(said["on_failure"]),
            on_inconclusive=OnInconclusive(said["on_inconclusive"]),
        )
        return {"revision": said["revision"], "selection": selection, "schedule": schedule}

    def clean_labels(self) -> tuple[tuple[str, str], ...]:
        pairs = [line.partition(":") for line in self.cleaned_data["labels"]]
        if not all(key.strip() and colon for key, colon, _ in pairs):
            raise forms.ValidationError("Write each label as key:value on a line of its own.")
        return tuple((key.strip(), value.strip()) for key, _, value in pairs)

    def clean_pipelines(self) -> tuple[str, ...]:
        named = self._named_pipelines("pipelines")
        pinned = set(Pin.objects.filter(template=self.template, pipeline__in=named).values_list("pipeline", flat=True))
        lacking = [name for key, name in named.items() if key not in pinned]
        if lacking:
            raise forms.ValidationError(f"Without an integration of “{self.template}”: {_listed(lacking)}.")
        return tuple(named)

    def clean_exclude(self) -> tuple[str, ...]:
        return tuple(self._named_pipelines("exclude"))

    def clean_soak(self) -> int:
        return self._seconds("soak")

    def clean_patience(self) -> int:
        return self._seconds("patience")

    def clean(self) -> dict[str, Any]:
        """What the service would refuse is said here already, next to the field."""
        said = self.cleaned_data
        if "waves" in said and "own_waves" in said:
            self._clean_waves(said["waves"], said["own_waves"].strip())
        if not self.errors:
            said["gate"] = self._gate()
        return said

    def _clean_waves(self, chosen: str, own: str) -> None:
        if chosen != OWN and own:
            self.add_error("own_waves", f"Choose “{PRESETS[-1][1]}” above to use these, or empty this field.")
            return
        try:
            self.cleaned_data["steps"] = parse_waves(own if chosen == OWN else chosen)
        except Invalid as refusal:
            self.add_error("own_waves", refusal.message)

    def _gate(self) -> Gate | None:
        """None where neither limit is given."""
        ratios = {name: self.cleaned_data[field] for name, field in LIMITS.items()}
        if set(ratios.values()) == {None}:
            return None
        return Gate(
            **{name: None if value is None else float(value / 100) for name, value in ratios.items()},
            min_events=self.cleaned_data["min_events"],
            patience_seconds=self.cleaned_data["patience"],
        )

    def _seconds(self, field: str) -> int:
        try:
            return parse_duration(self.cleaned_data[field], field)
        except Invalid as refusal:
            raise forms.ValidationError(refusal.message) from None

    def _named_pipelines(self, field: str) -> dict[str, str]:
        """Ids with the names that were typed, in one statement; a name that fits two pipelines is nobody's."""
        typed = list(dict.fromkeys(self.cleaned_data[field]))
        if len(typed) > MAX_NAMED:
            raise forms.ValidationError(f"At most {MAX_NAMED:,} pipelines can be named. Choose them by label instead.")
        found = _pipelines_by_name(self.template.organisation_id, typed)
        if unknown := [name for name in typed if not found.get(name)]:
            raise forms.ValidationError(f"There is no pipeline of this name, slug or id: {_listed(unknown)}.")
        if ambiguous := [name for name in typed if len(found[name]) > 1]:
            raise forms.ValidationError(f"More than one pipeline has this name, write its slug: {_listed(ambiguous)}.")
        return {key: name for name in typed for key in found[name]}


def choices_again(rollout: Rollout) -> dict[str, Any]:
    """What the form shows to plan the same once more."""
    selection = Selection.from_json(rollout.selection)
    waves = rollout.waves_asked
    is_preset = waves in dict(PRESETS)
    gate = rollout.gate or {}
    limits = {field: gate.get(name) for name, field in LIMITS.items()}
    origin = Revision.objects.filter(pk=selection.from_revision).values_list("number", flat=True).first()
    shown = {
        "revision": rollout.revision.number if rollout.revision else None,
        "labels": "\n".join(f"{key}:{value}" for key, value in selection.labels),
        "from_revision": origin or "",
        "percent": selection.percent,
        "pipelines": "\n".join(_slugs(selection.pipelines)),
        "exclude": "\n".join(_slugs(selection.exclude)),
        "include_disabled": selection.include_disabled,
        "waves": waves if is_preset else OWN,
        "own_waves": "" if is_preset else waves,
        "soak": as_duration(rollout.soak_seconds),
        "on_failure": rollout.on_failure,
        "on_inconclusive": rollout.on_inconclusive,
        **{field: percent(ratio) for field, ratio in limits.items() if ratio is not None},
    }
    if gate:
        shown |= {"min_events": gate["min_events"], "patience": as_duration(gate["patience_seconds"])}
    return shown


def schedule_of(rollout: Rollout) -> Schedule:
    """How a rollout goes on from wave to wave, to plan another one alike."""
    return Schedule(
        waves=parse_waves(rollout.waves_asked),
        soak_seconds=rollout.soak_seconds,
        gate=Gate.from_json(rollout.gate) if rollout.gate else None,
        on_failure=OnFailure(rollout.on_failure),
        on_inconclusive=OnInconclusive(rollout.on_inconclusive),
    )


def _revisions(template: Template) -> list[Revision]:
    revisions = template.revisions.with_status().defer("config", "parameters_used")
    return list(revisions.order_by("-number")[:OFFERED])


def _named(revision: Revision) -> str:
    summary = f" – {revision.change_summary[:SHORTEST]}" if revision.change_summary else ""
    return f"v{revision.number}{summary}{' (deprecated)' if revision.status == Status.DEPRECATED else ''}"


def _pipelines_by_name(organisation_id: str, names: Collection[str]) -> Mapping[str, list[str]]:
    """For each of these the ids it may mean; an id or a slug says it for certain."""
    pipelines = Pipeline.objects.in_organisation(organisation_id)
    fitting = pipelines.filter(Q(pk__in=names) | Q(slug__in=names) | Q(name__in=names))
    found: dict[str, list[str]] = {}
    certain: dict[str, list[str]] = {}
    for key, slug, name in fitting.values_list("pk", "slug", "name"):
        found.setdefault(name, []).append(key)
        certain |= {key: [key], slug: [key]}
    return found | certain


def _slugs(pipelines: Collection[str]) -> Iterable[str]:
    return Pipeline.objects.filter(pk__in=pipelines).order_by("slug").values_list("slug", flat=True)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
