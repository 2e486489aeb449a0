"""What the database itself refuses: changing the audit log, and leaving an organisation without an admin."""

from django.db import migrations

from accounts.rules import append_only, refuse_function, statements

LAST_ADMIN = "An organisation keeps at least one admin."
WAS_ADMIN = "OLD.role = 'admin' AND OLD.is_active AND OLD.organisation_id IS NOT NULL"
STAYS = "NEW.role = 'admin' AND NEW.is_active AND NEW.organisation_id = OLD.organisation_id"
NO_OTHER = (
    "NOT EXISTS (SELECT 1 FROM accounts_user other WHERE other.organisation_id = OLD.organisation_id "
    "AND other.id <> OLD.id AND other.role = 'admin' AND other.is_active)"
)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        refuse_function(),
        append_only("accounts_auditentry", "The audit log is append-only."),
        statements(
            # The lock makes two who step down side by side wait for one another, so that the second sees the first.
            postgresql=[
                f"""CREATE FUNCTION pinion_keep_an_admin() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF {WAS_ADMIN} AND (TG_OP = 'DELETE' OR ({STAYS}) IS NOT TRUE) THEN
                    PERFORM 1 FROM accounts_organisation WHERE id = OLD.organisation_id FOR NO KEY UPDATE;
                    IF {NO_OTHER} THEN
                        RAISE EXCEPTION '{LAST_ADMIN}' USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                END IF;
                RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END; END $$""",
                "CREATE TRIGGER accounts_user_keep_an_admin BEFORE UPDATE OR DELETE ON accounts_user "
                "FOR EACH ROW EXECUTE FUNCTION pinion_keep_an_admin()",
            ],
            sqlite=[
                f"CREATE TRIGGER accounts_user_keep_an_admin_update BEFORE UPDATE ON accounts_user "
                f"WHEN {WAS_ADMIN} AND ({STAYS}) IS NOT TRUE AND {NO_OTHER} "
                f"BEGIN SELECT RAISE(ABORT, '{LAST_ADMIN}'); END",
                f"CREATE TRIGGER accounts_user_keep_an_admin_delete BEFORE DELETE ON accounts_user "
                f"WHEN {WAS_ADMIN} AND {NO_OTHER} BEGIN SELECT RAISE(ABORT, '{LAST_ADMIN}'); END",
            ],
        ),
    ]
