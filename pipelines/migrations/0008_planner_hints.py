"""What PostgreSQL's planner cannot find out by itself: how labels go together, and that a page is not worth a process."""

from django.db import migrations

from accounts.rules import statements


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
                # A page of pipelines is read in less time than another process takes to start, and far less where the cores
                # are busy. Counting all pins, as the home page does, is worth one.
                "ALTER TABLE pipelines_pipeline SET (parallel_workers = 0)",
                "ALTER TABLE pipelines_label SET (parallel_workers = 0)",
            ],
            sqlite=[],
        ),
    ]
