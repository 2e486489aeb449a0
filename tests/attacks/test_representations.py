"""How our own objects show themselves, as in a traceback, a log or a debugger: none of them tells a secret."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from accounts.models import Organisation, User
from accounts.sessions import log_in, refresh
from integrations.revisions import create_revision
from pipelines.client.configs import parse_pipeline
from pipelines.configs import current_config
from pipelines.differences import compare
from pipelines.feed.changes import Question, changes
from pipelines.feed.documents import Documents
from pipelines.models import Pin, Pipeline
from pipelines.parameters import change_parameters
from tests.factories import PASSWORD, PinFactory, PipelineFactory, TemplateFactory, system, wishes

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) for name in ("accounts", "config", "integrations", "pipelines"))
CANARY = "canary-repr"


@contextmanager
def shown() -> Generator[dict[str, str]]:
    """How each kind of our small objects shows itself, of all that pass through a function of ours meanwhile."""
    texts: dict[str, str] = {}

    def look(frame: FrameType, event: str, returned: Any) -> None:
        if event == "return" and frame.f_code.co_filename.startswith(OURS) and frame.f_code.co_name != "__init__":
            for value in (returned, *frame.f_locals.values()):
                if is_record(value):
                    text = repr(value)
                    texts[type(value).__qualname__] = texts.get(type(value).__qualname__, "") + text

    sys.setprofile(look)
    try:
        yield texts
    finally:
        sys.setprofile(None)


def is_record(value: Any) -> bool:
    kind = type(value)
    ours = kind.__module__.startswith(("accounts.", "config.", "integrations.", "pipelines."))
    return ours and (is_dataclass(kind) or hasattr(kind, "_fields"))


def run_everything(organisation: Organisation, user: User) -> list[str]:
    """Secrets on each of the ways that they go; returns those that were made on the way."""
    actor = system(organisation)
    pipeline: Pipeline = PipelineFactory(organisation=organisation, parameters=wishes(token=CANARY, secret=True))
    change_parameters(actor=actor, pipeline_id=pipeline.pk, wishes=wishes(token=f"{CANARY}-2", secret=True))
    reference = "{{pipeline_param.token}}"
    config = {"measurement_id": reference, "api_secret": f"{CANARY}{reference}", "more": {"in": [reference]}}
    template = TemplateFactory(organisation=organisation, vendor="ga4", config=config)
    pin: Pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    PinFactory(organisation=organisation, pipeline=pipeline)  # one without a reference
    created = create_revision(actor=actor, template_id=template.pk, config={**config, "api_secret": f"{CANARY}-3"})
    compare(pin.revision, created.revision, pipeline)
    current_config(pipeline)
    served = json.loads(changes(Question(organisation.pk, 0), Documents()))
    [line] = [json.dumps(each).encode() for each in served["changes"] if each["integrations"]]
    assert CANARY in str(parse_pipeline(line, {}).integrations[0].config)
    session = log_in(email=user.email, password=PASSWORD)
    refresh(refresh_token=session.refresh_token)
    return [session.access_token, session.refresh_token]


def test_no_object_that_carries_a_secret_shows_it(
    committed_db: str, organisation: Organisation, editor_user: User
) -> None:
    with shown() as texts:
        secrets = [CANARY, *run_everything(organisation, editor_user)]
    assert set(texts) >= {
        "Wish",
        "_Change",
        "_Draft",
        "Session",
        "_Side",
        "_Blank",
        "_Runnable",
        "Document",
        "Integration",
    }
    assert {kind for kind, text in texts.items() for secret in secrets if secret in text} == set()
