"""What PostgreSQL tells the runtime feed of at every commit, whoever wrote: a version, a token, its limits."""

from django.db import migrations

from accounts.rules import statements

# A processor's feed listens on this channel; the id of the organisation comes first, the rest is for people.
VERSION = "NEW.organisation_id || ' version ' || NEW.number"
TOKENS = "COALESCE(NEW.organisation_id, OLD.organisation_id) || ' tokens'"
LIMITS = "(SELECT organisation_id FROM accounts_apitoken WHERE id = COALESCE(NEW.token_id, OLD.token_id)) || ' tokens'"


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
    ]
