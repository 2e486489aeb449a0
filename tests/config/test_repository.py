"""The codebase itself keeps its promises: nothing private, nothing unexplained, nothing untested."""

import ast
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LONGEST = 400

# Files that may be longer, and why.
LONG_FILES: dict[str, str] = {}

# Put together here, so that this file does not hold what it looks for.
PACKAGE_HOSTS = ("pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.", "deb" + r"\.debian")
BUILD_FOLDERS = ("work", "farm")
NOT_OURS = re.compile(
    rf"{'|'.join(PACKAGE_HOSTS)}|(?:^|[^A-Za-z0-9_.])/(?:{'|'.join(BUILD_FOLDERS)})/",
    re.MULTILINE,
)


def our_files(pattern: str = "*") -> list[Path]:
    """What git keeps or is about to, so that nobody's scratch files count."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern],
        check=True,
        capture_output=True,
        cwd=ROOT,
        text=True,
    )
    return [ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name and (ROOT / name).is_file()]


def shown(path: Path, line: int | None = None) -> str:
    name = str(path.relative_to(ROOT))
    return f"{name}:{line}" if line else name


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    for path in our_files("*.py"):
        yield path, ast.parse(path.read_text(), filename=str(path))


def test_no_tracked_file_names_a_package_host_or_a_path_of_one_machine() -> None:
    found = []
    for path in our_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [shown(path, text.count("\n", 0, hit.start()) + 1) for hit in NOT_OURS.finditer(text)]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_hashed_and_says_no_place_to_fetch_it_from(name: str) -> None:
    text = (ROOT / name).read_text()
    requirements = text.replace("\\\n", " ").splitlines()
    loose = [line for line in requirements if not re.fullmatch(r"[\w.\[\],-]+==\S+( ;[^#]*?)?(\s+--hash=\S+)+", line)]
    assert loose == []
    assert "://" not in text


def test_developers_install_exactly_the_versions_that_run() -> None:
    pins = [
        set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.txt", "requirements-dev.txt")
    ]
    assert pins[0] - pins[1] == set()


def test_every_command_has_a_test() -> None:
    commands = [path.stem for path in our_files("*/management/commands/*.py") if path.stem != "__init__"]
    tests = "\n".join(path.read_text() for path in our_files("tests/*.py"))
    untested = [command for command in commands if not re.search(rf"[\"']{command}[\"']", tests)]
    assert untested == []


def test_no_file_is_longer_than_one_can_keep_in_mind() -> None:
    long = {
        shown(path): lines
        for path in our_files("*.py")
        if "migrations" not in path.parts and (lines := path.read_text().count("\n")) > LONGEST
    }
    assert {name: lines for name, lines in long.items() if name not in LONG_FILES} == {}
    assert set(LONG_FILES) - set(long) == set(), "An exemption that nothing needs any more must go."


def test_every_silenced_complaint_names_it_and_says_why() -> None:
    unexplained = []
    for path in our_files("*.py"):
        with path.open("rb") as file:
            comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
        unexplained += [shown(path, token.start[0]) for token in comments if not is_explained(token.string)]
    assert unexplained == []


SILENCED = re.compile(r"#\s*(?:type:\s*ignore|noqa|pragma:\s*no)")
EXPLAINED = re.compile(r"#\s*(?:type: ignore\[[\w, -]+\]|noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*)\s*(?:#|—|-|–)?\s*\w\S* \S+")


def is_explained(comment: str) -> bool:
    return not SILENCED.search(comment) or bool(EXPLAINED.search(comment))


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# an ordinary comment", True),
        ("# type: " + "ignore", False),
        ("# type: " + "ignore[arg-type]", False),
        ("# type: " + "ignore[arg-type]  # the stubs know only str here", True),
        ("# no" + "qa", False),
        ("# no" + "qa: S603", False),
        ("# no" + "qa: S603  # the program is our own", True),
        ("# no" + "qa: S603, S607  # the program is our own", True),
    ],
)
def test_a_reason_is_told_from_none(comment: str, explained: bool) -> None:
    assert is_explained(comment) is explained


def test_imports_stand_at_the_top_and_name_what_they_import() -> None:
    hidden = []
    starred = []
    for path, module in parsed():
        functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        inside = {node for function in functions for node in ast.walk(function)}
        for node in ast.walk(module):
            if isinstance(node, ast.Import | ast.ImportFrom):
                hidden += [shown(path, node.lineno)] if node in inside else []
                starred += [shown(path, node.lineno)] if node.names[0].name == "*" else []
    assert hidden == []
    assert starred == []


def test_every_migration_has_a_name_that_somebody_chose() -> None:
    migrations = [path for path in our_files("*/migrations/*.py") if path.stem != "__init__"]
    named_by_django = [
        shown(path) for path in migrations if re.search(r"_(auto|alter|add|remove|rename)_|_more$", path.stem)
    ]
    assert named_by_django == []


def test_no_code_listens_to_signals() -> None:
    """A signal receiver is a change that no service shows."""
    listeners = [
        shown(path, node.lineno)
        for path, module in parsed()
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module in ("django.db.models.signals", "django.dispatch")
    ]
    assert listeners == []
