"""What PostgreSQL tells the runtime feed of at every commit, whoever wrote: a version, a token, its limits."""

from django.db import migrations

from accounts.rules import statements

# A processor's feed listens on this channel; the id of the organisation comes first.
VERSION = "NEW.organisation_id || ' version ' || NEW.epoch || '.' || NEW.number"
TOKENS = "COALESCE(NEW.organisation_id, OLD.organisation_id) || ' tokens'"
LIMITS = "(SELECT organisation_id FROM accounts_apitoken WHERE id = COALESCE(NEW.token_id, OLD.token_id)) || ' tokens'"
# Which pipelines a version changes is told before the version itself is; of more than fit, only that they were many.
PIPELINES = [
    """CREATE FUNCTION pinion_tell_of_pipelines() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE told record; BEGIN
    IF (SELECT count(*) FROM (SELECT FROM changed LIMIT 101) AS first) > 100 THEN
        FOR told IN SELECT DISTINCT organisation_id FROM changed LOOP
            PERFORM pg_notify('pinion_feed', told.organisation_id || ' pipelines *');
        END LOOP;
        RETURN NULL;
    END IF;
    FOR told IN
        SELECT after.organisation_id, string_agg(after.id || ' ' || after.pipeline_key, ' ') AS names
        FROM changed AS after JOIN unchanged AS before ON before.id = after.id
        WHERE after.changed_in_id IS DISTINCT FROM before.changed_in_id GROUP BY after.organisation_id
    LOOP
        PERFORM pg_notify('pinion_feed', told.organisation_id || ' pipelines ' || told.names);
    END LOOP;
    RETURN NULL; END $$""",
    "CREATE TRIGGER tell_of_pipelines AFTER UPDATE ON pipelines_pipeline REFERENCING OLD TABLE AS unchanged NEW TABLE AS "
    "changed FOR EACH STATEMENT EXECUTE FUNCTION pinion_tell_of_pipelines()",
]


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
                *PIPELINES,
                *tell("tell_of_version", "pipelines_configurationhead", "INSERT OR UPDATE", VERSION),
                *tell("tell_of_token", "accounts_apitoken", "UPDATE OR DELETE", TOKENS),
                *tell("tell_of_limit", "pipelines_tokenpipeline", "INSERT OR UPDATE OR DELETE", LIMITS),
            ],
            sqlite=[],
        ),
    ]
