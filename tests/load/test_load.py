"""Mixed traffic against a web process and a feed process on a core each, and a worker beside them.

`make load` lets it go on for ten minutes on each database, the ordinary suite for some seconds. It fails where anything
is answered with an error, where a server's memory grows after the first tenth, and where anything that a client was told
is done is not in the history and in the audit log exactly once.
"""

import os
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Organisation
from tests.config.servers import ROOT
from tests.load.checks import checks, wrong
from tests.load.ledger import Change, Line
from tests.load.looking import Before, Versions, before
from tests.load.memory import growth_of
from tests.load.scene import Scene, build_scene
from tests.load.servers import production
from tests.load.tables import report
from tests.load.traffic import Crowd, traffic
from tests.load.written import audited_once, nothing_else, written_once
from tests.loops import run_async

SECONDS = float(os.environ.get("LOAD_SECONDS", "12"))
LONG_ENOUGH = 300.0  # seconds of which memory can be judged: a tenth of it must be enough to warm up


def test_mixed_traffic_meets_no_error_and_leaves_every_accepted_write_exactly_once(
    committed_db: str,
    organisation: Organisation,
    database_kind: str,
    tmp_path: Path,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]  # the servers have no other
    scene = build_scene(organisation)
    start = before(scene)
    with production(committed_db, tmp_path) as servers:
        crowd = run_async(traffic(servers, scene, tmp_path, SECONDS))
    growth = {name: growth_of(samples) for name, samples in crowd.memory.samples.items()}
    found = checks(crowd, scene, start, servers.logs)
    text = report({"sqlite": "SQLite", "postgresql": "PostgreSQL"}[database_kind], crowd, growth, found)
    if "LOAD_SECONDS" in os.environ:
        (ROOT / "var").mkdir(exist_ok=True)
        (ROOT / "var" / f"load-{database_kind}.md").write_text(text)
        with capsys.disabled():
            print(f"\n\n{text}")  # noqa: T201  # what the run is for
    assert wrong(found) == []
    assert_that_checks_notice(crowd, scene, start)
    if SECONDS >= LONG_ENOUGH:
        assert {name: one.grown for name, one in growth.items() if not one.is_level} == {}


def assert_that_checks_notice(crowd: Crowd, scene: Scene, start: Before) -> None:
    """A write that clients were told is done and that is not there, and one that is there and nobody was told of."""
    versions, changes = Versions(scene, start), crowd.ledger.changes
    changes.remove(next(change for change in changes if change.lines))
    changes.append(Change(("load-lost",), ("pin.updated",), (Line(scene.pipelines[0], "pin", "pi_lost"),), crowd.ended))
    assert len(written_once(crowd, versions).wrong) == 2  # no version, and not the line
    assert len(audited_once(crowd, start).wrong) == 1
    assert len(nothing_else(crowd, versions, start).wrong) == 2  # a version too many, and an entry of the audit log
