"""What the control plane says of pipelines and their integrations, in the words of the feed."""

import hashlib
import json
from typing import Any

SECRET = "EAAB-hunter2"


def integration(id: str = "pi_a", revision: int = 1, **changed: Any) -> dict[str, Any]:
    """One that can run, at a revision whose config says its number."""
    config = {"pixel_id": f"{id} {revision}", "access_token": SECRET}
    return {
        "id": id,
        "integration_id": f"tmpl_{id}",
        "vendor": "meta_capi",
        "revision_id": f"rev_{revision}",
        "revision_number": revision,
        "delivery_mode": "server_side",
        "state": "ok",
        "config": config,
        "config_hash": hash_of(config),
        **changed,
    }


def unresolvable(id: str = "pi_a", revision: int = 2) -> dict[str, Any]:
    reason = "The parameter “host” is missing."
    return integration(id, revision, state="unresolvable", reason=reason, config=None, config_hash=None)


def damaged(id: str = "pi_a", revision: int = 2) -> dict[str, Any]:
    """Altered on its way, after the hash was made."""
    return integration(id, revision, config={"pixel_id": "somebody else's"})


def pipeline(id: str, version: int, *integrations: dict[str, Any], enabled: bool = True) -> dict[str, Any]:
    return {
        "epoch": "ep_1",
        "version": version,
        "pipeline_id": id,
        "pipeline_key": id.replace("pip_", "pk_"),
        "enabled": enabled,
        "integrations": list(integrations),
    }


def line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


def hash_of(config: dict[str, Any]) -> str:
    """As the control plane makes it; only the part before the dash can be checked here."""
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return f"{hashlib.sha256(canonical.encode()).hexdigest()}-{'0' * 20}"
