"""What the database itself refuses: a pin across templates or organisations, on what is gone or taken from below it,
changing history, a version that does not count up."""

from django.db import migrations

from accounts.rules import append_only, refuse_when, statements

FOREIGN = "The revision of a pin belongs to its template, and its template and pipeline to its organisation."
LABEL_FOREIGN = "A label belongs to the organisation of its pipeline."
IN_USE = "A template that pipelines use cannot be deleted."
PIPELINE_IN_USE = "A pipeline that has pins cannot be deleted."
GONE = "Nothing is pinned on a pipeline or to a template that has been deleted."
NEVER_CLEARED = "A secret parameter never becomes a plain one."
COUNTS_UP = "Within an epoch the configuration version grows by one, and its time never runs backwards."
ORGANISATION = "A pipeline never changes its organisation or its key."

MATCHES = """
    EXISTS (SELECT 1 FROM integrations_revision r WHERE r.id = NEW.revision_id AND r.template_id = NEW.template_id)
    AND EXISTS (SELECT 1 FROM integrations_template t WHERE t.id = NEW.template_id
        AND t.organisation_id = NEW.organisation_id)
    AND EXISTS (SELECT 1 FROM pipelines_pipeline p WHERE p.id = NEW.pipeline_id
        AND p.organisation_id = NEW.organisation_id)
"""
ON_WHAT_IS_GONE = """
    EXISTS (SELECT 1 FROM integrations_template t WHERE t.id = NEW.template_id AND t.deleted_at IS NOT NULL)
    OR EXISTS (SELECT 1 FROM pipelines_pipeline p WHERE p.id = NEW.pipeline_id AND p.deleted_at IS NOT NULL)
"""
HAS_PINS = (
    "NEW.deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM pipelines_pin WHERE pipelines_pin.pipeline_id = NEW.id)"
)
SKIPS = "NEW.epoch = OLD.epoch AND (NEW.number <> OLD.number + 1 OR NEW.changed_at < OLD.changed_at)"
STILL_USED = (
    "NEW.deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM pipelines_pin WHERE pipelines_pin.template_id = NEW.id)"
)


class Migration(migrations.Migration):
    dependencies = [("pipelines", "0001_initial"), ("integrations", "0002_rules")]

    operations = [
        append_only("pipelines_historyentry", "History is append-only."),
        append_only("pipelines_configurationversion", "Configuration versions are append-only."),
        statements(
            postgresql=[
                "ALTER TABLE pipelines_pin ADD CONSTRAINT pin_revision_of_template "
                "FOREIGN KEY (template_id, revision_id) REFERENCES integrations_revision (template_id, id)",
                "ALTER TABLE pipelines_pin ADD CONSTRAINT pin_template_of_organisation "
                "FOREIGN KEY (organisation_id, template_id) REFERENCES integrations_template (organisation_id, id)",
                "ALTER TABLE pipelines_pin ADD CONSTRAINT pin_pipeline_of_organisation "
                "FOREIGN KEY (organisation_id, pipeline_id) REFERENCES pipelines_pipeline (organisation_id, id)",
                "ALTER TABLE pipelines_label ADD CONSTRAINT label_pipeline_of_organisation "
                "FOREIGN KEY (organisation_id, pipeline_id) REFERENCES pipelines_pipeline (organisation_id, id)",
            ],
            sqlite=[
                f"CREATE TRIGGER pin_belongs_{name} BEFORE {event} ON pipelines_pin WHEN NOT ({MATCHES}) "
                f"BEGIN SELECT RAISE(ABORT, '{FOREIGN}'); END"
                for name, event in (
                    ("insert", "INSERT"),
                    ("update", "UPDATE OF organisation_id, pipeline_id, template_id, revision_id"),
                )
            ]
            + [
                f"CREATE TRIGGER label_belongs_{name} BEFORE {event} ON pipelines_label WHEN NOT EXISTS (SELECT 1 "  # noqa: S608  # no text from outside
                "FROM pipelines_pipeline p WHERE p.id = NEW.pipeline_id AND p.organisation_id = NEW.organisation_id) "
                f"BEGIN SELECT RAISE(ABORT, '{LABEL_FOREIGN}'); END"
                for name, event in (("insert", "INSERT"), ("update", "UPDATE OF organisation_id, pipeline_id"))
            ],
        ),
        refuse_when("pin_on_what_is_gone", "pipelines_pin", "INSERT", ON_WHAT_IS_GONE, GONE),
        refuse_when("template_in_use", "integrations_template", "UPDATE OF deleted_at", STILL_USED, IN_USE),
        refuse_when("pipeline_in_use", "pipelines_pipeline", "UPDATE OF deleted_at", HAS_PINS, PIPELINE_IN_USE),
        refuse_when("version_counts_up", "pipelines_configurationhead", "UPDATE", SKIPS, COUNTS_UP),
        refuse_when(
            "parameter_stays_secret", "pipelines_parameter", "UPDATE", "OLD.secret AND NOT NEW.secret", NEVER_CLEARED
        ),
        refuse_when(
            "pipeline_stays",
            "pipelines_pipeline",
            "UPDATE OF organisation_id, pipeline_key",
            "NEW.organisation_id <> OLD.organisation_id OR NEW.pipeline_key <> OLD.pipeline_key",
            ORGANISATION,
        ),
        statements(
            # Without them the planner takes a search for a rare one, and sorts all that match to show the first page.
            postgresql=["CREATE STATISTICS pipeline_search ON (upper(name)), (upper(slug)) FROM pipelines_pipeline"],
            sqlite=[],
        ),
    ]
