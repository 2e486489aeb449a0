"""What a pipeline is to run, as the control plane says it and as a processor keeps it."""

import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

DAMAGED = "The config does not match its hash: it was altered on its way here."
UNRESOLVABLE = "The control plane could not resolve it."

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Unreadable(Exception):
    """An answer, or a part of it, is not what the control plane sends. Nothing has been taken from it."""


@dataclass(frozen=True, slots=True)
class Integration:
    """One vendor to deliver to. `config` is complete, with its secrets in plain text: do not change it or log it.

    `kept` is empty, or says why this is the last good config and not the one that the control plane names now;
    `refused_hash` is the hash of the latter, if it has one.
    """

    id: str
    integration_id: str
    vendor: str
    revision_id: str
    revision_number: int
    delivery_mode: str
    config: Mapping[str, Any] = field(repr=False)
    config_hash: str
    kept: str = ""
    refused_hash: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An integration that the control plane names and that cannot run, and of which nothing good was there before."""

    id: str
    integration_id: str
    vendor: str
    revision_id: str
    revision_number: int
    reason: str
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """All that one pipeline is to run: deliver to each of `integrations`, and to nothing else.

    A disabled pipeline has none. `held` says that a snapshot no longer had this pipeline, and that it runs on all the
    same: see `pipelines.client.running`. `troubled`, that some of it is not what the control plane means it to be.

    A fleet is kept as the lines of JSON that it came in, in a third of the memory of what they say; that is read when
    somebody asks, and kept from then on.
    """

    pipeline_id: str
    pipeline_key: str
    version: int
    enabled: bool
    running: int  # how many integrations
    troubled: bool
    held: bool
    line: bytes = field(repr=False)
    _read: list["_Parts"] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def integrations(self) -> tuple[Integration, ...]:
        return self._parts().integrations

    @property
    def rejected(self) -> tuple[Rejection, ...]:
        return self._parts().rejected

    def _parts(self) -> "_Parts":
        if not self._read:
            self._read.append(_parts_of(json.loads(self.line), {}, check=False))
        return self._read[0]


class _Parts(NamedTuple):
    integrations: tuple[Integration, ...]
    rejected: tuple[Rejection, ...]


def parse_pipeline(line: bytes, running: Mapping[str, PipelineConfig]) -> PipelineConfig:
    """What is to run of a pipeline, from the object that the control plane sends for it.

    Where one of its integrations cannot run, what is `running` of it now, by pipeline, goes on. Raises Unreadable.
    """
    with _complaints():
        said = json.loads(line)
        parts = _parts_of(said, running, check=True)
        config = _config(said, line, parts)
    return _with_own_line(config, parts) if config.troubled else config


def restore_pipeline(line: bytes) -> PipelineConfig:
    """The same from what is on the disk, which has been checked. Raises Unreadable."""
    with _complaints():
        said = json.loads(line)
        return _config(said, line, _parts_of(said, {}, check=False))


def hold(config: PipelineConfig, version: int) -> PipelineConfig:
    """The same, marked as lost by the control plane, which names it empty at this version if it names it at all."""
    held = replace(config, version=version, held=True)
    return _with_own_line(held, _Parts(config.integrations, config.rejected))


def is_digest_of(config_hash: str, config: Any) -> bool:
    """Whether the first part of the hash, before its dash, is the SHA-256 of the config.

    The config is written as the control plane writes it for this: `json.dumps` with sorted keys, no white space, ASCII.
    """
    digest = hashlib.sha256(canonical(config).encode("ascii")).hexdigest()
    return config_hash.partition("-")[0] == digest


@contextmanager
def _complaints() -> Generator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError):  # the cause stays out: it can quote what is secret
        raise Unreadable("What should be the config of a pipeline is not one.") from None


def _config(said: Any, line: bytes, parts: _Parts) -> PipelineConfig:
    return PipelineConfig(
        pipeline_id=said["pipeline_id"],
        pipeline_key=said["pipeline_key"],
        version=int(said["version"]),
        enabled=said["enabled"] is True,
        running=len(parts.integrations),
        troubled=bool(parts.rejected) or any(integration.kept for integration in parts.integrations),
        held=said.get("held") is True,
        line=line,
    )


def _parts_of(said: Any, running: Mapping[str, PipelineConfig], *, check: bool) -> _Parts:
    """What of the integrations runs and what does not; a disabled pipeline has none."""
    found: list[Integration | Rejection] = []
    for entry in said["integrations"] if said["enabled"] is True else ():
        reason = _fault(entry, check=check)
        found.append(_instead(entry, reason, running.get(said["pipeline_id"])) if reason else _integration(entry))
    return _Parts(
        tuple(entry for entry in found if isinstance(entry, Integration)),
        tuple(entry for entry in found if isinstance(entry, Rejection)),
    )


def _fault(said: Any, *, check: bool) -> str:
    """Why this cannot run, empty if it can."""
    if said["state"] != "ok":
        return str(said.get("reason") or UNRESOLVABLE)
    return DAMAGED if check and not is_digest_of(said["config_hash"], said["config"]) else ""


def _instead(said: Any, reason: str, before: PipelineConfig | None) -> Integration | Rejection:
    """The last good config of what cannot run, if there is one."""
    running = before.integrations if before else ()
    last = next((integration for integration in running if integration.id == said["id"]), None)
    refused = said.get("config_hash") or ""
    if last is not None:
        return replace(last, kept=reason, refused_hash=refused)
    names = {name: said[name] for name in ("id", "integration_id", "vendor", "revision_id", "revision_number")}
    return Rejection(**names, reason=reason, config_hash=refused)


def _integration(said: Any) -> Integration:
    return Integration(
        id=said["id"],
        integration_id=said["integration_id"],
        vendor=said["vendor"],
        revision_id=said["revision_id"],
        revision_number=said["revision_number"],
        delivery_mode=said["delivery_mode"],
        config=said["config"],
        config_hash=said["config_hash"],
        kept=said.get("kept", ""),
        refused_hash=said.get("refused_hash", ""),
    )


def _with_own_line(config: PipelineConfig, parts: _Parts) -> PipelineConfig:
    """With a line that says what runs, where that differs from what the control plane said."""
    kept = [{**asdict(entry), "state": "ok"} for entry in parts.integrations]
    rejected = [{**asdict(entry), "state": "unresolvable"} for entry in parts.rejected]
    said = {
        "pipeline_id": config.pipeline_id,
        "pipeline_key": config.pipeline_key,
        "version": config.version,
        "enabled": config.enabled,
        "integrations": [*kept, *rejected],
        "held": config.held,
    }
    return replace(config, line=json.dumps(said).encode("ascii"))
