"""The real thing, started as `make run` starts it and used as README.md says, with curl, in a shell."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.environment import ENVIRONMENT
from tests.readme import README, ROOT, blocks, steps
from tests.transcripts import Names, differences, in_a_shell

WALK = ("A walk through the API", "How to")

# The requests of the user's documentation, as it prints them.
DOCUMENTED = (
    """\
curl -X GET http://localhost:8084/v1/admin/pipelines/pip_xyz789/integrations \\
-H "Authorization: Bearer {access_token}"
""",
    """\
# 1. Create a new revision with updated config
curl -X POST http://localhost:8084/v1/admin/integration-templates/tmpl_abc123/revisions \\
-H "Authorization: Bearer {access_token}" \\
-H "Content-Type: application/json" \\
-d '{
"config": { "pixel_id": "1234567890", "access_token": "new_token..." },
"delivery_mode": "server_side",
"change_summary": "Rotated access token"
}'
# 2. Update the pipeline integration to use the new revision
curl -X PUT http://localhost:8084/v1/admin/pipelines/pip_xyz789/integrations/pi_abc123 \\
-H "Authorization: Bearer {access_token}" \\
-H "Content-Type: application/json" \\
-d '{ "revision_id": "rev_new456" }'
""",
    """\
curl -X DELETE http://localhost:8084/v1/admin/pipelines/pip_xyz789/integrations/pi_abc123 \\
-H "Authorization: Bearer {access_token}"
""",
)
DOCUMENTED_BODIES = (
    '{\n"integration_id": "tmpl_abc123",\n"revision_id": "rev_xyz789",\n"enabled": true\n}',
    '{\n"revision_id": "rev_new456",\n"enabled": true\n}',
)
DOCUMENTED_PIN = {
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

LOGINS = {
    role: {"email": f"{role}@demo.example", "password": f"pinion-demo-{role}"} for role in ("viewer", "editor", "admin")
}


@dataclass(frozen=True)
class Program:
    """A database of its own and a free port, for manage.py as somebody types it."""

    database_url: str
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """A machine where nothing is configured, so that Pinion makes its keys by itself."""
        foreign = ("PYTEST_", "DJANGO_")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ENVIRONMENT and not name.startswith(foreign)
        }
        ours = {"DATABASE_URL": self.database_url, "PORT": str(self.port), "NO_PROXY": "*"}
        return kept | ours

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            check=False,
            capture_output=True,
            cwd=ROOT,
            env=self.environment,
            text=True,
            timeout=120,
        )

    @contextmanager
    def served(self) -> Generator["Served"]:
        """`manage.py quickstart`, from when it answers until the end of the block; Ctrl-C ends it if nothing did."""
        said = self.folder / "said"
        with said.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "quickstart"],
                cwd=ROOT,
                env=self.environment,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            try:
                served = Served(process, said, self.url)
                served.wait()
                yield served
            finally:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[bytes]
    output: Path
    url: str

    def said(self) -> str:
        return self.output.read_text()

    def wait(self) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"It ended instead of serving:\n{self.said()}"
            try:
                self.get("/livez")
            except OSError:
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"It does not answer after 90 s:\n{self.said()}")

    def ctrl_c(self) -> tuple[int, float]:
        """The exit code, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30), time.monotonic() - began

    def get(self, path: str, bearer: str | None = None) -> Any:
        return self._send("GET", path, None, bearer)

    def send(self, method: str, path: str, body: Any, bearer: str | None = None) -> Any:
        return self._send(method, path, json.dumps(body).encode(), bearer)

    def log_in(self, login: dict[str, str]) -> str:
        bearer: str = self.send("POST", "/v1/admin/auth/login", login)["access_token"]
        return bearer

    def _send(self, method: str, path: str, body: bytes | None, bearer: str | None) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return json.loads(answer.read())


@pytest.fixture
def program(spare_database: str, tmp_path: Path) -> Program:
    return Program(spare_database, free_port(), tmp_path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- the walk ---------------------------------------------------------------------------------------------------------


def test_the_readme_prints_every_request_of_the_documentation() -> None:
    printed = [step.commands for step in steps(README.read_text(), *WALK)]
    assert [request for request in DOCUMENTED if request not in printed] == []
    assert [body for body in DOCUMENTED_BODIES if not any(f"-d '{body}'" in commands for commands in printed)] == []


def test_every_request_of_the_readme_gives_the_answer_printed_there(program: Program) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here: apt-get install curl. The README's requests were not tried.")
    walk = steps(README.read_text(), *WALK)
    with program.served() as served:
        results = in_a_shell(walk, program.port, program.environment)
        assert served.process.poll() is None
    names = (Names(), Names())
    wrong = [differences(step, result, *names) for step, result in zip(walk, results, strict=True)]
    assert not any(wrong), "\n".join(filter(None, wrong))
    assert json.loads(results[1].out)["integrations"][0] == DOCUMENTED_PIN
    assert '{"status":"removed"}' in [result.out.strip() for result in results]


def test_a_newcomer_sees_what_the_readme_shows_when_pinion_starts(program: Program) -> None:
    shown = [block.text for block in blocks(README.read_text()) if block.section == "See it run"]
    with program.served() as served:
        said = served.said().replace(program.url, "http://localhost:8084")
        if program.database_url.startswith("postgres"):  # where the checks warn first that DEBUG is on
            warning, begin, rest = said.partition("Bringing the database up to date")
            assert "pinion.W001" in warning
            said = begin + rest
        assert said.strip() in [text.strip() for text in shown]
        bearer = served.log_in(LOGINS["viewer"])
        pins = served.get("/v1/admin/pipelines/pip_xyz789/integrations", bearer)["integrations"]
        templates = served.get("/v1/admin/integration-templates", bearer)["templates"]
        app, shop = _sharing_ga4(served, bearer)
    facts = [(pin["integration_name"], pin["revision_number"], pin["enabled"]) for pin in pins]
    assert facts == [("Meta CAPI Production", 3, True), ("GA4", 2, True), ("TikTok", 1, False)]
    assert {template["vendor"]: template["latest_revision"] for template in templates}["meta_capi"] == 5
    assert app["revision_id"] == shop["revision_id"]
    assert app["config"]["measurement_id"] != shop["config"]["measurement_id"]


def _sharing_ga4(served: Served, bearer: str) -> list[dict[str, Any]]:
    """What the first two pipelines with GA4 would run of it."""
    pins = served.get("/v1/admin/pipeline-integrations?vendor=ga4", bearer)["integrations"]
    configs = [served.get(f"/v1/admin/pipelines/{pin['pipeline_id']}/config", bearer) for pin in pins[:2]]
    return [next(pin for pin in config["integrations"] if pin["vendor"] == "ga4") for config in configs]


# --- starting and stopping --------------------------------------------------------------------------------------------


def test_ctrl_c_stops_it_within_seconds_and_a_second_start_keeps_what_is_there(program: Program) -> None:
    with program.served() as served:
        bearer = served.log_in(LOGINS["editor"])
        served.send("PATCH", "/v1/admin/pipelines/pip_xyz789", {"name": "Brand Website"}, bearer)
        code, seconds = served.ctrl_c()
    assert code in (0, 130)
    assert seconds < 8
    assert "Traceback" not in served.said()
    with program.served() as served:
        pipelines = served.get("/v1/admin/pipelines", served.log_in(LOGINS["editor"]))["pipelines"]
        assert "Keeping the data that is here." in served.said()
    assert [row["name"] for row in pipelines] == ["Brand Website", "Web Shop", "Mobile App"]


def test_the_last_line_of_the_quickstart_tells_scripts_all_they_need(program: Program) -> None:
    prepared = program.manage("quickstart", "--no-serve", "--format", "json")
    assert prepared.returncode == 0, prepared.stderr
    facts = json.loads(prepared.stdout.splitlines()[-1])
    assert facts == {
        "url": program.url,
        "console_url": f"{program.url}/admin/",
        "docs_url": f"{program.url}/v1/docs",
        "organisation": "Demo Store",
        "logins": LOGINS,
    }
    with program.served() as served:
        roles = {role: served.get("/v1/admin/me", served.log_in(entry))["role"] for role, entry in LOGINS.items()}
    assert roles == {"viewer": "viewer", "editor": "editor", "admin": "admin"}


def test_a_port_in_use_is_named_with_what_to_do(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", program.port))
        taken.listen()
        refused = program.manage("quickstart")
    assert refused.returncode == 1
    message = f"Port {program.port} is in use. Stop what uses it, or choose another: PORT=8085 make run"
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_demo_logins_are_refused_where_debug_is_off(program: Program) -> None:
    real = Program(program.database_url, program.port, program.folder)
    refused = subprocess.run(
        [sys.executable, "manage.py", "quickstart", "--no-serve"],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env=real.environment | ENVIRONMENT | {"DEBUG": "false", "ALLOWED_HOSTS": "pinion.example.com"},
        text=True,
    )
    assert refused.returncode == 1
    assert "manage.py create_user" in refused.stderr


def test_make_run_is_the_quickstart() -> None:
    # Below `make test` this is a make inside a make, which would say where it comes and goes.
    plan = ["make", "--no-print-directory", "-n", "run"]
    planned = subprocess.run(plan, check=True, capture_output=True, cwd=ROOT, text=True).stdout
    assert planned.rstrip().endswith("manage.py quickstart")
