"""What is in the database, to show that a refused write changed nothing."""

from tests.committed import rows_of

TABLES = (
    "accounts_auditentry",
    "integrations_revision",
    "integrations_revisionstanding",
    "integrations_sealedvalues",
    "integrations_template",
    "pipelines_historyentry",
    "pipelines_pin",
)


def kept() -> dict[str, list[str]]:
    """Every row of the tables that templates, revisions and their use are kept in."""
    return {table: sorted(map(repr, rows)) for table, rows in rows_of(TABLES).items()}
