"""What the database itself refuses: changing a revision, a gap in the numbers, another vendor for a template."""

from django.db import migrations

from accounts.rules import append_only, refuse_when, statements

GAP = "Revisions are numbered 1, 2, 3 without a gap."
VENDOR = "The vendor and the organisation of a template never change."
LATEST = "latest_number is the number of the newest revision."
SECRETS = "The secrets of a revision are never deleted or moved."
STANDING = "The status of a revision is never deleted or moved."
REPLACED = "A row is never replaced by another."

NOT_NEXT = "NEW.number <> 1 + (SELECT COUNT(*) FROM integrations_revision r WHERE r.template_id = NEW.template_id)"
NOT_LATEST = "NEW.latest_number <> (SELECT COUNT(*) FROM integrations_revision r WHERE r.template_id = NEW.id)"
OTHER_VENDOR = "NEW.vendor <> OLD.vendor OR NEW.organisation_id <> OLD.organisation_id"


def stays_with_its_revision(name: str, table: str, sentence: str) -> migrations.RunPython:
    """Rows of this table may change, and never leave their revision."""
    return statements(
        postgresql=[
            f"CREATE TRIGGER {name}_stays BEFORE DELETE OR UPDATE OF revision_id ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION pinion_refuse('{sentence}')",
            f"CREATE TRIGGER {name}_keep BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION pinion_refuse('{sentence}')",
        ],
        sqlite=[
            f"CREATE TRIGGER {name}_stays_{event} BEFORE {clause} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            for event, clause in (("delete", "DELETE"), ("update", "UPDATE OF revision_id"))
        ],
    )


def never_replaced(name: str, table: str) -> migrations.RunPython:
    """SQLite's INSERT OR REPLACE deletes the row in its way without asking the triggers that refuse to."""
    return statements(
        postgresql=[],
        sqlite=[
            f"CREATE TRIGGER {name}_never_replaced BEFORE INSERT ON {table} "  # noqa: S608  # the table is one of those below
            f"WHEN EXISTS (SELECT 1 FROM {table} old WHERE old.id = NEW.id) "
            f"BEGIN SELECT RAISE(ABORT, '{REPLACED}'); END"
        ],
    )


class Migration(migrations.Migration):
    dependencies = [("integrations", "0001_initial"), ("accounts", "0002_rules")]

    operations = [
        append_only("integrations_revision", "A revision never changes."),
        never_replaced("revision", "integrations_revision"),
        never_replaced("template", "integrations_template"),
        refuse_when("revision_is_next", "integrations_revision", "INSERT", NOT_NEXT, GAP),
        refuse_when("template_latest", "integrations_template", "UPDATE OF latest_number", NOT_LATEST, LATEST),
        refuse_when(
            "template_vendor", "integrations_template", "UPDATE OF vendor, organisation_id", OTHER_VENDOR, VENDOR
        ),
        stays_with_its_revision("sealed", "integrations_sealedvalues", SECRETS),
        stays_with_its_revision("standing", "integrations_revisionstanding", STANDING),
        # How often a search matches, which PostgreSQL cannot guess: without it a first page sorts all that it finds.
        statements(
            postgresql=[
                "CREATE STATISTICS template_search ON (upper(name)), (upper(vendor)) FROM integrations_template"
            ],
            sqlite=[],
        ),
    ]
