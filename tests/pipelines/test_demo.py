"""The demo organisation, and the command that brings a machine from nothing to it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.credentials import access_token
from accounts.models import Organisation, User
from pipelines.demo import demo_logins, load_demo
from pipelines.models import Pin
from tests.clients import Api

ROOT = Path(__file__).resolve().parents[2]
LOGINS = {
    role: {"email": f"{role}@demo.example", "password": f"pinion-demo-{role}"} for role in ("viewer", "editor", "admin")
}


@pytest.fixture
def demo(db: None) -> Api:
    load_demo()
    return Api(access_token(User.objects.get(email="editor@demo.example")))


def test_the_demo_is_what_the_document_shows(demo: Api) -> None:
    assert demo.get("pipelines/pip_xyz789").json()["name"] == "Marketing Website"
    pins = demo.get("pipelines/pip_xyz789/integrations").json()["integrations"]
    assert pins[0] == {
        "id": "pi_abc123",
        "pipeline_id": "pip_xyz789",
        "integration_id": "tmpl_abc123",
        "integration_name": "Meta CAPI Production",
        "vendor": "meta_capi",
        "revision_id": "rev_xyz789",
        "revision_number": 3,
        "latest_revision": 5,
        "enabled": True,
        "created_at": "2026-02-20T10:00:00Z",
        "updated_at": "2026-02-25T14:30:00Z",
    }
    assert [(pin["vendor"], pin["revision_number"], pin["enabled"]) for pin in pins] == [
        ("meta_capi", 3, True),
        ("ga4", 2, True),
        ("tiktok", 1, False),
    ]


def test_the_documents_own_update_deploys_the_new_revision(demo: Api) -> None:
    moved = demo.put("pipelines/pip_xyz789/integrations/pi_abc123", {"revision_id": "rev_new456"}).json()
    assert (moved["revision_id"], moved["revision_number"], moved["enabled"]) == ("rev_new456", 5, True)


def test_two_pipelines_share_a_revision_with_their_own_measurement_ids(demo: Api) -> None:
    pins = list(Pin.objects.filter(template__vendor="ga4").order_by("created_at"))
    assert len({pin.revision_id for pin in pins}) == 1
    configs = [demo.get(f"pipelines/{pin.pipeline_id}/config").json()["integrations"] for pin in pins]
    ids = [one["config"]["measurement_id"] for config in configs for one in config if one["vendor"] == "ga4"]
    assert ids == ["G-AAAA1111", "G-BBBB2222"]


def test_every_pin_of_the_demo_runs_and_its_secrets_are_masked(demo: Api) -> None:
    for pipeline in demo.get("pipelines").json()["pipelines"]:
        answer = demo.get(f"pipelines/{pipeline['id']}/config")
        assert {one["state"] for one in answer.json()["integrations"]} == {"ok"}
        assert "demo-secret" not in answer.content.decode()
        assert "demo-token" not in answer.content.decode()


def test_the_demo_logins_log_in_and_are_named_only_while_they_work(demo: Api) -> None:
    assert demo_logins() == LOGINS
    for login in LOGINS.values():
        assert Api().post("auth/login", login).status_code == 200
    viewer = User.objects.get(email="viewer@demo.example")
    viewer.set_password("another password")
    viewer.save(update_fields=["password"])
    User.objects.filter(email="editor@demo.example").update(is_active=False)
    assert demo_logins() == {"admin": LOGINS["admin"]}


def test_a_demo_that_fails_half_way_leaves_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.demo.assign_pin", None)
    with pytest.raises(TypeError):
        load_demo()
    assert Organisation.objects.count() == 0


def run(database_url: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "quickstart", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def facts(finished: subprocess.CompletedProcess[str]) -> Any:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def test_quickstart_migrates_loads_and_says_how_to_go_on_and_again_keeps_what_is_there(spare_database: str) -> None:
    first = run(spare_database, "--no-serve", "--format", "json")
    assert facts(first) == {
        "url": "http://localhost:8084",
        "console_url": "http://localhost:8084/admin/",
        "docs_url": "http://localhost:8084/v1/docs",
        "organisation": "Demo Store",
        "logins": LOGINS,
    }
    assert "Loading the demo organisation" in first.stderr

    again = run(spare_database, "--no-serve", "--format", "json", PORT="9000")
    assert facts(again) == {**facts(first), **{name: facts(again)[name] for name in ("url", "console_url", "docs_url")}}
    assert facts(again)["url"] == "http://localhost:9000"
    assert "Keeping the data that is here" in again.stderr
    assert "Loading" not in again.stderr

    text = run(spare_database, "--no-serve").stdout
    for expected in ("http://localhost:8084/admin/", "pinion-demo-admin", "curl", "pipelines/pip_xyz789/integrations"):
        assert expected in text


def test_quickstart_refuses_where_debug_is_off(spare_database: str) -> None:
    refused = run(spare_database, "--no-serve", DEBUG="false", ALLOWED_HOSTS="localhost")
    assert refused.returncode != 0
    assert "DEBUG is off" in refused.stderr
    assert refused.stdout == ""


def test_quickstart_says_so_when_its_port_is_taken(db: None, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.DEBUG, settings.PORT = True, taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {settings.PORT} is in use"):
            call_command("quickstart")
    assert Organisation.objects.count() == 0
