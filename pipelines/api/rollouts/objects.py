"""Rollouts and their targets as clients see them."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers import ActorObject
from pipelines.api.serializers import ChangeObject
from pipelines.models import Outcome, Rollout, RolloutState, RolloutTarget, RolloutWave, Verdict
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.progress import STANDINGS, count_targets, paths_of
from pipelines.rollouts.waves import as_duration

VERDICTS = [verdict.value for verdict in Verdict if verdict]
COUNTS = {
    "type": "object",
    "description": "How many targets stand how; in sum, all of them.",
    "properties": {standing: {"type": "integer"} for standing in STANDINGS},
    "required": list(STANDINGS),
    "additionalProperties": False,
}
REASONS = {
    "type": "array",
    "description": "Everything that stands in the way; some kinds of reason say more, such as `key` and `pointers`.",
    "items": {
        "type": "object",
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["code", "message"],
        "additionalProperties": True,
    },
}


class RolloutWaveObject(serializers.ModelSerializer[RolloutWave]):
    """One step: `size` is how many were planned to move in it, `moved` how many did; null until it is applied."""

    # Declared, because what a model's integer may be differs from database to database.
    number = serializers.IntegerField(min_value=1)
    size = serializers.IntegerField(min_value=0)
    moved = serializers.IntegerField(min_value=0, allow_null=True)
    version = serializers.IntegerField(source="version.number", allow_null=True, default=None)
    verdict = serializers.SerializerMethodField()

    class Meta:
        model = RolloutWave
        fields: ClassVar = ["number", "size", "moved", "applied_at", "version", "verdict", "verdict_reason"]

    @extend_schema_field(serializers.ChoiceField(choices=VERDICTS, allow_null=True))
    def get_verdict(self, wave: RolloutWave) -> str | None:
        return wave.verdict or None


class RolloutSummaryObject(serializers.ModelSerializer[Rollout]):
    """`revision_id` is null for a revert, which takes each pipeline back to a revision of its own."""

    integration_id = serializers.CharField(source="template_id")
    integration_name = serializers.CharField(source="template.name")
    vendor = serializers.CharField(source="template.vendor")
    revision_id = serializers.CharField(allow_null=True)
    revision_number = serializers.IntegerField(source="revision.number", allow_null=True, default=None)
    reverts = serializers.CharField(source="reverts_id", allow_null=True)
    state = serializers.ChoiceField(choices=RolloutState.choices)
    moves = serializers.SerializerMethodField()
    moved = serializers.SerializerMethodField()
    waves = RolloutWaveObject(many=True)
    created_by = ActorObject(source="actor")

    class Meta:
        model = Rollout
        fields: ClassVar = [
            "id",
            "integration_id",
            "integration_name",
            "vendor",
            "revision_id",
            "revision_number",
            "reverts",
            "state",
            "reason",
            "moves",
            "moved",
            "waves",
            "created_by",
            "created_at",
            "started_at",
            "finished_at",
        ]

    def get_moves(self, rollout: Rollout) -> int:
        return sum(wave.size for wave in rollout.waves.all())

    def get_moved(self, rollout: Rollout) -> int:
        return sum(wave.moved or 0 for wave in rollout.waves.all())


class RolloutSelectionObject(serializers.Serializer[Any]):
    """`pipelines` is null where none were named, which means all."""

    pipelines = serializers.SerializerMethodField()
    labels = serializers.ListField(child=serializers.CharField())
    from_revision = serializers.CharField(allow_null=True)
    percent = serializers.IntegerField(allow_null=True)
    exclude = serializers.ListField(child=serializers.CharField())
    include_disabled = serializers.BooleanField()

    def get_pipelines(self, selection: dict[str, Any]) -> list[str] | None:
        return selection["pipelines"] or None


class RolloutGateObject(serializers.Serializer[Gate]):
    max_failure_ratio = serializers.FloatField(allow_null=True)
    max_increase = serializers.FloatField(allow_null=True)
    min_events = serializers.IntegerField()
    patience = serializers.SerializerMethodField()

    def get_patience(self, gate: Gate) -> str:
        return as_duration(gate.patience_seconds)


class RolloutPathObject(serializers.Serializer[Any]):
    """So many integrations go from one revision to another, with the difference of the two configs, secrets masked."""

    from_revision_id = serializers.CharField(source="before.id")
    from_revision_number = serializers.IntegerField(source="before.number")
    to_revision_id = serializers.CharField(source="after.id")
    to_revision_number = serializers.IntegerField(source="after.number")
    pins = serializers.IntegerField()
    changes = ChangeObject(source="difference.changes", many=True)
    parameters_newly_needed = serializers.ListField(source="difference.newly_needed", child=serializers.CharField())
    parameters_no_longer_used = serializers.ListField(source="difference.no_longer_used", child=serializers.CharField())


class RolloutObject(RolloutSummaryObject):
    """All of a rollout but its targets; `runs_for` is in whose name waves are applied: who started or resumed it last."""

    selection = serializers.SerializerMethodField()
    soak = serializers.SerializerMethodField()
    gate = serializers.SerializerMethodField()
    runs_for = ActorObject(allow_null=True)
    counts = serializers.SerializerMethodField()
    paths = serializers.SerializerMethodField()

    class Meta(RolloutSummaryObject.Meta):
        fields: ClassVar = [
            *RolloutSummaryObject.Meta.fields,
            "plan_hash",
            "selection",
            "soak",
            "gate",
            "on_failure",
            "on_inconclusive",
            "skip_blocked",
            "runs_for",
            "counts",
            "paths",
        ]

    @extend_schema_field(RolloutSelectionObject(allow_null=True))
    def get_selection(self, rollout: Rollout) -> Any:
        return RolloutSelectionObject(rollout.selection).data if rollout.selection else None

    def get_soak(self, rollout: Rollout) -> str:
        return as_duration(rollout.soak_seconds)

    @extend_schema_field(RolloutGateObject(allow_null=True))
    def get_gate(self, rollout: Rollout) -> Any:
        return RolloutGateObject(Gate.from_json(rollout.gate)).data if rollout.gate else None

    @extend_schema_field(COUNTS)
    def get_counts(self, rollout: Rollout) -> dict[str, int]:
        return counts_of(rollout)

    @extend_schema_field(RolloutPathObject(many=True))
    def get_paths(self, rollout: Rollout) -> Any:
        return RolloutPathObject(paths_of(rollout), many=True).data


class RolloutTargetObject(serializers.ModelSerializer[RolloutTarget]):
    """One pipeline of a rollout. `outcome` is what the plan says of it, `standing` what has become of that by now.

    Wants `waves` in its context: the number of the wave that moves it is null where it does not move.
    """

    pipeline_id = serializers.CharField()
    pipeline_name = serializers.CharField(source="pipeline.name")
    pin_id = serializers.CharField()
    from_revision_id = serializers.CharField()
    from_revision_number = serializers.IntegerField(source="from_revision.number")
    to_revision_id = serializers.CharField()
    to_revision_number = serializers.IntegerField(source="to_revision.number")
    wave = serializers.SerializerMethodField()
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    standing = serializers.ChoiceField(choices=STANDINGS)
    reasons = serializers.SerializerMethodField()

    class Meta:
        model = RolloutTarget
        fields: ClassVar = [
            "pipeline_id",
            "pipeline_name",
            "pin_id",
            "from_revision_id",
            "from_revision_number",
            "to_revision_id",
            "to_revision_number",
            "enabled",
            "wave",
            "outcome",
            "standing",
            "reasons",
        ]

    @extend_schema_field({"type": ["integer", "null"]})
    def get_wave(self, target: RolloutTarget) -> int | None:
        if target.outcome != Outcome.MOVES:
            return None
        waves: list[RolloutWave] = self.context["waves"]
        return next((wave.number for wave in waves if target.position <= wave.upper), None)

    @extend_schema_field(REASONS)
    def get_reasons(self, target: RolloutTarget) -> list[dict[str, Any]]:
        reasons: list[dict[str, Any]] = target.reasons
        return reasons


def counts_of(rollout: Rollout) -> dict[str, int]:
    """How the targets stand, asked once for one answer: its body and its tag say the same."""
    if not hasattr(rollout, "counts"):
        rollout.counts = count_targets(rollout)  # type: ignore[attr-defined]  # shown once, kept nowhere
    counts: dict[str, int] = rollout.counts  # type: ignore[attr-defined]  # as above
    return counts
