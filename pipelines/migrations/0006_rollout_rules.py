"""What the database itself refuses of rollouts: states out of order, waves taken back or skipped, plans that change."""

from django.db import migrations

from accounts.rules import refuse_when, statements

FOREIGN = "The template of a rollout belongs to its organisation, and its revision to its template."
STARTS = "A rollout begins as a plan."
TRANSITIONS = "A rollout goes from planned to running, between running and paused, and from there to done or aborted."
ONE_BY_ONE = "Waves are applied one by one, while the rollout runs."
PLAN_STAYS = "A plan never changes: make another."
TARGET_STAYS = "What a plan says of a pipeline never changes, but that something blocks or detaches it."
WAVE_STAYS = "A wave is applied once, and never changes."
KEPT = "Only a plan that was never started can be deleted."

MATCHES = """
    EXISTS (SELECT 1 FROM integrations_template t WHERE t.id = NEW.template_id
        AND t.organisation_id = NEW.organisation_id)
    AND (NEW.revision_id IS NULL OR EXISTS (SELECT 1 FROM integrations_revision r WHERE r.id = NEW.revision_id
        AND r.template_id = NEW.template_id))
"""
OUT_OF_ORDER = """
    NOT (NEW.state = OLD.state
        OR OLD.state = 'planned' AND NEW.state = 'running'
        OR OLD.state = 'running' AND NEW.state IN ('paused', 'done', 'aborted')
        OR OLD.state = 'paused' AND NEW.state IN ('running', 'aborted'))
"""
SKIPS = """
    NEW.waves_applied <> OLD.waves_applied
    AND NOT (OLD.state = 'running' AND NEW.waves_applied = OLD.waves_applied + 1)
"""
REPLANNED = """
    NEW.id <> OLD.id OR NEW.organisation_id <> OLD.organisation_id OR NEW.template_id <> OLD.template_id
    OR coalesce(NEW.revision_id, '') <> coalesce(OLD.revision_id, '')
    OR coalesce(NEW.reverts_id, '') <> coalesce(OLD.reverts_id, '')
    OR NEW.soak_seconds <> OLD.soak_seconds OR NEW.on_failure <> OLD.on_failure
    OR NEW.on_inconclusive <> OLD.on_inconclusive
    OR OLD.plan_hash <> '' AND (NEW.plan_hash <> OLD.plan_hash OR NEW.wave_count <> OLD.wave_count)
"""
RETARGETED = """
    NEW.rollout_id <> OLD.rollout_id OR NEW.position <> OLD.position OR NEW.pin_id <> OLD.pin_id
    OR NEW.pipeline_id <> OLD.pipeline_id OR NEW.pin_row_version <> OLD.pin_row_version OR NEW.enabled <> OLD.enabled
    OR NEW.from_revision_id <> OLD.from_revision_id OR NEW.to_revision_id <> OLD.to_revision_id
    OR OLD.detached AND NOT NEW.detached
    OR NEW.outcome <> OLD.outcome AND NOT (OLD.outcome = 'moves' AND NEW.outcome = 'blocked') AND EXISTS (
        SELECT 1 FROM pipelines_rollout r WHERE r.id = NEW.rollout_id AND r.state <> 'planned')
"""
REWAVED = """
    NEW.rollout_id <> OLD.rollout_id OR NEW.number <> OLD.number OR NEW.upper <> OLD.upper OR NEW.size <> OLD.size
    OR OLD.applied_at IS NOT NULL
        AND (NEW.applied_at IS NULL OR NEW.applied_at <> OLD.applied_at OR NEW.moved <> OLD.moved)
"""
WAS_STARTED = "EXISTS (SELECT 1 FROM pipelines_rollout r WHERE r.id = OLD.rollout_id AND r.state <> 'planned')"


class Migration(migrations.Migration):
    dependencies = [("pipelines", "0005_rollouts")]

    operations = [
        statements(
            postgresql=[
                "ALTER TABLE pipelines_rollout ADD CONSTRAINT rollout_template_of_organisation "
                "FOREIGN KEY (organisation_id, template_id) REFERENCES integrations_template (organisation_id, id)",
                "ALTER TABLE pipelines_rollout ADD CONSTRAINT rollout_revision_of_template "
                "FOREIGN KEY (template_id, revision_id) REFERENCES integrations_revision (template_id, id)",
            ],
            sqlite=[
                f"CREATE TRIGGER rollout_belongs BEFORE INSERT ON pipelines_rollout WHEN NOT ({MATCHES}) "
                f"BEGIN SELECT RAISE(ABORT, '{FOREIGN}'); END"
            ],
        ),
        refuse_when("rollout_starts_as_plan", "pipelines_rollout", "INSERT", "NEW.state <> 'planned'", STARTS),
        refuse_when("rollout_transitions", "pipelines_rollout", "UPDATE OF state", OUT_OF_ORDER, TRANSITIONS),
        refuse_when("rollout_waves_in_order", "pipelines_rollout", "UPDATE OF waves_applied", SKIPS, ONE_BY_ONE),
        refuse_when("rollout_plan_stays", "pipelines_rollout", "UPDATE", REPLANNED, PLAN_STAYS),
        refuse_when("rollout_kept", "pipelines_rollout", "DELETE", "OLD.state <> 'planned'", KEPT),
        refuse_when("target_stays", "pipelines_rollouttarget", "UPDATE", RETARGETED, TARGET_STAYS),
        refuse_when("target_kept", "pipelines_rollouttarget", "DELETE", WAS_STARTED, KEPT),
        refuse_when("wave_stays", "pipelines_rolloutwave", "UPDATE", REWAVED, WAVE_STAYS),
        refuse_when("wave_kept", "pipelines_rolloutwave", "DELETE", WAS_STARTED, KEPT),
    ]
