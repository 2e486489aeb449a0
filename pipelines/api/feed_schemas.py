"""What the runtime feed answers, in the words of OpenAPI: no serializer of ours writes it."""

from typing import Any

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
WHERE = {"epoch": TEXT, "version": {"type": "integer", "description": "The one in which this pipeline last changed."}}
WHICH = {**WHERE, "pipeline_id": TEXT, "pipeline_key": TEXT}
PIN = {
    "id": TEXT,
    "integration_id": TEXT,
    "vendor": TEXT,
    "revision_id": TEXT,
    "revision_number": NUMBER,
    "delivery_mode": {"type": "string", "enum": ["server_side", "client_side", "hybrid"]},
}


def exactly(properties: dict[str, Any], description: str) -> dict[str, Any]:
    """An object that holds these and nothing else."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


RUNNING = exactly(
    {
        **PIN,
        "state": {"const": "ok"},
        "config": {"type": "object", "additionalProperties": True},
        "config_hash": {"type": "string", "description": "The SHA-256 of the config, a dash, and a seal of ours."},
    },
    "An integration to run.",
)
UNRESOLVABLE = exactly(
    {
        **PIN,
        "state": {"const": "unresolvable"},
        "reason": {"type": "string", "description": "For people."},
        "config": {"type": "null"},
        "config_hash": {"type": "null"},
    },
    "An integration that should run, and cannot as things are: keep what you have of it.",
)
PIPELINE = exactly(
    {
        **WHICH,
        "enabled": {"type": "boolean"},
        "integrations": {"type": "array", "items": {"oneOf": [RUNNING, UNRESOLVABLE]}},
    },
    "What a pipeline runs; nothing while it is not enabled.",
)
REMOVED = exactly({**WHICH, "removed": {"const": True}}, "A pipeline that is no more.")
CHANGES = exactly(
    {
        "epoch": TEXT,
        "since": NUMBER,
        "to_version": {"type": "integer", "description": "All up to here is known to you now."},
        "after": {"type": ["string", "null"], "description": "Where the page ends inside of the next version."},
        "has_more": {"type": "boolean"},
        "changes": {"type": "array", "items": {"oneOf": [PIPELINE, REMOVED]}},
    },
    "One page of changes.",
)
LINES = {"type": "string", "description": '`{"epoch", "version"}`, then pipelines, then `{"count"}`, one a line.'}
EVENTS = {"type": "string", "description": '`id: EPOCH.VERSION`, `event: version`, `data: {"epoch", "version"}`.'}
