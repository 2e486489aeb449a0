"""Event processors: streams, conditional polls, changes, whole snapshots, and the client that processors embed."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pipelines.client import Change, Client
from tests.load.callers import Caller
from tests.load.ledger import Answer, Ledger
from tests.load.scene import Scene

RUNTIME = "v1/runtime"
RECONNECTS = 15.0  # seconds after which some streams are cut and taken up again


@dataclass(frozen=True)
class Seen:
    """One look at one pipeline: when it was begun, and the version that was there."""

    began: float
    pipeline_id: str
    version: int


@dataclass
class Heard:
    """What one stream said: when, and which version."""

    epoch: str
    version: int
    at: float


class Poller:
    """Asks for one pipeline after the other, and whether it is still as it was."""

    def __init__(self, me: Caller, scene: Scene, number: int) -> None:
        self.me = me
        self.scene = scene
        self.dice = random.Random(300 + number)  # noqa: S311  # replayed, not secret
        self.tags: dict[str, tuple[str, int]] = {}
        self.seen: list[Seen] = []

    async def step(self, _: int) -> None:
        pipeline = self.dice.choice(self.scene.pipelines)
        tag, version = self.tags.get(pipeline, ("", 0))
        began = time.monotonic()
        known = {"If_None_Match": tag} if tag else {}
        answer = await self.me.ask("load_pipeline", "GET", f"{RUNTIME}/pipelines/{pipeline}", **known)
        if answer.status_code == 200:
            said = answer.json()
            if said["version"] < version or (said["version"] == version and tag == answer.headers["ETag"]):
                self.me.ledger.surprise(f"{pipeline} went from version {version} to {said['version']}")
            version = said["version"]
            self.tags[pipeline] = answer.headers["ETag"], version
        self.seen.append(Seen(began, pipeline, version))


class Follower:
    """Asks what has changed, and adds it to what there is; beside it, somebody takes whole snapshots."""

    def __init__(self, me: Caller) -> None:
        self.me = me
        self.epoch = ""
        self.version = 0
        self.versions: dict[str, int] = {}
        self.snapshots: list[int] = []

    async def snapshot(self, _: int) -> None:
        lines = [json.loads(line) for line in (await self._get("load_snapshot", "snapshot")).text.splitlines()]
        head, *pipelines, end = lines
        newest = max((pipeline["version"] for pipeline in pipelines), default=0)
        if end != {"count": len(pipelines)} or newest > head["version"]:
            self.me.ledger.surprise(f"A snapshot at {head} ends with {end} and names version {newest}")
        if self.snapshots and head["version"] < self.snapshots[-1]:
            self.me.ledger.surprise(f"A snapshot is of version {head['version']} after one of {self.snapshots[-1]}")
        self.snapshots.append(head["version"])
        if not self.epoch:
            self.epoch, self.version = head["epoch"], head["version"]
            self.versions = {pipeline["pipeline_id"]: pipeline["version"] for pipeline in pipelines}

    async def changes(self, _: int) -> None:
        after, more = None, True
        while more and self.epoch:
            query = f"since={self.version}&epoch={self.epoch}" + (f"&after={after}" if after else "")
            said = (await self._get("load_changes", f"changes?{query}")).json()
            self._take(said)
            self.version, after, more = said["to_version"], said["after"], said["has_more"]

    def _take(self, said: Any) -> None:
        numbers = [entry["version"] for entry in said["changes"]]
        if numbers != sorted(numbers) or any(number < self.version for number in numbers):
            self.me.ledger.surprise(f"Changes since {self.version} come as {numbers}")
        for entry in said["changes"]:
            if entry.get("removed"):
                self.versions.pop(entry["pipeline_id"], None)
            else:
                self.versions[entry["pipeline_id"]] = entry["version"]

    async def _get(self, kind: str, path: str) -> httpx.Response:
        return await self.me.ask(kind, "GET", f"{RUNTIME}/{path}")


@dataclass
class Listener:
    """Holds a stream; some let go of theirs from time to time, and say where they were when they come back."""

    me: Caller
    reconnects: bool
    heard: list[Heard] = field(default_factory=list)

    async def listen(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(RECONNECTS if self.reconnects else None):
                    await self._once()
                self.me.ledger.surprise("A stream ended by itself.")
            except TimeoutError:
                pass
            except httpx.HTTPError as error:
                self.me.ledger.surprise(f"follow_versions: {error!r}")

    async def _once(self) -> None:
        last = {"Last-Event-ID": f"{self.heard[-1].epoch}.{self.heard[-1].version}"} if self.heard else {}
        headers = {"Authorization": f"Bearer {self.me.bearer}", **last}
        began = time.monotonic()
        async with self.me.http.stream("GET", f"{RUNTIME}/stream", headers=headers, timeout=30) as answer:
            self.me.ledger.answers.append(
                Answer("follow_versions", answer.status_code, "", began, time.monotonic() - began)
            )
            if answer.status_code != 200:
                self.me.ledger.surprise(f"follow_versions: {answer.status_code} {(await answer.aread())[:300]!r}")
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    epoch, _, number = line.removeprefix("id: ").rpartition(".")
                    self.heard.append(Heard(epoch, int(number), time.monotonic()))


class Embedded:
    """The client that processors embed, as a processor uses it: it runs what it is told, and counts what it delivers."""

    def __init__(self, url: str, bearer: str, ledger: Ledger, scene: Scene, folder: Path, number: int) -> None:
        self.ledger = ledger
        self.scene = scene
        self.dice = random.Random(400 + number)  # noqa: S311  # replayed, not secret
        self.delivered: dict[tuple[str, str], tuple[int, int]] = {}
        self.client = Client(
            url,
            bearer,
            store=folder / f"processor-{number}.state",
            instance=f"processor-{number}",
            poll_seconds=5,
            report_seconds=3,
            on_change=self._took,
        )

    async def step(self, _: int) -> None:
        """A batch of events of one pipeline, for the two templates that stay on it."""
        config = self.client.config(self.dice.choice(self.scene.pipelines))
        staying = (self.scene.tagged, self.scene.moved)
        for integration in config.integrations if config else ():
            if integration.integration_id in staying:
                delivered, failed = self.dice.randint(1, 50), self.dice.randint(0, 2)
                self.client.count(integration, delivered=delivered, failed=failed)
                key = integration.id, integration.revision_id
                before = self.delivered.get(key, (0, 0))
                self.delivered[key] = before[0] + delivered, before[1] + failed

    def _took(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is not None and after is not None and after.version < before.version:
            self.ledger.surprise(f"{change.pipeline_id} went from {before.version} to {after.version} at a processor")
