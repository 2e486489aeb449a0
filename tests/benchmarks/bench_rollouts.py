"""Moving and planning 100,000 pins by a rollout, beside the bare SQL and the bare reading of the same rows.

`make bench` runs it. Each figure is a ratio of two medians of one run: moving to at most twice the bare UPDATE of the
pins with one INSERT … SELECT into history, planning to less than twice the reading of the same rows and parameters.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from django.db import connection, transaction

from accounts.models import Organisation
from integrations.models import Revision
from pipelines.models import Parameter, Pin, Rollout
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import plan_rollout
from pipelines.rollouts.selection import Selection
from pipelines.versions import new_version_id, take_version
from tests.benchmarks.conftest import ROWS
from tests.benchmarks.last_run import Record
from tests.factories import system

ROUNDS = 3
MOST_TIMES_SQL = 2.0
MOST_TIMES_READING = 2.0

BARE_UPDATE = """
    UPDATE pipelines_pin SET revision_id = %s, row_version = row_version + 1, updated_at = now() WHERE template_id = %s
"""
BARE_HISTORY = """
    INSERT INTO pipelines_historyentry (version_id, pipeline_id, subject, subject_id, before_revision_id,
        after_revision_id, before_enabled, after_enabled, before_value, after_value, secret)
    SELECT %s, pipeline_id, 'pin', id, %s, revision_id, enabled, enabled, NULL, NULL, false
    FROM pipelines_pin WHERE template_id = %s
"""


def test_moving_takes_at_most_twice_the_bare_sql_and_planning_less_than_twice_the_bare_reading(
    crowd: dict[str, str], organisation: Organisation, record: Record, say: Callable[[str], None]
) -> None:
    bench = Bench(organisation, crowd["shared"])
    for number in (5, 4) * ROUNDS:
        bench.round(number)
    rows = {name: median(taken) for name, taken in bench.taken.items()}
    moving, planning = rows["move"] / rows["bare sql"], rows["plan"] / rows["read"]
    say(f"\n\n{ROWS:,} pins")
    for name, seconds in rows.items():
        say(f"{name:<20} {seconds:>8.2f} s")
    say(f"moving {moving:.2f} × the bare SQL, planning {planning:.2f} × the bare reading")
    record(
        f"rollouts: moving {ROWS:,} pins", f"{rows['move']:.2f} s, {moving:.2f} × the bare SQL", f"≤ {MOST_TIMES_SQL} ×"
    )
    figure = f"{rows['plan']:.2f} s, {planning:.2f} × reading the same rows"
    record(f"rollouts: planning {ROWS:,} pins", figure, f"< {MOST_TIMES_READING} ×")
    assert moving <= MOST_TIMES_SQL
    assert planning < MOST_TIMES_READING


class Bench:
    """The same pins, moved in turn by a rollout and by bare SQL."""

    def __init__(self, organisation: Organisation, template_id: str) -> None:
        self.actor = system(organisation)
        self.template_id = template_id
        self.taken: dict[str, list[float]] = {}

    def round(self, number: int) -> None:
        target = Revision.objects.get(template=self.template_id, number=number)
        self.time("read", self.read)
        rollout: Rollout = self.time("plan", lambda: self.plan(target))
        self.time("start", lambda: start_rollout(actor=self.actor, rollout_id=rollout.pk))
        assert self.time("move", lambda: advance(rollout.pk)).state == "done"
        assert Pin.objects.filter(template=self.template_id, revision=target).count() == ROWS
        other = Revision.objects.get(template=self.template_id, number=3)
        self.time("bare sql", lambda: self.bare(other, target))

    def plan(self, target: Revision) -> Rollout:
        selection = Selection(include_disabled=True)
        return plan_rollout(actor=self.actor, template_id=self.template_id, revision=target.pk, selection=selection)

    def read(self) -> None:
        pins = Pin.objects.filter(template=self.template_id).select_related("pipeline")
        for _ in pins.iterator(chunk_size=2000):
            pass
        for _ in Parameter.objects.filter(pipeline__in=pins.values("pipeline")).iterator(chunk_size=2000):
            pass

    def bare(self, target: Revision, before: Revision) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            version_id = new_version_id()
            cursor.execute(BARE_UPDATE, [target.pk, self.template_id])
            cursor.execute(BARE_HISTORY, [version_id, before.pk, self.template_id])
            take_version(actor=self.actor, version_id=version_id)

    def time(self, name: str, action: Callable[[], Any]) -> Any:
        """What the action gives; what is dead is cleared away first, as in the middle of a quiet day."""
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        start = time.perf_counter()
        given = action()
        self.taken.setdefault(name, []).append(time.perf_counter() - start)
        return given
