"""The examples under `.docker/`: each command, variable and path in them exists, and what can be run here is run."""

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.readme import ROOT
from tests.test_readme import variables

FOLDER = ROOT / ".docker"
UNITS = sorted((FOLDER / "systemd").glob("*.service"))
PREPARED = {"migrate": {"condition": "service_completed_successfully"}}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    return read


def unit(path: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # systemd tells upper from lower case
    parser.read(path)
    return parser["Service"]


def commands(services: dict[str, Any]) -> Iterator[list[str]]:
    """All that starts a process of ours."""
    yield from (service["command"] for service in services.values() if "command" in service)
    for path in UNITS:
        yield unit(path)["ExecStart"].removeprefix("/opt/pinion/.venv/bin/").split()
    dockerfile = (FOLDER / "Dockerfile").read_text()
    yield re.findall(r'"([^"]+)"', dockerfile.rpartition("\nCMD ")[2])


def test_every_service_is_there_and_waits_for_the_migrations(services: dict[str, Any]) -> None:
    assert list(services) == ["database", "migrate", "web", "feed", "worker"]
    assert {name: services[name]["depends_on"] for name in ("web", "feed", "worker")} == dict.fromkeys(
        ("web", "feed", "worker"), PREPARED
    )
    assert [path.stem for path in UNITS] == ["pinion-feed", "pinion-web", "pinion-worker"]


def test_containers_and_units_run_the_same_commands(services: dict[str, Any]) -> None:
    for path in UNITS:
        here = unit(path)["ExecStart"].removeprefix("/opt/pinion/.venv/bin/").split()
        there = services[path.stem.removeprefix("pinion-")]["command"]
        assert here == [part.replace("0.0.0.0", "127.0.0.1") for part in there]  # noqa: S104  # inside a container


def test_every_command_is_one_that_its_program_understands(services: dict[str, Any]) -> None:
    helps = {name: said(Path(sys.executable).with_name(name), "--help") for name in ("gunicorn", "uvicorn")}
    for program, *arguments in commands(services):
        if program == "python":
            assert (ROOT / arguments[0]).is_file()
            said(sys.executable, *arguments, "--help")
            continue
        module = arguments[0].partition(":")[0].replace(".", "/")
        assert (ROOT / f"{module}.py").is_file()
        unknown = [option for option in arguments if option.startswith("--") and option not in helps[program]]
        assert unknown == []


def said(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True).stdout


def test_every_variable_is_one_that_the_settings_read(services: dict[str, Any]) -> None:
    known = {*variables(), "POSTGRES_PASSWORD", "MALLOC_ARENA_MAX"}
    example = re.findall(r"^([A-Z_]+)=", (FOLDER / "pinion.env.example").read_text(), re.MULTILINE)
    ours = {name for key, service in services.items() if key != "database" for name in service["environment"]}
    asked = set(re.findall(r"\$\{([A-Z_]+)", (FOLDER / "compose.yaml").read_text()))
    units = {name for path in UNITS for name in re.findall(r"^Environment=([A-Z_]+)=", path.read_text(), re.MULTILINE)}
    assert {*example, *ours, *units} - known == set()
    assert asked == set(example)
    assert {"SECRET_KEY", "PINION_SECRET_KEYS", "ALLOWED_HOSTS"} <= asked


def test_all_processes_have_one_heap_for_their_threads() -> None:
    image = re.findall(r"^ENV .*\b(MALLOC_ARENA_MAX=\S+)", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    units = {path.name: "\nEnvironment=MALLOC_ARENA_MAX=1\n" in path.read_text() for path in UNITS}
    assert image == ["MALLOC_ARENA_MAX=1"]
    assert "\n   export MALLOC_ARENA_MAX=1  " in (ROOT / "README.md").read_text()
    assert units == dict.fromkeys(["pinion-feed.service", "pinion-web.service", "pinion-worker.service"], True)


def test_the_example_holds_no_secret() -> None:
    text = (FOLDER / "pinion.env.example").read_text()
    secret = [
        line for line in text.splitlines() if re.match(r"(SECRET_KEY|PINION_SECRET_KEYS|\w+_TOKEN|\w+PASSWORD)=", line)
    ]
    assert secret == ["SECRET_KEY=", "PINION_SECRET_KEYS=", "METRICS_TOKEN=", "POSTGRES_PASSWORD="]
    ignored = subprocess.run(["git", "check-ignore", ".docker/pinion.env"], check=False, cwd=ROOT, capture_output=True)
    assert ignored.returncode == 0


def test_the_image_holds_all_that_running_takes_and_nothing_else() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY ([\w./]+) ", text, re.MULTILINE))
    allowed = {line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    assert copied == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []
    apps = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert {*apps, "templates", "manage.py", "requirements.txt"} == copied


def test_the_image_gathers_its_static_files_as_in_production() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    command = next(
        found for found in re.findall(r"^RUN ((?:.*\\\n)*.*)", text, re.MULTILINE) if "collectstatic" in found
    )
    script = command.replace("python ", f"{sys.executable} ")
    ran = subprocess.run(
        ["sh", "-c", f"{script} --dry-run"],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "static files copied" in ran.stdout


def test_the_proxy_sends_the_feed_and_the_rest_to_their_servers(services: dict[str, Any]) -> None:
    text = (FOLDER / "nginx.conf").read_text()
    places = dict(re.findall(r"location (/\S*) \{\s+proxy_pass http://([\d.:]+);", text))
    assert places == {"/": "127.0.0.1:8084", "/v1/runtime/": "127.0.0.1:8085"}
    assert {name: services[name]["ports"] for name in ("web", "feed")} == {
        "web": [f"{places['/']}:8084"],
        "feed": [f"{places['/v1/runtime/']}:8085"],
    }
    assert re.search(r"location = /metrics \{\s+return 404;", text)
