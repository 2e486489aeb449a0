"""The difference of two revisions, as written or as one pipeline would run them; secrets show only that they changed."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from accounts.errors import PreflightFailed
from integrations.changes import Change, diff_configs, diff_keys
from integrations.models import Revision
from integrations.revisions import compiled, whole_config
from pipelines.configs import concealed_pointers
from pipelines.models import Parameter, Pipeline
from pipelines.preflight import plain_values


@dataclass(frozen=True)
class Difference:
    """What to change in one config to get the other, and what that asks of the parameters."""

    changes: list[Change]
    newly_needed: tuple[str, ...]
    no_longer_used: tuple[str, ...]


def compare(before: Revision | None, after: Revision, pipeline: Pipeline | None = None) -> Difference:
    """From `before` (nothing, for a first revision) to `after`; with a pipeline, both filled in with its parameters.

    Raises PreflightFailed where one of them cannot be filled in.
    """
    old_keys = before.parameters_used if before else []
    keys = diff_keys(old_keys, after.parameters_used)
    if pipeline is None:
        old, new = _as_written(before), _as_written(after)
    else:
        used = {*old_keys, *after.parameters_used}
        parameters = list(pipeline.parameters.filter(key__in=used))
        old, new = _as_run(before, pipeline, parameters), _as_run(after, pipeline, parameters)
    changes = diff_configs(old.config, new.config, old.secrets, new.secrets)
    return Difference(changes, keys.newly_needed, keys.no_longer_used)


@dataclass(frozen=True)
class _Side:
    """A config with its secrets in place, and where they are."""

    config: Any = field(repr=False)
    secrets: Collection[str]


_NOTHING = _Side({}, ())


def _as_written(revision: Revision | None) -> _Side:
    if revision is None:
        return _NOTHING
    return _Side(whole_config(revision), concealed_pointers(revision, ()))


def _as_run(revision: Revision | None, pipeline: Pipeline, parameters: Collection[Parameter]) -> _Side:
    if revision is None:
        return _NOTHING
    values = plain_values(parameters)
    config = compiled(revision)
    if details := config.problems(values):
        message = f"Revision {revision.number} cannot be filled in with the parameters of “{pipeline.name}” yet."
        raise PreflightFailed(message, details)
    secret_keys = {parameter.key for parameter in parameters if parameter.secret}
    return _Side(config.resolve(values), concealed_pointers(revision, secret_keys))
