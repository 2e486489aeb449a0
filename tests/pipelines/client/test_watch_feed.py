"""`watch_feed`: what it prints, and how it ends."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from pipelines.models import Pin
from tests.factories import CONFIGS
from tests.pipelines.client.planes import until
from tests.pipelines.client.servers import KillableServer, Operator
from tests.readme import ROOT

VARIABLE = "PINION_PROCESSOR_TOKEN"
SECRETS = (CONFIGS["meta_capi"]["access_token"], CONFIGS["ga4"]["api_secret"])


def run(url: str, token: str, *arguments: str) -> str:
    out = io.StringIO()
    with patch("sys.stdin", io.StringIO(f"{token}\n")):
        call_command("watch_feed", "--url", url, "--token-stdin", "--once", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str, stdin: str = "") -> tuple[int, str]:
    with patch("sys.stdin", io.StringIO(stdin)), pytest.raises(CommandError) as caught:
        call_command("watch_feed", *arguments, stderr=io.StringIO())
    return caught.value.returncode, str(caught.value)


@contextmanager
def watching(url: str, token: str, stdout: Any, *arguments: str) -> Generator["subprocess.Popen[bytes]"]:
    """As somebody types it, until the end of the block."""
    command = [sys.executable, "manage.py", "watch_feed", "--url", url, *arguments]
    environment = {**os.environ, VARIABLE: token, "COLUMNS": "140", "LINES": "30", "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stdout, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_each_pipeline_is_a_line_where_nobody_looks_at_a_terminal(
    server: KillableServer, processor_token: str, meta: Pin, ga4: Pin
) -> None:
    (line,) = run(server.url, processor_token).splitlines()
    time, *cells = line.split("\t")
    assert len(time) == len("2026-02-20T10:00:00Z")
    assert cells == [meta.pipeline_id, "3", "enabled", "meta_capi@1", "ga4@1"]


def test_json_names_everything_but_the_configs(
    server: KillableServer, processor_token: str, operator: Operator, meta: Pin, ga4: Pin
) -> None:
    operator.send("PUT", f"pipelines/{meta.pipeline_id}/integrations/{ga4.pk}", {"enabled": False})
    printed = run(server.url, processor_token, "--format", "json", "--pipeline", meta.pipeline.pipeline_key)
    shown = json.loads(printed)
    (integration,) = shown.pop("integrations")
    assert len(integration.pop("config_hash")) == 64 + 1 + 20
    assert integration == {
        "id": meta.pk,
        "integration_id": meta.template_id,
        "vendor": "meta_capi",
        "revision_id": meta.revision_id,
        "revision_number": 1,
        "state": "ok",
        "reason": None,
    }
    del shown["time"]
    names = {"pipeline_id": meta.pipeline_id, "pipeline_key": meta.pipeline.pipeline_key}
    assert shown == {**names, "version": 4, "state": "enabled"}
    assert not any(secret in printed for secret in SECRETS)


def test_changes_are_printed_as_they_come_until_ctrl_c(
    server: KillableServer, processor_token: str, operator: Operator, meta: Pin
) -> None:
    with watching(server.url, processor_token, subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"meta_capi@1" in process.stdout.readline()
        operator.send("PATCH", f"pipelines/{meta.pipeline_id}", {"enabled": False})
        assert process.stdout.readline().split(b"\t")[1:] == [meta.pipeline_id.encode(), b"3", b"disabled\n"]
        operator.send("DELETE", f"pipelines/{meta.pipeline_id}")
        assert process.stdout.readline().split(b"\t")[1:] == [meta.pipeline_id.encode(), b"-", b"removed\n"]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (0, b"")


def test_a_terminal_shows_a_table_that_goes_with_the_changes(
    server: KillableServer, processor_token: str, operator: Operator, meta: Pin
) -> None:
    ours, theirs = pty.openpty()
    screen = bytearray()

    def shows(text: str) -> bool:
        screen.extend(os.read(ours, 65536))
        return text.encode() in screen

    with watching(server.url, processor_token, theirs) as process:
        until(lambda: shows("meta_capi@1"), 20)
        operator.send("PATCH", f"pipelines/{meta.pipeline_id}", {"enabled": False})
        until(lambda: shows("disabled"), 20)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, said) == (0, b"")
    assert meta.pipeline_id.encode() in screen


def test_a_reader_that_stops_reading_ends_it_without_a_word(
    server: KillableServer, processor_token: str, meta: Pin
) -> None:
    read, write = os.pipe()
    os.close(read)
    with watching(server.url, processor_token, write) as process:
        os.close(write)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, b"")


def test_a_missing_token_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    message = f"There is no token. Set {VARIABLE}, or send one with --token-stdin. manage.py issue_token makes one."
    assert refused() == (2, message)
    assert refused("--token-stdin") == (2, message)


def test_an_address_that_is_none_is_a_fault_of_usage() -> None:
    code, message = refused("--url", "localhost", "--token-stdin", stdin="pinion_x\n")
    assert code == 2
    assert message == "The address of the control plane must begin with http:// or https:// and a host name."


def test_a_token_that_is_refused_ends_it(server: KillableServer) -> None:
    code, message = refused("--url", server.url, "--token-stdin", stdin="pinion_of-somebody-else\n")
    assert (code, message) == (1, "The control plane answers 401 to GET /v1/runtime/snapshot.")


def test_a_pipeline_that_is_not_there_ends_it(server: KillableServer, processor_token: str, meta: Pin) -> None:
    code, message = refused("--url", server.url, "--token-stdin", "--pipeline", "pip_no", stdin=f"{processor_token}\n")
    assert (code, message) == (1, "There is no pipeline 'pip_no' that this token may read.")


def test_once_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.management.commands.watch_feed.PATIENCE", 0.3)
    code, message = refused("--url", "http://127.0.0.1:9", "--token-stdin", "--once", stdin="pinion_x\n")
    assert code == 1
    assert message.startswith("The control plane cannot be reached")
