"""An index for what was done last to one kind of thing."""

from django.db import migrations, models

from accounts.indexes import AddIndexInUse


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0002_rules")]

    operations = [
        AddIndexInUse(
            model_name="auditentry",
            index=models.Index(fields=["organisation", "resource_type", "-created_at", "-id"], name="audit_by_kind"),
        ),
    ]
