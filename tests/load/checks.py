"""All that is looked up at the end."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.config.servers import ROOT
from tests.load.looking import Before, Check, Versions
from tests.load.scene import Scene
from tests.load.told import deliveries, polls, processors, streams
from tests.load.traffic import Crowd
from tests.load.written import (
    audited_once,
    chained,
    nothing_else,
    read_back,
    revisions_without_a_gap,
    waves,
    without_a_gap,
    written_once,
)


def checks(crowd: Crowd, scene: Scene, start: Before, logs: dict[str, Path]) -> list[Check]:
    versions = Versions(scene, start)
    return [
        answers(crowd),
        written_once(crowd, versions),
        audited_once(crowd, start),
        nothing_else(crowd, versions, start),
        without_a_gap(versions),
        revisions_without_a_gap(scene),
        chained(scene),
        read_back(crowd, versions, start),
        waves(scene, versions),
        streams(crowd, scene, versions),
        polls(crowd, versions),
        processors(crowd, scene),
        deliveries(crowd),
        quiet_logs(logs),
    ]


def answers(crowd: Crowd) -> Check:
    """None is an error but those of two who want something at once; each is in the OpenAPI file; all reads are there."""
    check = Check("answers, each expected and documented", len(crowd.ledger.answers))
    check.wrong = list(crowd.ledger.surprises)
    operations = {said["operationId"]: (method, said) for method, said in _operations()}
    seen = {(answer.kind, answer.status) for answer in crowd.ledger.answers}
    for kind, status in sorted(seen):
        if kind in operations and str(status) not in operations[kind][1]["responses"]:
            check.wrong.append(f"{kind} does not say that it may answer {status}")
    reads = {name for name, (method, _) in operations.items() if method == "get"}
    if unread := reads - {kind for kind, _ in seen}:
        check.wrong.append(f"Nobody read {sorted(unread)}")
    return check


def _operations() -> Iterator[tuple[str, Any]]:
    """With the method of each."""
    paths = json.loads((ROOT / "config" / "openapi.json").read_text())["paths"]
    for path in paths.values():
        yield from path.items()


def quiet_logs(logs: dict[str, Path]) -> Check:
    check = Check("lines of the logs, none an error")
    for name, path in logs.items():
        for line in path.read_text().splitlines():
            check.that(not _is_error(line), f"{name}: {line[:1000]}")
    return check


def _is_error(line: str) -> bool:
    if line.startswith("{"):
        return json.loads(line).get("level") in ("ERROR", "CRITICAL")
    return "Traceback" in line or "[ERROR]" in line or "[CRITICAL]" in line


def wrong(found: Iterable[Check]) -> list[str]:
    return [f"{check.what}: {sentence}" for check in found for sentence in check.wrong]
