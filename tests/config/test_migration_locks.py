"""Migrations beside people who work: none holds a table for long, and no future one will."""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

from tests.config.migrating import FIRST, Bystanders, first_version
from tests.pipelines.rollouts.terminals import in_pipes, line_of

ROWS = 20_000
MOST_SECONDS = 2.0

APPS = ("accounts", "integrations", "pipelines")
# Tables that a migration may hold for as long as it takes, and why that is not long.
SMALL = {
    "pipelines_rollout": "made by the migration before those that touch it, and released with them",
    "pipelines_rollouttarget": "as above",
    "pipelines_rolloutwave": "as above",
}
NAME = r'"?(?P<table>\w+)"?'
# What reads or writes a whole table while it keeps others out, and what to do instead.
HOLDS = {
    rf"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY).* ON {NAME}": "AddIndexInUse of accounts.indexes, in a migration of its own",
    r"(DROP |RE)INDEX (?!CONCURRENTLY)(?P<table>)": "drop_indexes_in_use of accounts.indexes, in a migration of its own",
    rf"ALTER TABLE (ONLY )?{NAME}.* ADD CONSTRAINT (?!.*(NOT VALID|USING INDEX))": "NOT VALID, and VALIDATE CONSTRAINT later",
    rf"ALTER TABLE (ONLY )?{NAME}.* ALTER COLUMN \S+ (SET DATA )?TYPE": "a new column, filled in batches",
    rf"ALTER TABLE (ONLY )?{NAME}.* ALTER COLUMN \S+ SET NOT NULL": "CHECK (… IS NOT NULL) NOT VALID, VALIDATE, then this",
    rf"ALTER TABLE (ONLY )?{NAME}.* ADD COLUMN .*\b(UNIQUE|REFERENCES|CHECK|PRIMARY KEY|GENERATED|random|now|clock)\b": (
        "the bare column first, and the rest by itself"
    ),
    rf"(UPDATE|DELETE FROM|TRUNCATE( TABLE)?|LOCK( TABLE)?|CLUSTER|VACUUM FULL) (ONLY )?{NAME}": "batches, by a command",
}
# What a migration without a transaction may do: all of it can be done again where it was cut short.
BEGINS_AGAIN = re.compile(
    r"SET lock_timeout|(DROP INDEX CONCURRENTLY IF EXISTS|CREATE (UNIQUE )?INDEX CONCURRENTLY|ALTER TABLE .* VALIDATE) "
)


@pytest.fixture(autouse=True)
def only_postgresql(database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite has one lock, for the whole file: its migrations take what they take.")


def test_migrating_many_pins_keeps_nobody_waiting_even_where_somebody_keeps_a_table(spare_database: str) -> None:
    first_version(spare_database, ROWS)
    bystanders = Bystanders(spare_database)
    with psycopg.connect(spare_database) as busy, bystanders.at_work():
        busy.execute("LOCK TABLE pipelines_pipeline IN ROW EXCLUSIVE MODE")  # as a wave does that takes long
        with in_pipes(spare_database, "migrate") as migration:
            while "Trying again" not in line_of(migration.stderr):
                assert migration.poll() is None
            busy.commit()
            assert migration.wait(timeout=60) == 0
    assert bystanders.longest_hold < most_seconds(), bystanders.held
    assert max(bystanders.longest.values()) < most_seconds(), bystanders.longest


def most_seconds() -> float:
    """Two, and more on a machine that has more to do than processors; `make bench` takes no such excuse."""
    return MOST_SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


# --- the migrations to come -------------------------------------------------------------------------------------------


def statements_of(app: str, name: str) -> list[str]:
    """What a migration executes, each statement in one line."""
    out = StringIO()
    with closing(out):
        call_command("sqlmigrate", app, name, stdout=out, no_color=True)
        said = out.getvalue()
    assert "CANNOT BE WRITTEN AS SQL" not in said, f"{app}.{name}: what it does cannot be read. Use accounts.rules."
    code = re.sub(r"^--.*$", "", said, flags=re.MULTILINE)
    body = re.sub(r"\$\$.*?\$\$", "''", code, flags=re.DOTALL)  # functions, which only run later
    return [" ".join(statement.split()) for statement in body.split(";") if statement.strip()]


def later_migrations() -> Iterator[tuple[str, str]]:
    """All of ours that came after the first version."""
    for app, name in sorted(MigrationLoader(None, ignore_no_migrations=True).disk_migrations):
        if app in APPS and name > FIRST[app]:
            yield app, name


def complaints(statements: list[str]) -> list[str]:
    """What is wrong with these statements of one migration; tables that it makes itself are nobody's yet."""
    made = set(re.findall(rf"CREATE TABLE {NAME}", "\n".join(statements)))
    return [
        f"{statement[:100]} … holds the table. Do this instead: {instead}."
        for statement in statements
        for pattern, instead in HOLDS.items()
        if (found := re.match(pattern, statement)) and found["table"] not in made | SMALL.keys()
    ]


def test_no_migration_reads_or_writes_a_whole_table_while_it_holds_it(db: None) -> None:
    migrations = list(later_migrations())
    assert ("pipelines", "0007_pipeline_by_change") in migrations
    found = {f"{app}.{name}": complaints(statements_of(app, name)) for app, name in migrations}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_a_migration_without_a_transaction_can_begin_again(db: None) -> None:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    loose = [key for key in later_migrations() if not loader.disk_migrations[key].atomic]
    assert ("accounts", "0003_audit_by_kind") in loose
    for app, name in loose:
        assert [said for said in statements_of(app, name) if not BEGINS_AGAIN.match(said)] == []


@pytest.mark.parametrize(
    "statement",
    [
        'CREATE INDEX "x" ON "pipelines_pin" ("enabled")',
        'CREATE UNIQUE INDEX "x" ON "pipelines_pin" ("enabled")',
        'DROP INDEX IF EXISTS "pin_by_template"',
        'ALTER TABLE "pipelines_pin" ADD CONSTRAINT "x" CHECK (enabled)',
        'ALTER TABLE "pipelines_pin" ADD CONSTRAINT "x" FOREIGN KEY ("a") REFERENCES "b" ("id") DEFERRABLE',
        'ALTER TABLE "pipelines_pin" ADD CONSTRAINT "x" UNIQUE ("enabled")',
        'ALTER TABLE "pipelines_pin" ALTER COLUMN "row_version" TYPE bigint USING "row_version"::bigint',
        'ALTER TABLE "pipelines_pin" ALTER COLUMN "enabled" SET NOT NULL',
        'ALTER TABLE "pipelines_pin" ADD COLUMN "a" varchar(9) NOT NULL CONSTRAINT "x" REFERENCES "b" ("id")',
        'ALTER TABLE "pipelines_pin" ADD COLUMN "a" uuid DEFAULT random() NOT NULL',
        'UPDATE "pipelines_pin" SET "enabled" = true',
        "LOCK TABLE pipelines_pin",
    ],
)
def test_what_holds_a_large_table_is_refused(statement: str) -> None:
    assert len(complaints([statement])) == 1
    harmless = statement.replace("pipelines_pin", "pipelines_new")
    if harmless != statement:
        assert complaints(['CREATE TABLE "pipelines_new" ("enabled" boolean)', harmless]) == []


@pytest.mark.parametrize(
    "statement",
    [
        'CREATE INDEX CONCURRENTLY "x" ON "pipelines_pin" ("enabled")',
        'DROP INDEX CONCURRENTLY IF EXISTS "pin_by_template"',
        'ALTER TABLE "pipelines_pin" ADD CONSTRAINT "x" CHECK (enabled) NOT VALID',
        'ALTER TABLE "pipelines_pin" ADD CONSTRAINT "x" UNIQUE USING INDEX "y"',
        'ALTER TABLE "pipelines_pin" VALIDATE CONSTRAINT "x"',
        'ALTER TABLE "pipelines_pin" ADD COLUMN "a" boolean DEFAULT false NOT NULL',
        'ALTER TABLE "pipelines_pin" ALTER COLUMN "a" DROP NOT NULL',
    ],
)
def test_what_takes_no_time_is_not(statement: str) -> None:
    assert complaints([statement]) == []
