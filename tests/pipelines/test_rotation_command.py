"""`manage.py rotate_secrets`: what it prints, how it ends, and that killing it loses nothing."""

import os
import pty
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organisation
from pipelines.models import Parameter, Pipeline
from pipelines.preflight import plain_values
from pipelines.rotation import SHELVES, waiting
from tests.factories import PipelineFactory, TemplateFactory
from tests.pipelines.sealed import NEW, OLD, seal_parameters

ROOT = Path(__file__).parents[2]
_, PARAMETERS, _ = SHELVES


@pytest.fixture
def pipeline(settings: Any, organisation: Organisation) -> Pipeline:
    """One whose parameters are sealed under the old key, while the ring has a new one in front."""
    settings.PINION_SECRET_KEYS = {"old": OLD}
    made: Pipeline = PipelineFactory(organisation=organisation)
    seal_parameters(made, 3)
    TemplateFactory(organisation=organisation)
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    return made


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_secrets", *arguments, stdout=out)
    return out.getvalue()


def test_it_says_how_many_it_found_and_sealed(pipeline: Pipeline) -> None:
    assert run() == (
        "secrets of revisions: 1 under an older key, 1 sealed with new\n"
        "secret parameters: 3 under an older key, 3 sealed with new\n"
        "kept answers: 0 under an older key, 0 sealed with new\n"
    )
    assert run("--batch", "1").count(" 0 under an older key, 0 sealed with new\n") == 3


def test_a_dry_run_only_counts(pipeline: Pipeline) -> None:
    before = list(Parameter.objects.values())
    assert "secret parameters: 3 under an older key, 0 sealed with new\n" in run("--dry-run")
    assert list(Parameter.objects.values()) == before


@pytest.mark.parametrize("batch", ["0", "-1"])
def test_a_batch_of_nothing_is_a_wrong_use(pipeline: Pipeline, batch: str) -> None:
    with pytest.raises(CommandError, match=r"--batch must be at least 1\.") as caught:
        run("--batch", batch)
    assert caught.value.returncode == 2


def test_a_missing_key_fails_loudly_and_says_how_far_it_came(pipeline: Pipeline, settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {"new": NEW}
    before = list(Parameter.objects.values())
    with pytest.raises(CommandError) as caught:
        run()
    assert caught.value.returncode == 1
    assert str(caught.value) == (
        "A secret is sealed with the key 'old', which is not in PINION_SECRET_KEYS. Add it. "
        "0 of 1 secrets of revisions were sealed anew before."
    )
    assert list(Parameter.objects.values()) == before


def environment(url: str, keys: Mapping[str, bytes]) -> dict[str, str]:
    ring = ",".join(f"{name}:{urlsafe_b64encode(key).decode()}" for name, key in keys.items())
    return {**os.environ, "DATABASE_URL": url, "PINION_SECRET_KEYS": ring, "TERM": "xterm"}


def start(url: str, *arguments: str, keys: Mapping[str, bytes], stderr: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "manage.py", "rotate_secrets", *arguments]
    output = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment(url, keys), stdout=output, stderr=stderr, text=True)


def test_as_a_program_it_ends_with_0_or_1_and_draws_no_bar_into_a_pipe(committed_db: str, pipeline: Pipeline) -> None:
    failed = start(committed_db, keys={"new": NEW}, stderr=subprocess.PIPE)
    out, error = failed.communicate(timeout=60)
    assert (failed.returncode, out) == (1, "")
    assert "CommandError: A secret is sealed with the key 'old'" in error
    assert "%" not in error

    done = start(committed_db, keys={"new": NEW, "old": OLD}, stderr=subprocess.PIPE)
    out, error = done.communicate(timeout=60)
    assert done.returncode == 0
    assert "%" not in error
    assert out.splitlines()[1] == "secret parameters: 3 under an older key, 3 sealed with new"


def test_on_a_terminal_it_shows_how_far_it_is(committed_db: str, pipeline: Pipeline) -> None:
    screen, terminal = pty.openpty()
    program = start(committed_db, keys={"new": NEW, "old": OLD}, stderr=terminal)
    program.communicate(timeout=60)
    os.close(terminal)
    drawn = os.read(screen, 100_000).decode()
    os.close(screen)
    assert program.returncode == 0
    assert "secret parameters" in drawn
    assert "100%" in drawn


def test_killed_at_any_moment_it_loses_nothing_and_goes_on_when_run_again(
    committed_db: str, pipeline: Pipeline, settings: Any
) -> None:
    settings.PINION_SECRET_KEYS = {"old": OLD}
    Parameter.objects.all().delete()
    values = seal_parameters(pipeline, 800)
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    keys = settings.PINION_SECRET_KEYS
    killed = start(committed_db, "--batch", "1", keys=keys, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while waiting(PARAMETERS).count() == 800 and time.monotonic() < until:
        time.sleep(0.01)
    killed.kill()
    killed.communicate(timeout=60)

    left = waiting(PARAMETERS).count()
    assert 0 < left < 800
    assert plain_values(pipeline.parameters.all()) == values

    again = start(committed_db, keys=keys, stderr=subprocess.PIPE)
    out, _ = again.communicate(timeout=60)
    assert f"secret parameters: {left} under an older key, {left} sealed with new\n" in out
    settings.PINION_SECRET_KEYS = {"new": NEW}
    assert plain_values(pipeline.parameters.all()) == values
