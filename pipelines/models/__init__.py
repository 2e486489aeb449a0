"""Pipelines, their parameters, what is pinned on them, every change to what runs, and what processors say they run, and rollouts."""

from pipelines.models.history import HistoryEntry, Subject
from pipelines.models.pins import Pin
from pipelines.models.pipelines import Label, Parameter, Pipeline, PipelineType, TokenPipeline, new_pipeline_key
from pipelines.models.processors import Claim, DeliveryFigure, Processor, RunningPin
from pipelines.models.rollouts import (
    ACTIVE,
    OnFailure,
    OnInconclusive,
    Outcome,
    Rollout,
    RolloutState,
    RolloutTarget,
    RolloutWave,
    Verdict,
)
from pipelines.models.versions import ConfigurationHead, ConfigurationVersion, new_epoch

__all__ = [
    "ACTIVE",
    "Claim",
    "ConfigurationHead",
    "ConfigurationVersion",
    "DeliveryFigure",
    "HistoryEntry",
    "Label",
    "OnFailure",
    "OnInconclusive",
    "Outcome",
    "Parameter",
    "Pin",
    "Pipeline",
    "PipelineType",
    "Processor",
    "Rollout",
    "RolloutState",
    "RolloutTarget",
    "RolloutWave",
    "RunningPin",
    "Subject",
    "TokenPipeline",
    "Verdict",
    "new_epoch",
    "new_pipeline_key",
]
