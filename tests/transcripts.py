"""What commands say when they are run as a page prints them, compared with what the page says they say."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import zip_longest
from typing import Any

from tests.readme import ROOT, Step

MARK = "\x1e"  # parts what one step says from what the next one says

# The demo gives these to the pin that the documentation shows, so they are the same in every run.
DEMO_TIMES = ("2026-02-20T10:00:00Z", "2026-02-25T14:30:00Z")


@dataclass(frozen=True)
class Result:
    """What a step wrote to standard output, and the status codes that came to standard error."""

    out: str
    errors: str

    @property
    def statuses(self) -> list[int]:
        return [int(line) for line in self.errors.splitlines() if re.fullmatch(r"\d{3}", line)]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]


def in_a_shell(walk: list[Step], port: int, environment: dict[str, str]) -> list[Result]:
    """Every step as printed, one after the other in one bash; only the port and the Python are those of this test."""
    part = f"printf '{MARK}'; printf '{MARK}' >&2\n"
    script = part.join(f"{step.commands}\n" for step in walk)
    script = script.replace("localhost:8084", f"localhost:{port}")
    script = script.replace(".venv/bin/python", shlex.quote(sys.executable))
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-s"],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env=environment,
        input=script,
        text=True,
        timeout=300,
    )
    results = [Result(*both) for both in zip(done.stdout.split(MARK), done.stderr.split(MARK), strict=True)]
    assert len(results) == len(walk), done.stderr
    return results


class Names:
    """Gives what is made at run time a name by its order of appearance, so that two runs read the same.

    One id must then stand for one thing all the way through, on the page as in the run.
    """

    MADE = re.compile(
        r"(?P<id>\b(?P<kind>[a-z]+)_[0-9a-z]{16}\b)"
        r"|(?P<token>pinion_[\w-]{43})"
        r'|(?P<print>(?<="fingerprint": ")[0-9a-f]{20})'
        r'|(?P<end>"hint": "[\w-]{4}")'
        r'|(?P<cursor>"next_cursor": "[^"]+")'
        r'|(?P<hash>"(?:plan|config)_hash": "[0-9a-f]{64}(?:-[0-9a-f]{20})?")'
        r"|(?P<plan>\bplan [0-9a-f]{12}\b)"
        r"|(?P<time>\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))"
    )

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    # What the feed says comes after rollouts, and how far the worker is with those is a matter of moments.
    FEED_VERSION = re.compile(r'^  "version": \d+$', re.MULTILINE)

    def give(self, text: str) -> str:
        steady = self.FEED_VERSION.sub('  "version": <newest>', text) if '"config_hash"' in text else text
        return self.MADE.sub(self._name, steady)

    def _name(self, found: re.Match[str]) -> str:
        if found["time"]:
            return found[0] if found[0] in DEMO_TIMES else "<time>"
        if found["plan"]:
            return "plan <made>"
        if found["end"] or found["cursor"] or found["hash"]:
            return found[0].partition(":")[0] + ': "<made>"'
        kind = found["kind"] or ("fingerprint" if found["print"] else "token")
        return self.known.setdefault(found[0], f"<{kind} {len(self.known)}>")


def differences(step: Step, result: Result, on_page: Names, in_run: Names) -> str:
    """What the page prints (-) and what came (+), empty where the two are the same."""
    named = [(on_page.give(printed), in_run.give(real)) for printed, real in _pairs(step, result)]
    lines = [
        line
        for printed, real in named
        if printed != real
        for line in unified_diff(printed.splitlines(), real.splitlines(), "the page", "the answer", lineterm="")
    ]
    return "\n".join([step.commands, *lines, ""]) if lines else ""


def _pairs(step: Step, result: Result) -> Iterator[tuple[str, str]]:
    """What the page prints, and what it is to be compared with."""
    if step.statuses:
        yield f"statuses {step.statuses}", f"statuses {result.statuses}"
    kinds = {block.language for block in step.answers}
    assert len(kinds) <= 1, f"One kind of answer at a time: {kinds}"
    printed = [block.text for block in step.answers]
    if kinds == {"json"}:
        bodies = zip_longest(map(json.loads, printed), result.bodies)
        yield from ((_as_text(expected), _as_text(body)) for expected, body in bodies)
    elif kinds == {"http"}:
        headers = [line.lower() for line in result.out.splitlines()]
        lines = "".join(printed).splitlines()
        yield "\n".join(lines), "\n".join(line for line in lines if line.lower() in headers)
    else:
        yield "".join(printed).strip(), result.out.strip()


def _as_text(body: Any) -> str:
    return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False)
