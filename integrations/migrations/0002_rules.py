"""What the database itself refuses: changing a revision, a gap in the numbers, another vendor for a template."""

from django.db import migrations

from accounts.rules import append_only, refuse_when, statements

GAP = "Revisions are numbered 1, 2, 3 without a gap."
VENDOR = "The vendor and the organisation of a template never change."
LATEST = "latest_number is the number of the newest revision."
SECRETS = "The secrets of a revision are never deleted or moved."

NOT_NEXT = "NEW.number <> 1 + (SELECT COUNT(*) FROM integrations_revision r WHERE r.template_id = NEW.template_id)"
NOT_LATEST = "NEW.latest_number <> (SELECT COUNT(*) FROM integrations_revision r WHERE r.template_id = NEW.id)"
OTHER_VENDOR = "NEW.vendor <> OLD.vendor OR NEW.organisation_id <> OLD.organisation_id"


class Migration(migrations.Migration):
    dependencies = [("integrations", "0001_initial"), ("accounts", "0002_rules")]

    operations = [
        append_only("integrations_revision", "A revision never changes."),
        refuse_when("revision_is_next", "integrations_revision", "INSERT", NOT_NEXT, GAP),
        refuse_when("template_latest", "integrations_template", "UPDATE OF latest_number", NOT_LATEST, LATEST),
        refuse_when(
            "template_vendor", "integrations_template", "UPDATE OF vendor, organisation_id", OTHER_VENDOR, VENDOR
        ),
        statements(
            postgresql=[
                "CREATE TRIGGER sealed_stays BEFORE DELETE OR UPDATE OF revision_id ON integrations_sealedvalues "
                f"FOR EACH ROW EXECUTE FUNCTION pinion_refuse('{SECRETS}')",
            ],
            sqlite=[
                f"CREATE TRIGGER sealed_stays_{event} BEFORE {clause} ON integrations_sealedvalues "
                f"BEGIN SELECT RAISE(ABORT, '{SECRETS}'); END"
                for event, clause in (("delete", "DELETE"), ("update", "UPDATE OF revision_id"))
            ],
        ),
    ]
