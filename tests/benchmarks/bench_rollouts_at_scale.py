"""What a rollout of very many pins costs others, and the process that applies it.

`make bench` runs it. While a wave of 100,000 pins is applied, other organisations' writes and everybody's reads take at
most three times as long as in quiet, 99 times in 100. The memory of the command grows by less than 50 MB from a rollout
of 1,000 pins to one of 1,000,000, and a wave takes the same statements for 10 pins as for 100,000.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from django.db import connection
from django.test import Client

from accounts.credentials import access_token
from accounts.models import Organisation, User
from integrations.models import Template
from pipelines.models import Pin
from pipelines.parameters import change_parameters
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import plan_rollout
from pipelines.rollouts.selection import Selection
from tests.benchmarks.conftest import ROWS
from tests.benchmarks.last_run import Record
from tests.factories import PipelineFactory, TemplateFactory, revision_of, system, wishes
from tests.pipelines.rollouts.crowds import build_fleet, start
from tests.pipelines.rollouts.terminals import ROOT, environment, in_pipes
from tests.queries import assert_same_queries, count_queries

QUIET_SECONDS = 10.0
MOST_TIMES_QUIET = 3.0
FEW, MANY = 1_000, 1_000_000
MOST_GROWTH = 50_000  # KiB, as Linux counts

# The command as anyone runs it, and its greatest size in memory, in a line of its own on standard error.
MEASURED = """
import pathlib, runpy, sys
sys.argv = ["manage.py", *sys.argv[1:]]
try:
    runpy.run_path("manage.py", run_name="__main__")
finally:
    status = pathlib.Path("/proc/self/status").read_text()  # getrusage would count what the parent held at the fork
    print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""

KEY = "%(prefix)s || lpad(n::text, 12, '0')"
NUMBERED = "generate_series(1, %(rows)s) AS n"
FILL = [
    "SET session_replication_role = replica",  # as in tests.benchmarks.conftest
    f"""INSERT INTO pipelines_pipeline (id, organisation_id, name, slug, type, pipeline_key, enabled, row_version,
            created_at, updated_at)
        SELECT 'pip_' || {KEY}, %(organisation)s, 'Shop ' || n, %(prefix)s || n, 'web', 'pk_' || {KEY}, true, 1, now(), now()
        FROM {NUMBERED}""",
    f"""INSERT INTO pipelines_parameter (pipeline_id, key, value, sealed, secret, updated_at)
        SELECT 'pip_' || {KEY}, 'ga4_measurement_id', 'G-' || n, '', false, now() FROM {NUMBERED}""",
    f"""INSERT INTO pipelines_pin (id, organisation_id, pipeline_id, template_id, revision_id, enabled, resolvable,
            row_version, created_at, updated_at)
        SELECT 'pi_' || {KEY}, %(organisation)s, 'pip_' || {KEY}, %(template)s, %(first)s, true, true, 1, now(), now()
        FROM {NUMBERED}""",
    "SET session_replication_role = origin",
    "VACUUM ANALYZE",
]


def test_the_memory_of_the_command_grows_by_less_than_50_mb_from_a_thousand_pins_to_a_million(
    committed_db: str, organisation: Organisation, record: Record
) -> None:
    sizes = {rows: _peak_of_rollout(committed_db, organisation, rows) for rows in (FEW, MANY)}
    figure = f"{sizes[FEW] / 1024:.1f} and {sizes[MANY] / 1024:.1f} MB"
    record(f"rollouts: memory of the command, {FEW:,} and {MANY:,} pins", figure, "< 50 MB more")
    assert sizes[MANY] - sizes[FEW] < MOST_GROWTH


def test_a_wave_takes_the_same_statements_for_ten_pins_as_for_a_hundred_thousand(
    crowd: dict[str, str], organisation: Organisation, other_organisation: Organisation
) -> None:
    small = start(build_fleet(other_organisation, 10)[0], "100%")
    with count_queries() as few:
        assert advance(small.pk).state == "done"
    large = _start(organisation, crowd["shared"])
    with count_queries() as many:
        assert advance(large).state == "done"
    assert Pin.objects.filter(template=crowd["shared"], revision__number=5).count() == ROWS
    assert_same_queries(few, many)


def test_others_write_and_everybody_reads_while_a_large_wave_is_applied(
    crowd: dict[str, str],
    committed_db: str,
    organisation: Organisation,
    other_organisation: Organisation,
    admin_user: User,
    record: Record,
) -> None:
    others = Others(other_organisation, admin_user, crowd)
    for seconds, when in ((2.0, "warming up"), (QUIET_SECONDS, "quiet")):
        end = time.monotonic() + seconds
        others.work(lambda end=end: time.monotonic() < end, when)  # type: ignore[misc]  # mypy infers no type for a default
    _start(organisation, crowd["shared"])
    with in_pipes(committed_db, "run_rollouts", "--once") as worker:
        others.work(lambda: not others.is_applying(), "starting")  # the worker itself, not the wave
        others.work(others.is_applying, "wave")
        assert worker.wait(timeout=600) == 0
    ratios = others.ratios()
    for name, (quiet, busy, count) in others.figures().items():
        figure = f"p99 {busy:.1f} ms of {count:,}, {quiet:.1f} ms when quiet: {ratios[name]:.2f} ×"
        record(f"beside a wave of {ROWS:,} pins: {name}", figure, f"≤ {MOST_TIMES_QUIET} ×")
    assert max(ratios.values()) <= MOST_TIMES_QUIET


class Others:
    """One who writes in another organisation, and reads in the one whose pins are moving."""

    def __init__(self, elsewhere: Organisation, reader: User, names: dict[str, str]) -> None:
        self.actor = system(elsewhere)
        self.pipeline = PipelineFactory(organisation=elsewhere)
        self.client = Client(headers={"Authorization": f"Bearer {access_token(reader)}"})
        self.names = names
        self.taken: dict[tuple[str, str], list[float]] = {}
        self.writes = 0

    def work(self, goes_on: Callable[[], bool], when: str) -> None:
        actions: dict[str, Callable[[], Any]] = {
            "writing elsewhere": self.write,
            "reading a page of pins": lambda: self.read(f"pipeline-integrations?template={self.names['shared']}"),
            "reading what a pipeline runs": lambda: self.read("pipelines/pip_0000000000000007/config"),
        }
        while goes_on():
            for name, action in actions.items():
                began = time.perf_counter()
                action()
                self.taken.setdefault((name, when), []).append(1000 * (time.perf_counter() - began))

    def write(self) -> None:
        self.writes += 1
        values = wishes(count=str(self.writes))
        change_parameters(actor=self.actor, pipeline_id=self.pipeline.pk, wishes=values)

    def read(self, path: str) -> None:
        assert self.client.get(f"/v1/admin/{path}").status_code == 200

    def is_applying(self) -> bool:
        """Whether another process is in a transaction that has written."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND backend_xid IS NOT NULL"
            )
            return cursor.fetchone() is not None

    def figures(self) -> dict[str, tuple[float, float, int]]:
        """Milliseconds in quiet and beside the wave, and of how many."""
        names = {name for name, _ in self.taken}
        parts = {name: (self.taken[name, "quiet"], self.taken[name, "wave"]) for name in names}
        return {name: (_p99(quiet), _p99(busy), len(busy)) for name, (quiet, busy) in sorted(parts.items())}

    def ratios(self) -> dict[str, float]:
        return {name: busy / quiet for name, (quiet, busy, _) in self.figures().items()}


def _p99(taken: list[float]) -> float:
    return quantiles(taken, n=100)[98]


def _start(organisation: Organisation, template_id: str) -> str:
    actor, selection = system(organisation), Selection(include_disabled=True)
    plan = plan_rollout(actor=actor, template_id=template_id, selection=selection)
    return str(start_rollout(actor=actor, rollout_id=plan.pk).pk)


def _peak_of_rollout(database_url: str, organisation: Organisation, rows: int) -> int:
    template: Template = TemplateFactory(organisation=organisation, name=f"Of {rows}", vendor="ga4", revisions=2)
    names = {
        "organisation": organisation.pk,
        "template": template.pk,
        "first": revision_of(template, 1).pk,
        "prefix": "a" if rows == FEW else "b",
        "rows": rows,
    }
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, names)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "rollout_revision", template.pk, "--yes", "--waves", "1,100%"],
        check=False,
        cwd=ROOT,
        env=environment(database_url),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert Pin.objects.filter(template=template, revision__number=2).count() == rows
    return int(done.stderr.splitlines()[-1])
