"""What PostgreSQL has to know to plan the lists of pipelines and pins well: first pages, and in one process."""

from django.db import migrations

from accounts.rules import statements

LISTED = ("pipelines_pipeline", "pipelines_pin", "pipelines_label")


class Migration(migrations.Migration):
    dependencies = [("pipelines", "0007_pipeline_by_change")]

    operations = [
        statements(
            postgresql=[
                # A value belongs to one key. Taken for independent, two labels seem to match a tenth of what they do, and all
                # of it is read and sorted for a page.
                "CREATE STATISTICS pipelines_label_pairs (dependencies, mcv) "
                "ON organisation_id, key, value FROM pipelines_label",
                "ANALYZE pipelines_label",
                # A page is read in less time than another process takes to start, and far less where the cores are busy.
                *(f"ALTER TABLE {table} SET (parallel_workers = 0)" for table in LISTED),
            ],
            sqlite=[],
        ),
    ]
