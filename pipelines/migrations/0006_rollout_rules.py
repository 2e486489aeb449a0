"""What the database itself refuses of rollouts: states out of order, waves taken back or skipped, plans that change."""

from django.db import migrations

from accounts.rules import refuse_when, statements

FOREIGN = "The template of a rollout belongs to its organisation, and its revision to its template."
STARTS = "A rollout begins as a plan."
TRANSITIONS = "A rollout goes from planned to running, between running and paused, and from there to done or aborted."
ONE_BY_ONE = "Waves are applied one by one, while the rollout runs."
PLAN_STAYS = "A plan never changes: make another."
TARGET_STAYS = "What a plan says of a pipeline never changes, but that something blocks or detaches it."
FINISHES = "A rollout is done when all of its waves have been applied."
NO_MORE = "A rollout that was started gets no further waves or pipelines."
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
    AND NOT (OLD.state = 'running' AND NEW.waves_applied = OLD.waves_applied + 1 AND EXISTS (
        SELECT 1 FROM pipelines_rolloutwave w WHERE w.rollout_id = NEW.id AND w.number = NEW.waves_applied
            AND w.applied_at IS NOT NULL))
"""
UNFINISHED = "NEW.state = 'done' AND OLD.state = 'running' AND NEW.waves_applied <> NEW.wave_count"
REPLANNED = """
    NEW.id <> OLD.id OR NEW.organisation_id <> OLD.organisation_id OR NEW.template_id <> OLD.template_id
    OR coalesce(NEW.revision_id, '') <> coalesce(OLD.revision_id, '')
    OR coalesce(NEW.reverts_id, '') <> coalesce(OLD.reverts_id, '')
    OR NEW.soak_seconds <> OLD.soak_seconds OR NEW.on_failure <> OLD.on_failure
    OR NEW.on_inconclusive <> OLD.on_inconclusive OR NEW.waves_asked <> OLD.waves_asked
    OR coalesce(CAST(NEW.gate AS text), '') <> coalesce(CAST(OLD.gate AS text), '')
    OR CAST(NEW.selection AS text) <> CAST(OLD.selection AS text)
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
IS_STARTED = "EXISTS (SELECT 1 FROM pipelines_rollout r WHERE r.id = NEW.rollout_id AND r.state <> 'planned')"
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
        refuse_when("rollout_finishes", "pipelines_rollout", "UPDATE OF state", UNFINISHED, FINISHES),
        refuse_when("rollout_waves_in_order", "pipelines_rollout", "UPDATE OF waves_applied", SKIPS, ONE_BY_ONE),
        refuse_when("rollout_plan_stays", "pipelines_rollout", "UPDATE", REPLANNED, PLAN_STAYS),
        refuse_when("rollout_kept", "pipelines_rollout", "DELETE", "OLD.state <> 'planned'", KEPT),
        refuse_when("target_stays", "pipelines_rollouttarget", "UPDATE", RETARGETED, TARGET_STAYS),
        refuse_when("target_kept", "pipelines_rollouttarget", "DELETE", WAS_STARTED, KEPT),
        statements(
            # Asked once for all targets that a plan writes, which may be a million.
            postgresql=[
                "CREATE FUNCTION pinion_targets_of_plans() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "IF EXISTS (SELECT 1 FROM (SELECT DISTINCT rollout_id FROM added) a JOIN pipelines_rollout r "
                "ON r.id = a.rollout_id WHERE r.state <> 'planned') THEN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], "
                "ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NULL; END $$",
                "CREATE TRIGGER targets_of_plans AFTER INSERT ON pipelines_rollouttarget REFERENCING NEW TABLE AS added "
                f"FOR EACH STATEMENT EXECUTE FUNCTION pinion_targets_of_plans('{NO_MORE}')",
            ],
            sqlite=[
                f"CREATE TRIGGER targets_of_plans BEFORE INSERT ON pipelines_rollouttarget WHEN {IS_STARTED} "
                f"BEGIN SELECT RAISE(ABORT, '{NO_MORE}'); END"
            ],
        ),
        refuse_when("waves_of_plans", "pipelines_rolloutwave", "INSERT", IS_STARTED, NO_MORE),
        refuse_when("wave_stays", "pipelines_rolloutwave", "UPDATE", REWAVED, WAVE_STAYS),
        refuse_when("wave_kept", "pipelines_rolloutwave", "DELETE", WAS_STARTED, KEPT),
    ]
