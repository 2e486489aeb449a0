"""An index by which a version that changed 100,000 pipelines is read a page at a time, in place of a shorter one."""

import django.db.models.deletion
from django.db import migrations, models

from accounts.indexes import AddIndexInUse, drop_indexes_in_use

SHORTER = "pipelines_pipeline_changed_in_id_63cf07f9"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("pipelines", "0006_rollout_rules")]

    operations = [
        AddIndexInUse(
            model_name="pipeline", index=models.Index(fields=["changed_in", "id"], name="pipeline_by_change")
        ),
        # By hand, since Django would make the table anew on SQLite, and lose its triggers.
        migrations.SeparateDatabaseAndState(
            database_operations=[drop_indexes_in_use(SHORTER, f"{SHORTER}_like")],
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
    ]
