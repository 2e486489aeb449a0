"""The console's pages about a rollout of 100,000 pins, among 100,000 rollouts that are over.

`make bench` runs it. It fails where a page takes more than 20 SQL statements or half a second at its best. What plans
all of it anew, and so takes longer, is shown besides.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from accounts.models import Organisation, User
from pipelines.models import Pin, Rollout
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import pause_rollout, start_rollout
from tests.benchmarks.bench_console import MOST_MS, MOST_STATEMENTS, measured, opener
from tests.benchmarks.conftest import KEY, MOMENT, NUMBERED, ROWS
from tests.benchmarks.last_run import Record
from tests.console.people import at_console
from tests.console.rollouts import ROLLOUTS, page_of
from tests.console.test_rollout_plans import FORM
from tests.factories import system

OVER = [
    "SET session_replication_role = replica",
    f"""INSERT INTO pipelines_rollout (id, organisation_id, template_id, revision_id, state, reason, selection,
            soak_seconds, gate, on_failure, on_inconclusive, skip_blocked, waves_asked, plan_hash, wave_count, waves_applied, runs_for,
            row_version, created_at, started_at, finished_at, actor_type, actor_id, actor_label, request_id)
        SELECT 'ro_' || {KEY}, %(organisation)s, %(halved)s, %(second)s, 'done', '', '{{}}', 0, NULL, 'pause', 'pause',
            false, '100%%', 'x', 1, 1, '{{"type": "user", "id": "usr_1", "label": "bench"}}', 1, {MOMENT}, {MOMENT}, {MOMENT},
            'user', 'usr_1', 'bench', '' FROM {NUMBERED}""",
    f"""INSERT INTO pipelines_rolloutwave (rollout_id, number, upper, size, moved, applied_at, watched_from, verdict,
            verdict_reason)
        SELECT 'ro_' || {KEY}, 1, 10, 10, 10, {MOMENT}, {MOMENT}, '', '' FROM {NUMBERED}""",
    "SET session_replication_role = origin",
    "VACUUM ANALYZE pipelines_rollout, pipelines_rolloutwave",
]


def test_every_page_of_rollouts_comes_in_half_a_second_and_twenty_statements(
    crowd: dict[str, str],
    organisation: Organisation,
    admin_user: User,
    record: Record,
    say: Callable[[str], None],
) -> None:
    with connection.cursor() as cursor:
        for statement in OVER:
            cursor.execute(statement, crowd)
    client, actor = at_console(admin_user), system(organisation)
    form = f"{ROLLOUTS}new/?template={crowd['shared']}"
    table, missed, taken = [], [], []

    def note(name: str, best: float, statements: int, *, has_bar: bool = True) -> None:
        table.append(f"{name:<60} {best:>8.0f} {statements:>10}{'' if has_bar else '  (no bar)'}")
        taken.extend([(best, statements)] if has_bar else [])
        if has_bar and (best > MOST_MS or statements > MOST_STATEMENTS):
            missed.append(name)

    def look(stage: str, rollout: Rollout, *addresses: str) -> None:
        for address in addresses:
            note(f"{stage} {address}", *measured(address, opener(client, f"{page_of(rollout)}{address}")))

    for address in (
        ROLLOUTS,
        f"{ROLLOUTS}?p={ROWS // 50 - 100}",
        f"{ROLLOUTS}?state=active",
        f"{ROLLOUTS}?q=shared",
        form,
    ):
        note(address.replace(crowd["shared"], "{shared}"), *measured(address, opener(client, address)))
    send = FORM | {"revision": "5", "include_disabled": "on", "waves": "own", "own_waves": f"{ROWS // 2},100%"}
    note("planning all", *once(lambda: client.post(form, send)), has_bar=False)
    rollout = Rollout.objects.get(state="planned")
    look("plan", rollout, "", "targets/", f"targets/?after={ROWS - 200}", "targets/?standing=blocked")
    note("its start", *once(lambda: start_rollout(actor=actor, rollout_id=rollout.pk)), has_bar=False)
    advance(rollout.pk)
    addresses = ("", "?part=progress", f"targets/?after={ROWS - 200}", "targets/?standing=detached", "pause/", "abort/")
    look("running", rollout, *addresses)
    pin = Pin.objects.filter(template=crowd["shared"]).latest("pk")
    for address in (f"/admin/pipelines/pin/{pin.pk}/", f"/admin/integrations/template/{crowd['shared']}/"):
        shown = address.replace(crowd["shared"], "{shared}").replace(pin.pk, "{pin}")
        note(f"running {shown}", *measured(address, opener(client, address)))
    home = measured("/admin/", opener(client, "/admin/"))
    note("running /admin/, whose counts bench_console.py measures", *home, has_bar=False)
    pause_rollout(actor=actor, rollout_id=rollout.pk)
    look("paused", rollout, "", "resume/")
    note("what taking back would do", *once(lambda: client.get(f"{page_of(rollout)}revert/")), has_bar=False)
    say(f"\n\n{'page':<60} {'best ms':>8} {'statements':>10}")
    say("\n".join(table))
    record_slowest(record, taken)
    assert missed == []


def once(do: Callable[[], Any]) -> tuple[float, int]:
    """In milliseconds, of the one time that it is done; its statements are many more where things are written."""
    start = time.perf_counter()
    do()
    return (time.perf_counter() - start) * 1000, 0


def record_slowest(record: Record, taken: list[tuple[float, int]]) -> None:
    slowest, most = (max(each) for each in zip(*taken, strict=True))
    figure = f"the slowest {slowest:.0f} ms, at most {most} statements"
    bound = f"≤ {MOST_MS} ms, ≤ {MOST_STATEMENTS} statements"
    record(f"console: {len(taken)} pages of a rollout with {ROWS:,} targets", figure, bound)
