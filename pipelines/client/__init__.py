"""The reference client of the runtime feed, for an event processor to embed. Plain Python: httpx and cryptography."""

from pipelines.client.client import Client, Status
from pipelines.client.configs import Integration, PipelineConfig, Rejection
from pipelines.client.running import Change

__all__ = ["Change", "Client", "Integration", "PipelineConfig", "Rejection", "Status"]
