"""Pipelines, their parameters, what is pinned on them, every change to what runs, and what processors say they run."""

from pipelines.models.history import HistoryEntry, Subject
from pipelines.models.pins import Pin
from pipelines.models.pipelines import Label, Parameter, Pipeline, PipelineType, TokenPipeline, new_pipeline_key
from pipelines.models.processors import Claim, DeliveryFigure, Processor, RunningPin
from pipelines.models.versions import ConfigurationHead, ConfigurationVersion, new_epoch

__all__ = [
    "Claim",
    "ConfigurationHead",
    "ConfigurationVersion",
    "DeliveryFigure",
    "HistoryEntry",
    "Label",
    "Parameter",
    "Pin",
    "Pipeline",
    "PipelineType",
    "Processor",
    "RunningPin",
    "Subject",
    "TokenPipeline",
    "new_epoch",
    "new_pipeline_key",
]
