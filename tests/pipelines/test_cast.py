"""Every write to pipelines, parameters and pins, tried by the whole cast; who is denied changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from accounts.models import Organisation
from pipelines.models import Pin
from tests.clients import Api
from tests.conftest import Cast
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, wishes
from tests.pipelines.traces import kept


@dataclass(frozen=True)
class Stage:
    """What the writes are tried on."""

    pin: Pin
    free: Any  # a template that is not on the pipeline yet

    @property
    def pipeline(self) -> str:
        return f"pipelines/{self.pin.pipeline_id}"

    @property
    def path(self) -> str:
        return f"{self.pipeline}/integrations/{self.pin.pk}"


@pytest.fixture
def stage(organisation: Organisation) -> Stage:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(spare="1"))
    pin = PinFactory(organisation=organisation, pipeline=pipeline)
    return Stage(pin, TemplateFactory(organisation=organisation))


def assign(api: Api, stage: Stage) -> Any:
    body = {"integration_id": stage.free.pk, "revision_id": revision_of(stage.free).pk}
    return api.post(f"{stage.pipeline}/integrations", body)


WRITES: dict[str, Callable[[Api, Stage], Any]] = {
    "assign a pin": assign,
    "replace a pin": lambda api, stage: api.put(stage.path, {"enabled": False}),
    "update a pin": lambda api, stage: api.patch(stage.path, {"enabled": False}),
    "remove a pin": lambda api, stage: api.delete(stage.path),
    "replace a pipeline": lambda api, stage: api.put(stage.pipeline, {"name": "New", "parameters": {"a": "1"}}),
    "update a pipeline": lambda api, stage: api.patch(stage.pipeline, {"enabled": False, "labels": {"a": "1"}}),
    "set a parameter": lambda api, stage: api.put(f"{stage.pipeline}/parameters/a", {"value": "1"}),
    "delete a parameter": lambda api, stage: api.delete(f"{stage.pipeline}/parameters/spare"),
}
EDITORS_WRITE = {"viewer": 403, "editor": 200, "admin": 200, "stranger": 404, "processor": 403, "nobody": 401}
READS = {"viewer": 200, "editor": 200, "admin": 200, "stranger": 404, "processor": 403, "nobody": 401}


@pytest.mark.parametrize("person", EDITORS_WRITE)
@pytest.mark.parametrize("write", WRITES)
def test_editors_and_admins_write_and_nobody_else_leaves_a_trace(
    cast: Cast, stage: Stage, write: str, person: str
) -> None:
    before = kept()
    status = WRITES[write](cast[person], stage).status_code
    expected = EDITORS_WRITE[person]
    assert status == (201 if write == "assign a pin" and expected == 200 else expected)
    assert (kept() == before) == (status >= 400)


@pytest.mark.parametrize(
    ("person", "expected"),
    {"viewer": 403, "editor": 403, "admin": 200, "stranger": 404, "processor": 403, "nobody": 401}.items(),
)
def test_only_admins_delete_pipelines(cast: Cast, stage: Stage, person: str, expected: int) -> None:
    before = kept()
    assert cast[person].delete(stage.pipeline).status_code == expected
    assert (kept() == before) == (expected >= 400)


@pytest.mark.parametrize(
    ("person", "expected"), {"viewer": 403, "editor": 201, "admin": 201, "processor": 403, "nobody": 401}.items()
)
def test_editors_and_admins_create_pipelines(cast: Cast, stage: Stage, person: str, expected: int) -> None:
    before = kept()
    assert cast[person].post("pipelines", {"name": "New"}).status_code == expected
    assert (kept() == before) == (expected >= 400)


def test_a_stranger_creates_pipelines_at_home(cast: Cast, stage: Stage) -> None:
    assert cast["stranger"].post("pipelines", {"name": "New", "slug": "new"}).status_code == 201
    assert cast["editor"].post("pipelines", {"name": "New", "slug": "new"}).status_code == 201
    assert [shown["name"] for shown in cast["stranger"].get("pipelines").json()["pipelines"]] == ["New"]


@pytest.mark.parametrize("person", READS)
def test_everybody_of_the_organisation_but_a_processor_reads(cast: Cast, stage: Stage, person: str) -> None:
    paths = [stage.pipeline, f"{stage.pipeline}/integrations", stage.path]
    paths += [f"{stage.pipeline}/history", f"{stage.pipeline}/config", f"{stage.pipeline}/config?version=1"]
    assert {path: cast[person].get(path).status_code for path in paths} == dict.fromkeys(paths, READS[person])


@pytest.mark.parametrize("path", ["pipelines", "pipeline-integrations"])
def test_the_lists_of_the_organisation_show_a_stranger_nothing_of_it(cast: Cast, stage: Stage, path: str) -> None:
    answers = {name: api.get(path) for name, api in cast.items()}
    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert statuses == {**READS, "stranger": 200}
    held = {name: len(next(iter(answers[name].json().values()))) for name in ("viewer", "editor", "admin", "stranger")}
    assert held == {"viewer": 1, "editor": 1, "admin": 1, "stranger": 0}
