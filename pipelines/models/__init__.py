"""Pipelines, their parameters, what is pinned on them, and every change to what runs."""

from pipelines.models.history import HistoryEntry, Subject
from pipelines.models.pins import Pin
from pipelines.models.pipelines import Label, Parameter, Pipeline, PipelineType, TokenPipeline, new_pipeline_key
from pipelines.models.versions import ConfigurationHead, ConfigurationVersion, new_epoch

__all__ = [
    "ConfigurationHead",
    "ConfigurationVersion",
    "HistoryEntry",
    "Label",
    "Parameter",
    "Pin",
    "Pipeline",
    "PipelineType",
    "Subject",
    "TokenPipeline",
    "new_epoch",
    "new_pipeline_key",
]
