"""A backup, a restore and a change of the key, as README.md says, with real programs, a real server and a processor."""

import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from accounts.models import Organisation
from pipelines.client import Client
from pipelines.models import ConfigurationHead, Pin
from pipelines.pins import update_pin
from tests.config.servers import serving
from tests.databases import current_database_url
from tests.environment import ENVIRONMENT
from tests.factories import CONFIGS, revision_of, system
from tests.pipelines.client.planes import until
from tests.readme import README, ROOT, blocks

OLD_RING = ENVIRONMENT["PINION_SECRET_KEYS"]
NEW_RING = f"new:{urlsafe_b64encode(b'n' * 32).decode()}"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def printed() -> dict[str, str]:
    """The commands of the page by what they do."""
    shown = [block.text for block in blocks(README.read_text()) if block.section == "Back up and restore"]
    names = ("postgresql backup", "sqlite backup", "postgresql restore", "sqlite restore", "afterwards")
    return dict(zip(names, shown, strict=True))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The commands of the page on a database, with PostgreSQL's programs of the version that runs here."""

    def ran(commands: str, url: str, ring: str = OLD_RING) -> "subprocess.CompletedProcess[str]":
        environment = {
            **os.environ,
            **ENVIRONMENT,
            "PATH": os.pathsep.join([*programs(url), os.environ["PATH"]]),
            "DATABASE_URL": url,
            "DATABASE": url.removeprefix("sqlite:///"),
            "BACKUP": str(tmp_path / "backup"),
            "PINION_SECRET_KEYS": ring,
        }
        script = f"set -e\n{commands.replace('.venv/bin/python', sys.executable)}"
        return subprocess.run(
            ["bash", "-c", script], check=False, capture_output=True, cwd=ROOT, env=environment, text=True, timeout=120
        )

    return ran


def programs(url: str) -> list[str]:
    """Where the private server of the tests has its own."""
    folder = parse_qs(urlsplit(url).query).get("host", [""])[0]
    binaries = Path(folder) / "binaries"
    return [binaries.read_text()] if folder and binaries.exists() else []


def test_after_a_restore_processors_run_what_the_backup_says_and_the_old_key_may_go(
    committed_db: str,
    database_kind: str,
    spare_database: str,
    run: Run,
    organisation: Organisation,
    processor_token: str,
    meta: Pin,
    tmp_path: Path,
) -> None:
    commands = printed()

    def processor(url: str) -> Client:
        return Client(
            url,
            processor_token,
            store=tmp_path / "pinion.state",
            instance="edge-1",
            poll_seconds=1.0,
            report_seconds=1.0,
        )

    def does(text: str, ring: str = OLD_RING) -> str:
        ended = run(text, spare_database, ring)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    with serving(committed_db, tmp_path) as served, processor(served.url) as client:
        until(lambda: revisions(client, meta) == {meta.pk: 1}, 20)
        backed_up = run(commands[f"{database_kind} backup"], current_database_url())
        assert backed_up.returncode == 0, backed_up.stderr
        update_pin(
            actor=system(organisation),
            pipeline_id=meta.pipeline_id,
            pin_id=meta.pk,
            revision_id=revision_of(meta.template, 2).pk,
        )
        until(lambda: revisions(client, meta) == {meta.pk: 2}, 20)
        before = client.status

    does(commands[f"{database_kind} restore"])
    epoch = does(commands["afterwards"]).splitlines()[-1].split()[0]
    assert epoch.startswith("ep_")
    assert epoch != before.epoch == ConfigurationHead.objects.get().epoch
    with serving(spare_database, tmp_path) as served, processor(served.url) as client:
        until(lambda: revisions(client, meta) == {meta.pk: 1}, 20)
        assert (client.status.epoch, client.status.version) == (epoch, before.version - 1)

    resealed = does(".venv/bin/python manage.py rotate_secrets", f"{NEW_RING},{OLD_RING}")
    assert "secrets of revisions: 2 under an older key, 2 sealed with new\n" in resealed
    (tmp_path / "pinion.state").unlink()
    with serving(spare_database, tmp_path, PINION_SECRET_KEYS=NEW_RING) as served, processor(served.url) as client:
        until(lambda: revisions(client, meta) == {meta.pk: 1}, 20)
        config = client.config(meta.pipeline_id)
        assert config is not None
        assert config.integrations[0].config == CONFIGS["meta_capi"]

    for command in ("manage.py migrate", '-c "import config.wsgi"'):
        refused = run(f".venv/bin/python {command}", spare_database, OLD_RING)
        assert refused.returncode == 1
        assert "sealed with the key 'new', and PINION_SECRET_KEYS does not open them" in refused.stderr


def revisions(client: Client, pin: Pin) -> dict[str, int]:
    """The pins that deliver, and at which revision."""
    config: Any = client.config(pin.pipeline_id)
    return {entry.id: entry.revision_number for entry in config.integrations} if config else {}


def test_the_programs_that_the_page_names_are_there(database_kind: str) -> None:
    url = current_database_url()
    named = ("pg_dump", "pg_restore") if database_kind == "postgresql" else ("cp", "rm")
    path = os.pathsep.join([*programs(url), os.environ["PATH"]])
    assert [name for name in named if shutil.which(name, path=path) is None] == []
