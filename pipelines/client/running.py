"""What runs here, and what becomes of it when the control plane speaks: the shrink guard.

Everything is replaced, never merged: a pipeline's new config takes the whole place of its old one, a snapshot that of
all pipelines. What an operator declared is obeyed at once; what nobody declared does not silently end what runs.

| What the control plane says                                        | What runs then                  | Reported as        |
|--------------------------------------------------------------------|---------------------------------|--------------------|
| an integration with its config                                     | that config                     | `applied`          |
| an integration that is gone, in a pipeline that is there           | nothing of it                   | stopped            |
| a pipeline that is disabled                                        | nothing of it                   | stopped            |
| a pipeline that is removed, named as such by `changes`             | nothing of it                   | stopped            |
| an integration that is `unresolvable`, or whose hash is wrong      | its last good config            | `kept_last_good`   |
| … of which nothing good ran before                                 | nothing of it                   | `rejected`         |
| a snapshot that lacks pipelines, at most half of those that run    | nothing of those                | stopped            |
| … more than half of those that run                                 | those that it lacks are held    | `kept_last_good`   |
| … what is held already                                             | that is held on                 | `kept_last_good`   |
| a snapshot that is cut short, anything unreadable, no answer       | everything as before            | as before          |
| anything older than what runs, under the same epoch                | everything as before            | as before          |

A snapshot names no removals: whoever takes one was away too long to be told of each, or the epoch has changed. So a
pipeline that it lacks may have been removed, or may be lost, as in a database that was restored empty. A snapshot
*lacks* a pipeline that runs something here if it does not name it, and also if it names it enabled with nothing to run
and nobody emptied it, as far as can be known: at the very version that runs here, or under another epoch, whose
versions say nothing of ours, as in a database that was restored to before the pins were made. A pipeline that is held
stays so until the control plane names it with something else, in `changes` or in a snapshot, or until the operator of
the processor says that it is to go: `Client.release_held()`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.client.configs import PipelineConfig, Unreadable, hold, parse_pipeline, restore_pipeline

MOST_LOST = 0.5  # of the pipelines that run, as much as a snapshot may take away


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one pipeline; `after` is None where it is gone, `before` where it is new."""

    pipeline_id: str
    before: PipelineConfig | None
    after: PipelineConfig | None


class Running:
    """All that runs here, as of one version of one epoch. One thread changes it, any thread may ask it."""

    def __init__(self, epoch: str = "", version: int = 0) -> None:
        self.epoch = epoch
        self.version = version
        self.pipelines: dict[str, PipelineConfig] = {}
        self._ids: dict[str, str] = {}

    def find(self, name: str) -> PipelineConfig | None:
        """A pipeline by its id or its key."""
        return self.pipelines.get(name) or self.pipelines.get(self._ids.get(name, ""))

    def put(self, config: PipelineConfig) -> Change:
        before = self.pipelines.get(config.pipeline_id)
        self.pipelines[config.pipeline_id] = config
        self._ids[config.pipeline_key] = config.pipeline_id
        return Change(config.pipeline_id, before, config)

    def drop(self, pipeline_id: str) -> Change:
        before = self.pipelines.pop(pipeline_id, None)
        if before is not None:
            self._ids.pop(before.pipeline_key, None)
        return Change(pipeline_id, before, None)

    def take_changes(self, version: int, lines: Iterable[bytes], removed: Iterable[str]) -> list[Change]:
        """Go on to a version of the same epoch. Raises Unreadable, and then nothing has been taken."""
        taken = [parse_pipeline(line, self.pipelines) for line in lines]
        changes = [self.put(config) for config in taken if self._is_news(config)]
        changes += [self.drop(pipeline_id) for pipeline_id in removed if pipeline_id in self.pipelines]
        self.version = max(version, self.version)
        return changes

    def after_snapshot(self, epoch: str, version: int, lines: Iterable[bytes]) -> "Running":
        """What runs when a snapshot has been taken; this one stays as it is. Raises Unreadable."""
        taken = Running(epoch, version)
        for line in lines:
            config = parse_pipeline(line, self.pipelines)
            known = self.pipelines.get(config.pipeline_id)
            ahead = known is not None and not known.held and known.version > config.version and epoch == self.epoch
            taken.put(known if known is not None and ahead else config)
        for config in self._to_hold(taken):
            named = taken.pipelines.get(config.pipeline_id)
            taken.put(hold(config, named.version if named else config.version))
        return taken

    def changes_to(self, other: "Running") -> Iterator[Change]:
        """Every pipeline that differs there."""
        for pipeline_id in self.pipelines.keys() | other.pipelines.keys():
            before, after = self.pipelines.get(pipeline_id), other.pipelines.get(pipeline_id)
            if before != after:
                yield Change(pipeline_id, before, after)

    def _is_news(self, config: PipelineConfig) -> bool:
        """Whether it differs from what runs, and is not older; the version of what is held may be of another epoch."""
        known = self.pipelines.get(config.pipeline_id)
        return known is None or known.held or (config != known and config.version >= known.version)

    def _to_hold(self, taken: "Running") -> list[PipelineConfig]:
        """Of what runs, that which the snapshot lacks and which goes on all the same."""
        runs = [config for config in self.pipelines.values() if config.running]
        lacking = [config for config in runs if _lacks(taken, config, same_epoch=taken.epoch == self.epoch)]
        held = [config for config in lacking if config.held]
        lost = [config for config in lacking if not config.held]
        too_many = len(lost) > MOST_LOST * (len(runs) - len(held))
        return held + lost if too_many else held


def _lacks(taken: Running, config: PipelineConfig, *, same_epoch: bool) -> bool:
    """Whether a snapshot says nothing of a pipeline, or that it runs nothing though nobody is known to have said so."""
    named = taken.pipelines.get(config.pipeline_id)
    if named is None:
        return True
    emptied = same_epoch and named.version != config.version
    return named.enabled and not (emptied or named.running or named.troubled)


def to_lines(running: Running) -> Iterator[bytes]:
    """As it goes to the disk."""
    head = {"epoch": running.epoch, "version": running.version, "count": len(running.pipelines)}
    yield json.dumps(head).encode("ascii")
    yield from (config.line for config in list(running.pipelines.values()))


def from_lines(lines: Sequence[bytes]) -> Running:
    """The other way round. Raises Unreadable."""
    try:
        head = json.loads(lines[0])
        running = Running(head["epoch"], head["version"])
        whole = head["count"] == len(lines) - 1
    except (IndexError, KeyError, TypeError, ValueError):
        raise Unreadable("The file has no head that is one.") from None
    if not whole:
        raise Unreadable("The file does not hold as many pipelines as its head says.")
    for line in lines[1:]:
        running.put(restore_pipeline(line))
    return running
