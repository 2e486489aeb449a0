"""The difference of two revisions, as written or as one pipeline would run them; secrets show only that they changed."""

from dataclasses import dataclass
from typing import Any

from accounts.errors import PreflightFailed
from integrations.changes import Change, diff_configs, diff_keys
from integrations.models import Revision
from integrations.revisions import compiled, whole_config
from pipelines.configs import concealed_pointers
from pipelines.models import Pipeline
from pipelines.preflight import plain_values, problems_of


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
    keys = diff_keys(before.parameters_used if before else [], after.parameters_used)
    sides = [_side(revision, pipeline) if revision else ({}, frozenset()) for revision in (before, after)]
    (old, old_secrets), (new, new_secrets) = sides
    changes = diff_configs(old, new, old_secrets, new_secrets)
    return Difference(changes, keys.newly_needed, keys.no_longer_used)


def _side(revision: Revision, pipeline: Pipeline | None) -> tuple[Any, frozenset[str]]:
    """A config with its secrets in place, and where they are."""
    if pipeline is None:
        return whole_config(revision), concealed_pointers(revision, ())
    parameters = list(pipeline.parameters.all())
    values = plain_values(parameters)
    details = problems_of(revision, values)
    if details:
        raise PreflightFailed(f"Revision {revision.number} cannot be resolved for “{pipeline.name}”.", details)
    secret_keys = {parameter.key for parameter in parameters if parameter.secret}
    return compiled(revision).resolve(values), concealed_pointers(revision, secret_keys)
