"""README.md as the tests read it: its sections, its blocks, and which answer belongs to which commands."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
STATUSES = re.compile(r"^Answers?, ([\d, and]+)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block; `before` is the prose that leads to it, `section` the heading that it stands under."""

    language: str
    text: str
    before: str
    section: str


@dataclass(frozen=True)
class Step:
    """Commands as a reader types them, and what the page says comes back."""

    title: str
    commands: str
    answers: list[Block]

    @property
    def statuses(self) -> list[int]:
        """The status codes that the sentence before the first answer names."""
        named = STATUSES.search(self.answers[0].before) if self.answers else None
        return [int(code) for code in re.findall(r"\d{3}", named[1])] if named else []


def sections(text: str, level: int = 2) -> dict[str, str]:
    """Heading → what stands under it, fenced blocks included."""
    mark = "#" * level
    parts = re.split(rf"^{mark} (.+)\n", _without_comments(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks in order, each free of its indentation."""
    for title, body in sections(text).items():
        end = 0
        for found in FENCE.finditer(body):
            inner = textwrap.dedent(found["text"]).replace("\0", "#")
            yield Block(found["language"], inner, body[end : found.start()], title)
            end = found.end()


def steps(text: str, *titles: str) -> list[Step]:
    """The commands under these headings, in order, each with the answers that follow."""
    found: list[Step] = []
    for block in blocks(text):
        if block.section not in titles:
            continue
        if block.language == "bash":
            found.append(Step(block.section, block.text, []))
        else:
            found[-1].answers.append(block)
    return found


def table(body: str) -> list[list[str]]:
    """The rows of the first table in a section, without its head."""
    rows = [line.strip().strip("|").split("|") for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def _without_comments(text: str) -> str:
    """A `#` at the start of a line is a heading only outside of fenced blocks; inside it becomes NUL meanwhile."""
    return FENCE.sub(lambda found: re.sub(r"^#", "\0", found[0], flags=re.MULTILINE), text)
