"""What a client sends about rollouts, read as the services take it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.fields import Body, Choice, Flag, Ratio, Text, Whole
from accounts.errors import Invalid
from pipelines.models import OnFailure, OnInconclusive
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.plans import LATEST, Schedule
from pipelines.rollouts.selection import MAX_NAMED, Selection
from pipelines.rollouts.waves import ALL_AT_ONCE, parse_duration, parse_waves

MAX_LABELS = 20
MOST_EVENTS = 1_000_000_000

Read = TypeVar("Read")


@extend_schema_field({"type": ["string", "integer"], "minLength": 1, "maxLength": 40, "minimum": 1})
class RevisionReference(Text):
    """A revision by its id or its number, which may stand there as a number or as text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 40, **options})

    def to_internal_value(self, data: Any) -> str:
        is_number = isinstance(data, int) and not isinstance(data, bool) and abs(data) < 10**40
        return super().to_internal_value(str(data) if is_number else data)


class RolloutGateBody(Body):
    max_failure_ratio = Ratio(required=False, allow_null=True, help_text="Of failed events to all events.")
    max_increase = Ratio(
        required=False,
        allow_null=True,
        help_text="How much higher the ratio may be than that of the same integrations in the hour before the wave.",
    )
    min_events = Whole(
        required=False, min_value=1, max_value=MOST_EVENTS, help_text="Fewer events, before or after, say nothing."
    )
    patience = Text(
        required=False, max_length=20, help_text="How long to wait for enough events after the soak, such as `30m`."
    )

    def validate_patience(self, text: str) -> int:
        return accepted(parse_duration, text, "patience")

    def validate(self, attrs: dict[str, Any]) -> Any:
        """The gate itself."""
        named = {"patience_seconds" if name == "patience" else name: value for name, value in attrs.items()}
        return accepted(lambda: Gate(**named))


class RolloutPlanBody(Body):
    integration_id = Text(max_length=40, help_text="The integration template.")
    revision_id = RevisionReference(
        default=LATEST, help_text="Where to go: a revision by id or number, or `latest` as it is now."
    )
    pipelines = serializers.ListField(
        child=Text(max_length=40),
        required=False,
        allow_null=True,
        allow_empty=False,
        max_length=MAX_NAMED,
        help_text="Only these pipelines; leave it out for all.",
    )
    labels = serializers.ListField(
        child=Text(max_length=130),
        required=False,
        max_length=MAX_LABELS,
        help_text="Only pipelines with all of these labels, each written as `key:value`.",
    )
    from_revision = RevisionReference(
        required=False, allow_null=True, help_text="Only what stands at this revision now, by id or number."
    )
    percent = Whole(
        required=False, allow_null=True, min_value=1, max_value=100, help_text="Only this share of what is chosen."
    )
    exclude = serializers.ListField(
        child=Text(max_length=40), required=False, max_length=MAX_NAMED, help_text="Not these pipelines."
    )
    include_disabled = Flag(
        default=False, help_text="Take disabled integrations and disabled pipelines along; they stay disabled."
    )
    waves = Text(
        default=ALL_AT_ONCE,
        max_length=300,
        help_text="How far the rollout has come after each wave, such as `1,10%,100%`; the last one is `100%`.",
    )
    soak = Text(
        default="0s", max_length=20, help_text="How long to wait after each wave, such as `90s`, `10m` or `2h`."
    )
    gate = RolloutGateBody(required=False, allow_null=True, help_text="Left out: waves go by the soak alone.")
    on_failure = Choice(
        choices=OnFailure.values, default=OnFailure.PAUSE.value, help_text="What becomes of it when the gate says fail."
    )
    on_inconclusive = Choice(
        choices=OnInconclusive.values,
        default=OnInconclusive.PAUSE.value,
        help_text="What becomes of it when the gate's patience is over and it cannot tell.",
    )

    def validate_labels(self, texts: list[str]) -> tuple[tuple[str, str], ...]:
        pairs = [text.partition(":") for text in texts]
        wrong = {
            str(place): ["Write a label as key:value, such as environment:production."]
            for place, (key, colon, _) in enumerate(pairs)
            if not (key and colon)
        }
        if wrong:
            raise serializers.ValidationError(wrong, code="invalid_label")
        return tuple((key, value) for key, _, value in pairs)

    def validate_waves(self, text: str) -> Any:
        return accepted(parse_waves, text)

    def validate_soak(self, text: str) -> int:
        return accepted(parse_duration, text, "soak")


class RolloutStartBody(Body):
    plan_hash = Text(
        required=False, max_length=64, help_text="The hash of the plan that you saw: nothing else is started."
    )
    skip_blocked = Flag(default=False, help_text="Leave blocked pipelines where they are, instead of refusing.")


class RolloutResumeBody(Body):
    skip_gate = Flag(default=False, help_text="Go on without the gate's word on the last wave.")
    skip_blocked = Flag(default=False, help_text="Leave blocked pipelines where they are, from now on.")


class RolloutReasonBody(Body):
    reason = Text(default="", allow_blank=True, max_length=500, help_text="Why, for whoever looks at it later.")


class RolloutRevertBody(Body):
    """Nothing to say."""


def selection_of(body: Mapping[str, Any]) -> Selection:
    """Which pipelines a checked plan body is about."""
    return Selection(
        pipelines=tuple(body.get("pipelines") or ()),
        labels=body.get("labels", ()),
        from_revision=body.get("from_revision"),
        percent=body.get("percent"),
        exclude=tuple(body.get("exclude", ())),
        include_disabled=body["include_disabled"],
    )


def schedule_of(body: Mapping[str, Any]) -> Schedule:
    """How a checked plan body wants to go from wave to wave."""
    return Schedule(
        waves=body["waves"],
        soak_seconds=body["soak"],
        gate=body.get("gate"),
        on_failure=OnFailure(body["on_failure"]),
        on_inconclusive=OnInconclusive(body["on_inconclusive"]),
    )


def accepted(rule: Callable[..., Read], *said: str) -> Read:
    """What a rule of the domain makes of it; its refusal stands among the complaints about the other fields."""
    try:
        return rule(*said)
    except Invalid as refusal:
        raise serializers.ValidationError(refusal.message, code=refusal.details[0].code) from None
