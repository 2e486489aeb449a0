"""What README.md names is there, and what is there to be set is named in README.md."""

import ast
import re
import struct
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands

from accounts.roles import Role
from pipelines.admin.marks import LEGEND
from pipelines.admin.rollout_plans import AT_ONCE
from pipelines.admin.site import SECTIONS
from pipelines.batches import LIMIT
from pipelines.feed.reports import LIMIT as REPORTED
from pipelines.feed.reports import MAX_INSTANCES
from pipelines.feed.states import State
from tests.readme import README, ROOT, blocks, sections, table

GLOSSARY = {
    "organisation",
    "user",
    "role",
    "template",
    "revision",
    "vendor",
    "pipeline",
    "parameter",
    "pin",
    "configuration version",
    "feed",
    "processor",
    "rollout",
    "wave",
    "gate",
    "preflight",
}

MADE_LATER = ("var/", ".venv/", ".venv-")  # what running makes, and git does not keep


def prose() -> str:
    """The page without its fenced blocks."""
    text = README.read_text()
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def code() -> str:
    """All that the page shows as commands: fenced blocks and code spans."""
    return "\n".join([*(block.text for block in blocks(README.read_text())), *re.findall(r"`([^`\n]+)`", prose())])


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose())
    headings = {f"#{anchor(title)}" for title in re.findall(r"^#+ (.+)$", prose(), re.MULTILINE)}
    assert targets
    assert [target for target in targets if target not in headings and not (ROOT / target).is_file()] == []


def test_every_section_is_in_the_contents() -> None:
    contents = prose().partition("Contents:")[2].partition("\n\n")[0]
    assert [title for title in sections(README.read_text()) if f"(#{anchor(title)})" not in contents] == []


def test_the_pictures_shown_are_there_and_no_others() -> None:
    shown = dict(re.findall(r"!\[([^]]*)\]\(([^)\s]+)\)", prose()))
    assert set(shown.values()) == {f".docs/{path.name}" for path in (ROOT / ".docs").iterdir()}
    assert len(shown) == 2
    assert all(shown)  # whoever cannot see a picture reads what is in it


@pytest.mark.parametrize("picture", sorted((ROOT / ".docs").glob("*.png")), ids=lambda path: path.name)
def test_a_picture_is_as_large_as_a_window_and_light_to_load(picture: Path) -> None:
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", head[16:]) == (1280, 800)
    assert picture.stat().st_size < 150_000


def test_the_sections_of_the_console_are_those_named_and_open_to_those_named() -> None:
    named = [(title, who) for title, _, who in table(sections(README.read_text())["The console"])]
    who = {Role.VIEWER: "everyone", Role.ADMIN: "admins"}
    assert named == [(title, who[needed]) for title, _, needed in SECTIONS]


def test_the_most_that_an_action_changes_is_as_named() -> None:
    text = README.read_text()
    assert f"at most {LIMIT:,} integrations at once" in sections(text)["The console"]
    assert f"single wave has at most {AT_ONCE:,} integrations" in sections(text)["The console"].replace("\n", " ")


def test_the_states_of_what_runs_are_those_named_with_the_signs_of_the_console() -> None:
    told = sections(README.read_text(), level=3)["Know what is running"]
    signs = {state.value: "k/n" if state is State.PARTIAL else mark.sign for state, mark in LEGEND.items()}
    assert [(state.strip("`"), sign) for state, sign, _ in table(told)] == list(signs.items())


def test_the_most_that_a_report_holds_is_as_named() -> None:
    told = " ".join(sections(README.read_text(), level=3)["Know what is running"].split())
    most = f"{REPORTED:,}"
    assert f"At most {most} integrations, {most} that stopped and {most} counts in one report" in told
    assert f"and {MAX_INSTANCES:,} instances for one token" in told


def test_every_file_named_exists() -> None:
    spans = re.findall(r"`([\w./-]+)`", prose())
    named = [span for span in spans if re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/|\.(py|md|json|toml|txt))|\.ci/run", span)]
    inside = [ROOT, *(ROOT / app for app in ("config", "accounts", "integrations", "pipelines"))]
    missing = [
        name
        for name in named
        if not name.startswith(MADE_LATER) and not any((folder / name).exists() for folder in inside)
    ]
    assert "config/openapi.json" in named
    assert missing == []


def test_the_layout_has_every_folder_at_the_top() -> None:
    layout = sections(README.read_text())["How the code is laid out"]
    tracked = subprocess.run(["git", "ls-files", "*/*"], check=True, capture_output=True, cwd=ROOT, text=True).stdout
    folders = {name.partition("/")[0] for name in tracked.splitlines() if not name.startswith(".")}
    assert set(re.findall(r"^(\w+)/ ", layout, re.MULTILINE)) == folders


def test_every_make_target_named_exists() -> None:
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for line in re.findall(r"\bmake((?: [a-z-]+)+)", code()) for target in line.split()}
    assert {"run", "test", "lint"} <= named
    assert named - there == set()


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], check=True, capture_output=True, cwd=ROOT, text=True
    ).stdout
    there = re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^make ([a-z-]+) +\S", listed, re.MULTILINE) == there


def test_every_command_named_exists_and_every_command_of_ours_is_named() -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", code()))
    commands = get_commands()
    ours = {name for name, app in commands.items() if app in ("accounts", "integrations", "pipelines")}
    assert named - set(commands) == set()
    assert ours - named == set()


def test_the_configuration_table_names_what_the_settings_read_with_its_default() -> None:
    rows = table(sections(README.read_text())["Configuration"])
    shown = {name.strip("`"): default for name, default, _ in rows}
    read = variables()
    assert sorted(shown) == sorted(read)
    assert {name: shown[name] for name in read if read[name]} == {name: text for name, text in read.items() if text}


def variables() -> dict[str, str | None]:
    """Each variable that the settings read, with its default as the table prints it, None where it is not a constant."""
    module = ast.parse((ROOT / "config" / "settings.py").read_text())
    found: dict[str, str | None] = {}
    for call in ast.walk(module):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="env")), args=[ast.Constant(value=str(name)), *rest]):
                default = next((word.value for word in call.keywords if word.arg == "default"), (*rest, None)[0])
                found[name] = found.get(name) or printed(default)
            case _:
                pass
    return found


def printed(default: ast.expr | None) -> str | None:
    match default:
        case ast.Constant(value=bool() as flag):
            return f"`{str(flag).lower()}`"
        case ast.Constant(value=int() as number):
            return f"`{number}`"
        case ast.Constant(value=str() as text) if text:
            return f"`{text}`"
        case ast.List(elts=[]):
            return "empty"
        case _:
            return None


def test_the_glossary_has_every_word_of_the_design() -> None:
    words = {word for word, _ in table(sections(README.read_text())["Glossary"])}
    assert words == GLOSSARY


def test_the_metrics_are_those_named() -> None:
    rows = table(sections(README.read_text())["Run it for real"])
    named = {name.strip("`") for names, *_ in rows if "pinion_" in names for name in names.split(", ")}
    code = "".join((ROOT / "config" / f"{module}.py").read_text() for module in ("metrics", "exposition"))
    said = set(re.findall(r'"(pinion_[a-z_]+)"', code))
    figures = {f"pinion_{name}" for name in re.findall(r'^        \("([a-z_]+)", "', code, re.MULTILINE)}
    assert named == said | figures
