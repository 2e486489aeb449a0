"""Migrations from outside: as processes, beside people who work, on databases that hold something already."""

import threading
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from tests.pipelines.rollouts.terminals import run_piped

FIRST = {"accounts": "0002_rules", "integrations": "0002_rules", "pipelines": "0002_rules"}  # the first with pins

SCHEMA = {
    "postgresql": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT tablename, indexname, indexdef, '', '', '' FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated::text, '', ''
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled::text, '', ''
            FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname, '', prosrc, '', '', '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT stxname, '', pg_get_statisticsobjdef(oid), '', '', '' FROM pg_statistic_ext
        UNION ALL SELECT indexrelid::regclass::text, 'valid', indisvalid::text, '', '', '' FROM pg_index
            WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)""",
    "sqlite": "SELECT tbl_name, name, sql, type, '', '' FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
}

KEY = "lpad(n::text, 16, '0')"
# What an organisation has that was there from the first version on; without triggers it is there in seconds.
FILL = [
    "SET session_replication_role = replica",
    "INSERT INTO accounts_organisation (id, name, created_at) VALUES ('org_1', 'Large', now())",
    """INSERT INTO integrations_template (id, organisation_id, name, vendor, description, latest_number, archived,
            row_version, created_at, updated_at) VALUES ('tmpl_1', 'org_1', 'Hook', 'webhook', '', 1, false, 1, now(), now())""",
    """INSERT INTO integrations_revision (id, template_id, number, config, delivery_mode, change_summary, parameters_used,
            created_at, actor_type, actor_id, actor_label, request_id)
        VALUES ('rev_1', 'tmpl_1', 1, '{"url": "https://a.example"}', 'server_side', '', '[]', now(), 'system', 'x', 'x', '')""",
    f"""INSERT INTO pipelines_configurationversion (id, organisation_id, number, created_at, actor_type, actor_id,
            actor_label, request_id)
        SELECT 'ver_' || {KEY}, 'org_1', n, now(), 'system', 'x', 'x', '' FROM generate_series(1, %(rows)s) AS n""",
    "INSERT INTO pipelines_configurationhead VALUES ('org_1', 'ep_1', %(rows)s, now())",
    f"""INSERT INTO pipelines_pipeline (id, organisation_id, name, slug, type, pipeline_key, enabled, row_version,
            changed_in_id, created_at, updated_at)
        SELECT 'pip_' || {KEY}, 'org_1', 'Shop ' || n, 'shop-' || n, 'web', 'pk_' || {KEY}, true, 1, 'ver_' || {KEY}, now(),
            now() FROM generate_series(1, %(rows)s) AS n""",
    f"""INSERT INTO pipelines_pin (id, organisation_id, pipeline_id, template_id, revision_id, enabled, resolvable,
            row_version, created_at, updated_at)
        SELECT 'pi_' || {KEY}, 'org_1', 'pip_' || {KEY}, 'tmpl_1', 'rev_1', true, true, 1, now(), now()
            FROM generate_series(1, %(rows)s) AS n""",
    f"""INSERT INTO pipelines_historyentry (version_id, pipeline_id, subject, subject_id, after_revision_id, after_enabled,
            secret)
        SELECT 'ver_' || {KEY}, 'pip_' || {KEY}, 'pin', 'pi_' || {KEY}, 'rev_1', true, false
            FROM generate_series(1, %(rows)s) AS n""",
    f"""INSERT INTO accounts_auditentry (organisation_id, actor_type, actor_id, actor_label, request_id, action,
            resource_type, resource_id, resource_label, changes, created_at)
        SELECT 'org_1', 'user', 'x', 'x', '', 'pin.updated', 'pipeline_integration', 'pi_' || {KEY}, 'Shop', '{{}}', now()
            FROM generate_series(1, %(rows)s) AS n""",
    "SET session_replication_role = origin",
    "VACUUM ANALYZE",
]

# As a change of one pin does it: the rows of whatever a migration might hold.
CHANGE = [
    "SELECT 1 FROM pipelines_pipeline WHERE id = %(pipeline)s FOR NO KEY UPDATE",
    "UPDATE pipelines_pin SET enabled = NOT enabled, row_version = row_version + 1 WHERE id = %(pin)s",
    """INSERT INTO pipelines_historyentry (version_id, pipeline_id, subject, subject_id, after_enabled, secret)
        VALUES (%(version)s, %(pipeline)s, 'pin', %(pin)s, true, false)""",
    "UPDATE pipelines_pipeline SET changed_in_id = %(version)s WHERE id = %(pipeline)s",
    """INSERT INTO accounts_auditentry (organisation_id, actor_type, actor_id, actor_label, request_id, action,
            resource_type, resource_id, resource_label, changes, created_at)
        VALUES ('org_1', 'user', 'x', 'x', '', 'pin.updated', 'pipeline_integration', %(pin)s, 'Shop', '{}', now())""",
    "UPDATE pipelines_configurationhead SET number = number + 1",
    """INSERT INTO pipelines_configurationversion (id, organisation_id, number, created_at, actor_type, actor_id,
            actor_label, request_id)
        SELECT %(version)s, 'org_1', number, changed_at, 'user', 'x', 'x', '' FROM pipelines_configurationhead""",
]
LOOK = """SELECT * FROM pipelines_pin pin JOIN pipelines_pipeline ON pipelines_pipeline.id = pin.pipeline_id
    JOIN integrations_revision ON integrations_revision.id = pin.revision_id WHERE pin.id = %(pin)s"""
# What keeps readers or writers of a table out.
HELD = """SELECT pid, relation::regclass::text, mode FROM pg_locks
    WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted
        AND locktype = 'relation'
        AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND relation = ANY(%s)"""


def migrate(url: str, *arguments: str) -> str:
    """What it said, where it went well."""
    code, said, wrong = run_piped(url, "migrate", *arguments)
    assert code == 0, f"{said}\n{wrong}"
    return wrong


def schema_here() -> set[tuple[Any, ...]]:
    """All that the database of the tests is made of."""
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA[connection.vendor])
        return set(cursor.fetchall())


def first_version(url: str, rows: int) -> None:
    """A database as the first version left it, with so many pipelines, pins, versions, and lines of history and audit."""
    migrate(url, "pipelines", FIRST["pipelines"])  # which stands on the others
    with psycopg.connect(url, autocommit=True) as database:
        for statement in FILL:
            database.execute(statement, {"rows": rows} if "%(rows)s" in statement else None)


class Bystanders:
    """While a block runs: one who changes pins, one who reads them, and one who looks who holds the tables."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.longest: dict[str, float] = {"read": 0.0, "write": 0.0}
        self.counts: dict[str, int] = {"read": 0, "write": 0, "glance": 0}
        self.held: dict[tuple[str, str], float] = defaultdict(float)
        self.faults: list[Exception] = []
        self._ended = threading.Event()

    @contextmanager
    def at_work(self) -> Generator[None]:
        threads = [threading.Thread(target=self._run, args=[work]) for work in (self._read, self._write, self._look)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
        assert self.faults == []
        assert min(self.counts.values()) > 10, self.counts

    @property
    def longest_hold(self) -> float:
        return max(self.held.values(), default=0.0)

    def _run(self, work: Any) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as database:
                work(database)
        except psycopg.Error as fault:
            self.faults.append(fault)

    def _names(self, number: int) -> dict[str, str]:
        return {"pin": f"pi_{number:016}", "pipeline": f"pip_{number:016}", "version": f"ver_new_{number}"}

    def _read(self, database: "psycopg.Connection[Any]") -> None:
        while not self._ended.is_set():
            with self._measured("read"):
                assert database.execute(LOOK, self._names(1 + self.counts["read"] % 1000)).fetchone() is not None

    def _write(self, database: "psycopg.Connection[Any]") -> None:
        while not self._ended.is_set():
            names = self._names(1 + self.counts["write"] % 1000) | {"version": f"ver_new_{self.counts['write']}"}
            with self._measured("write"), database.transaction():
                for statement in CHANGE:
                    database.execute(statement, names)

    def _look(self, database: "psycopg.Connection[Any]") -> None:
        """A lock that is seen at two glances in a row was held in between."""
        tables = [row[0] for row in database.execute("SELECT oid FROM pg_class WHERE relkind = 'r' AND oid >= 16384")]
        since: dict[tuple[Any, ...], float] = {}
        while not self._ended.wait(0.01):
            now = time.monotonic()
            seen = {tuple(row) for row in database.execute(HELD, [tables])}
            since = {lock: since.get(lock, now) for lock in seen}
            for lock, first in since.items():
                self.held[lock[1:]] = max(self.held[lock[1:]], now - first)
            self.counts["glance"] += 1

    @contextmanager
    def _measured(self, kind: str) -> Generator[None]:
        began = time.monotonic()
        yield
        self.longest[kind] = max(self.longest[kind], time.monotonic() - began)
        self.counts[kind] += 1
        time.sleep(0.002)


def migrate_beside(url: str) -> Bystanders:
    """What others felt while `manage.py migrate` ran."""
    bystanders = Bystanders(url)
    with bystanders.at_work():
        migrate(url)
    return bystanders
