"""Rollouts: a revision on its way to many pipelines, in waves, with every pipeline accounted for.

A foreign key is `db_index=False` where a constraint or an index below begins with the same column, or where nothing
asks by it.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.ids import IdField
from accounts.models import ActorFields, Organisation
from integrations.models import Revision, Template
from pipelines.models.pipelines import Pipeline
from pipelines.models.versions import ConfigurationVersion
from pipelines.querysets import RolloutQuerySet, TargetQuerySet


class RolloutState(models.TextChoices):
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    ABORTED = "aborted"


ACTIVE = (RolloutState.RUNNING, RolloutState.PAUSED)


class Outcome(models.TextChoices):
    """What the plan says of one pipeline; the last two are said of reverts only."""

    MOVES = "moves"
    ALREADY_THERE = "already_there"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    REVERT_BLOCKED = "revert_blocked"


class Verdict(models.TextChoices):
    """What a gate says of one wave; `overridden` is a person's word instead of the gate's."""

    NONE = ""
    PASS = "pass"  # noqa: S105  # a verdict, no secret
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    OVERRIDDEN = "overridden"


class OnFailure(models.TextChoices):
    PAUSE = "pause"
    ROLLBACK = "rollback"


class OnInconclusive(models.TextChoices):
    PAUSE = "pause"
    CONTINUE = "continue"


class Rollout(ActorFields):
    """One revision for many pipelines: first a plan, then waves. A revert is one that takes another's moves back.

    The actor fields say who planned it. `runs_for` holds the facts of who started it, or resumed it last: waves are
    applied in that name. `next_at` is when it should be looked at again while it runs.
    """

    id = IdField("ro")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, db_index=False, related_name="+")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, db_index=False, related_name="+")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, db_index=False, related_name="+")
    reverts = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reverted_by")
    state = models.CharField(max_length=16, choices=RolloutState.choices, default=RolloutState.PLANNED)
    reason = models.TextField(blank=True)
    selection = models.JSONField(default=dict)
    waves_asked = models.CharField(max_length=200, default="100%")
    soak_seconds = models.PositiveIntegerField(default=0)
    gate = models.JSONField(null=True)
    on_failure = models.CharField(max_length=16, choices=OnFailure.choices, default=OnFailure.PAUSE)
    on_inconclusive = models.CharField(max_length=16, choices=OnInconclusive.choices, default=OnInconclusive.PAUSE)
    skip_blocked = models.BooleanField(default=False)
    plan_hash = models.CharField(max_length=64, blank=True)
    wave_count = models.PositiveIntegerField(default=0)
    waves_applied = models.PositiveIntegerField(default=0)
    runs_for = models.JSONField(null=True)
    next_at = models.DateTimeField(null=True)
    row_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["template"],
                condition=models.Q(state__in=["running", "paused"]),
                name="one_active_rollout_per_template",
            ),
            models.CheckConstraint(condition=models.Q(state__in=RolloutState.values), name="rollout_state_known"),
            models.CheckConstraint(
                condition=models.Q(waves_applied__lte=models.F("wave_count")),
                name="rollout_applies_no_more_than_planned",
            ),
            models.CheckConstraint(
                condition=models.Q(revision__isnull=False, reverts=None)
                | models.Q(revision=None, reverts__isnull=False),
                name="rollout_has_an_aim",
            ),
            models.CheckConstraint(
                condition=models.Q(state="planned", started_at=None)
                | ~models.Q(state="planned") & models.Q(started_at__isnull=False, runs_for__isnull=False),
                name="rollout_names_who_started_it",
            ),
            models.CheckConstraint(
                condition=models.Q(state="running", next_at__isnull=False)
                | ~models.Q(state="running") & models.Q(next_at=None),
                name="rollout_that_runs_is_looked_at",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "created_at", "id"], name="rollout_in_order"),
            models.Index(fields=["template", "created_at", "id"], name="rollout_by_template"),
            models.Index(fields=["next_at"], condition=models.Q(state="running"), name="rollout_due"),
        ]

    def __str__(self) -> str:
        number = self.revision.number if self.revision else None
        aim = f"to Revision v{number}" if number else f"takes {self.reverts_id} back"
        return f"{self.template} {aim}"

    @property
    def tag(self) -> str:
        return str(self.row_version)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


class RolloutWave(models.Model):
    """One step of a rollout: the planned moves at positions up to `upper` that no wave before it has.

    `size` is how many moves were planned for it, `moved` how many there were. `watched_from` is when the gate began to
    look at it, which a resumed rollout does anew; the two figures are those of its pins in the hour before.
    """

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, db_index=False, related_name="waves")
    number = models.PositiveIntegerField()
    upper = models.PositiveIntegerField()
    size = models.PositiveIntegerField()
    moved = models.PositiveIntegerField(null=True)
    applied_at = models.DateTimeField(null=True)
    watched_from = models.DateTimeField(null=True)
    delivered_before = models.PositiveBigIntegerField(null=True)
    failed_before = models.PositiveBigIntegerField(null=True)
    version = models.ForeignKey(ConfigurationVersion, on_delete=models.PROTECT, null=True, related_name="+")
    verdict = models.CharField(max_length=16, choices=Verdict.choices, blank=True)
    verdict_reason = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rollout", "number"], name="wave_number_unique_in_rollout"),
            models.CheckConstraint(condition=models.Q(verdict__in=Verdict.values), name="wave_verdict_known"),
            models.CheckConstraint(
                condition=models.Q(applied_at=None, moved=None, watched_from=None)
                | models.Q(applied_at__isnull=False, moved__isnull=False, watched_from__isnull=False),
                name="wave_is_applied_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"wave {self.number} of {self.rollout_id}"


class RolloutTarget(models.Model):
    """One pipeline of a plan: where its pin stood, where it is to go, and what stands in the way.

    A target that moves is *waiting* until its wave has been applied and *moved* afterwards, and that follows from the
    waves alone. It is *detached* as soon as its pin is not as the plan has it: `pin_row_version`, one more after the
    move. `detached` keeps what a wave, or the rollout's end, saw of that.

    Pipelines and revisions are never deleted, and a pin may be: none of the keys below needs the database to follow it.
    """

    pk = models.CompositePrimaryKey("rollout_id", "position")
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, db_index=False, related_name="targets")
    position = models.PositiveIntegerField()
    pipeline = models.ForeignKey(
        Pipeline, on_delete=models.DO_NOTHING, db_index=False, db_constraint=False, related_name="+"
    )
    pin_id = models.CharField(max_length=40)
    pin_row_version = models.PositiveIntegerField()
    enabled = models.BooleanField()
    from_revision = models.ForeignKey(
        Revision, on_delete=models.DO_NOTHING, db_index=False, db_constraint=False, related_name="+"
    )
    to_revision = models.ForeignKey(
        Revision, on_delete=models.DO_NOTHING, db_index=False, db_constraint=False, related_name="+"
    )
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    reasons = models.JSONField(default=list)
    detached = models.BooleanField(default=False)

    objects = TargetQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(outcome__in=Outcome.values), name="target_outcome_known"),
        ]

    def __str__(self) -> str:
        return f"{self.pin_id} in {self.rollout_id}"
