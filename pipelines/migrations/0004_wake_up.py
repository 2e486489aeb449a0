"""What PostgreSQL tells the runtime feed of at every commit, whoever wrote: a version, a token, its limits. And an index
by which a version that changed 100,000 pipelines is read a page at a time."""

import django.db.models.deletion
from django.db import migrations, models

from accounts.rules import statements

# A processor's feed listens on this channel; the id of the organisation comes first, the rest is for people.
VERSION = "NEW.organisation_id || ' version ' || NEW.number"
TOKENS = "COALESCE(NEW.organisation_id, OLD.organisation_id) || ' tokens'"
LIMITS = "(SELECT organisation_id FROM accounts_apitoken WHERE id = COALESCE(NEW.token_id, OLD.token_id)) || ' tokens'"
OLD_INDEX = "pipelines_pipeline_changed_in_id_63cf07f9"  # which the new one replaces


def tell(name: str, table: str, events: str, payload: str) -> list[str]:
    """A trigger that notifies; where there is nothing to say of, NULL says nothing."""
    return [
        f"CREATE FUNCTION pinion_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE payload text; BEGIN "
        f"payload := {payload}; "
        "IF payload IS NOT NULL THEN PERFORM pg_notify('pinion_feed', payload); END IF; RETURN NULL; END $$",
        f"CREATE TRIGGER {name} AFTER {events} ON {table} FOR EACH ROW EXECUTE FUNCTION pinion_{name}()",
    ]


class Migration(migrations.Migration):
    dependencies = [("pipelines", "0003_reports"), ("accounts", "0002_rules")]

    operations = [
        statements(
            postgresql=[
                *tell("tell_of_version", "pipelines_configurationhead", "INSERT OR UPDATE", VERSION),
                *tell("tell_of_token", "accounts_apitoken", "UPDATE OR DELETE", TOKENS),
                *tell("tell_of_limit", "pipelines_tokenpipeline", "INSERT OR UPDATE OR DELETE", LIMITS),
            ],
            sqlite=[],
        ),
        # By hand, since Django would make the table anew on SQLite, and lose its triggers.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                statements(
                    postgresql=[f"DROP INDEX {OLD_INDEX}", f"DROP INDEX {OLD_INDEX}_like"],
                    sqlite=[f"DROP INDEX {OLD_INDEX}"],
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="pipeline",
                    name="changed_in",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="pipelines.configurationversion",
                    ),
                )
            ],
        ),
        migrations.AddIndex(
            model_name="pipeline", index=models.Index(fields=["changed_in", "id"], name="pipeline_by_change")
        ),
    ]
