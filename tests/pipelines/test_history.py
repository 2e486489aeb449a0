"""History, what ran at a time or a version, and that both say the same as what was shown then."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts.errors import Refused
from accounts.models import Organisation, User
from integrations.models import Template
from integrations.revisions import create_revision
from pipelines import configs, versions
from pipelines.api.serializers import PipelineConfigObject
from pipelines.configs import config_at, current_config
from pipelines.models import ConfigurationVersion, Pin, Pipeline
from pipelines.parameters import Wish, change_parameters, delete_parameter
from pipelines.pins import assign_pin, remove_pin, update_pin
from pipelines.registry import update_pipeline
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, actor_of, revision_of, system, wishes
from tests.pipelines.traces import refusal, version_of

HOOK = {"url": "https://{{pipeline_param.a}}.example", "bearer_token": "t-{{pipeline_param.secret}}"}


def shown(config: configs.PipelineConfig) -> Any:
    return PipelineConfigObject(config).data


def test_history_tells_every_change_newest_first_with_its_actor(
    editor: Api, editor_user: User, organisation: Organisation
) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    template = TemplateFactory(organisation=organisation, name="Meta", revisions=2)
    one, two = revision_of(template, 1), revision_of(template, 2)
    path = f"pipelines/{pipeline.pk}"
    pin = editor.post(f"{path}/integrations", {"integration_id": template.pk, "revision_id": one.pk}).json()
    editor.put(f"{path}/integrations/{pin['id']}", {"revision_id": two.pk, "enabled": False})
    editor.put(f"{path}/parameters/a", {"value": "1"})
    editor.delete(f"{path}/integrations/{pin['id']}", X_Request_ID="the-request-of-mine")

    answer = editor.get(f"{path}/history").json()

    assert (answer["has_more"], answer["next_cursor"]) == (False, None)
    lines = answer["history"]
    assert list(lines[0]) == [
        "id",
        "version",
        "subject",
        "subject_id",
        "integration_id",
        "integration_name",
        "before",
        "after",
        "actor",
        "request_id",
        "created_at",
    ]
    first = {"revision_id": one.pk, "revision_number": 1, "enabled": True}
    second = {"revision_id": two.pk, "revision_number": 2, "enabled": False}
    assert [
        (line["version"], line["subject"], line["subject_id"], line["before"], line["after"]) for line in lines
    ] == [
        (5, "pin", pin["id"], second, None),
        (4, "parameter", "a", None, {"value": "1", "secret": False}),
        (3, "pin", pin["id"], first, second),
        (2, "pin", pin["id"], None, first),
        (1, "pipeline", pipeline.pk, None, {"enabled": True}),
    ]
    assert [line["integration_name"] for line in lines] == ["Meta", None, "Meta", "Meta", None]
    assert lines[0]["actor"] == {"type": "user", "id": editor_user.pk, "label": editor_user.email}
    assert lines[4]["actor"] == {"type": "system", "id": "tests", "label": "tests"}
    assert lines[0]["request_id"] == "the-request-of-mine"


def test_history_comes_in_pages(editor: Api, organisation: Organisation) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    for number in range(6):
        editor.put(f"pipelines/{pipeline.pk}/parameters/a", {"value": str(number)})
    versions, cursor, pages = [], "", 0
    while cursor is not None:
        page = editor.get(
            f"pipelines/{pipeline.pk}/history", {"limit": 3, **({"cursor": cursor} if cursor else {})}
        ).json()
        versions += [line["version"] for line in page["history"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert (pages, versions) == (3, [7, 6, 5, 4, 3, 2, 1])


def test_history_of_a_pipeline_holds_nothing_of_another(viewer: Api, organisation: Organisation) -> None:
    pipeline, other = PipelineFactory(organisation=organisation), PipelineFactory(organisation=organisation)
    lines = viewer.get(f"pipelines/{pipeline.pk}/history").json()["history"]
    assert [line["subject_id"] for line in lines] == [pipeline.pk]
    assert refusal(viewer.get(f"pipelines/{other.pk}/history?before=1"))[2] == [("before", "unknown_filter")]


def test_the_config_shows_what_runs_with_secrets_masked(editor: Api, organisation: Organisation) -> None:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(a="x") | wishes(secret=True, secret_="s"))
    hook = TemplateFactory(organisation=organisation, name="Hook", vendor="webhook", config={"url": HOOK["url"]})
    meta = TemplateFactory(organisation=organisation, name="Meta")
    PinFactory(organisation=organisation, pipeline=pipeline, template=hook)
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=meta)
    PinFactory(organisation=organisation, pipeline=pipeline, enabled=False)

    config = editor.get(f"pipelines/{pipeline.pk}/config").json()

    assert (config["version"], config["enabled"]) == (version_of(organisation), True)
    assert config["epoch"].startswith("ep_")
    assert (config["pipeline_id"], config["pipeline_key"]) == (pipeline.pk, pipeline.pipeline_key)
    assert [one["config"] for one in config["integrations"]] == [
        {"url": "https://x.example"},
        {"pixel_id": "1234567890", "access_token": "***"},
    ]
    assert config["integrations"][1] == {
        "id": pin.pk,
        "integration_id": meta.pk,
        "integration_name": "Meta",
        "vendor": "meta_capi",
        "revision_id": pin.revision_id,
        "revision_number": 1,
        "delivery_mode": "server_side",
        "state": "ok",
        "reasons": [],
        "config": {"pixel_id": "1234567890", "access_token": "***"},
    }


def test_a_time_finds_the_version_that_was_current_then(editor: Api, organisation: Organisation) -> None:
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    with time_machine.travel(start, tick=False):
        pipeline = PipelineFactory(organisation=organisation)
    for hour in (1, 2):
        with time_machine.travel(start + timedelta(hours=hour), tick=False):
            PinFactory(organisation=organisation, pipeline=pipeline)

    def at(moment: datetime) -> tuple[int, int, bool]:
        config = editor.get(f"pipelines/{pipeline.pk}/config", {"at": moment.isoformat()}).json()
        return config["version"], len(config["integrations"]), config["enabled"]

    assert at(start - timedelta(seconds=1)) == (0, 0, False)
    assert at(start) == (1, 0, True)
    assert at(start + timedelta(hours=1) - timedelta(microseconds=1)) == (1, 0, True)
    assert at(start + timedelta(hours=1)) == (2, 1, True)
    assert at(start + timedelta(hours=2)) == (3, 2, True)
    assert at(start + timedelta(days=9999)) == (3, 2, True)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("version=99", ("version", "unknown_version")),
        ("version=-1", ("version", "invalid_version")),
        ("version=1.0", ("version", "invalid_version")),
        ("version=9999999999999999999999", ("version", "invalid_version")),
        ("at=yesterday", ("at", "invalid_time")),
        ("at=2026-02-20T10:00:00", ("at", "invalid_time")),
        ("at=2026-02-30T10:00:00Z", ("at", "invalid_time")),
        ("at=2026-02-20T10:00:00Z&version=1", ("version", "ambiguous")),
        ("versoin=1", ("versoin", "unknown_filter")),
    ],
)
def test_a_version_or_time_that_cannot_be_is_refused(
    viewer: Api, organisation: Organisation, query: str, detail: tuple[str, str]
) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    assert refusal(viewer.get(f"pipelines/{pipeline.pk}/config?{query}")) == (400, "BAD_REQUEST", [detail])


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59"])
def test_the_ends_of_time_are_no_fault(viewer: Api, organisation: Organisation, moment: str) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    assert viewer.get(f"pipelines/{pipeline.pk}/config?at={moment}").status_code in (200, 400)


def test_a_parameter_made_secret_since_is_masked_in_what_ran_before(editor: Api, organisation: Organisation) -> None:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(a="x"))
    hook = TemplateFactory(organisation=organisation, vendor="webhook", config={"url": HOOK["url"]})
    PinFactory(organisation=organisation, pipeline=pipeline, template=hook)
    path = f"pipelines/{pipeline.pk}/config?version={version_of(organisation)}"
    assert editor.get(path).json()["integrations"][0]["config"] == {"url": "https://x.example"}
    editor.put(f"pipelines/{pipeline.pk}/parameters/a", {"value": "y", "secret": True})
    assert editor.get(path).json()["integrations"][0]["config"] == {"url": "***"}


def test_what_runs_is_told_from_history_when_it_changes_while_it_is_read(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    pin = PinFactory(organisation=organisation, pipeline=pipeline)
    before, read = shown(current_config(pipeline)), versions.head

    def read_and_then_change(organisation_id: str) -> tuple[str, int]:
        answer = read(organisation_id)
        monkeypatch.setattr(configs, "head", read)
        remove_pin(actor=system(organisation), pipeline_id=pipeline.pk, pin_id=pin.pk)
        return answer

    monkeypatch.setattr(configs, "head", read_and_then_change)
    assert shown(current_config(pipeline)) == before
    assert shown(current_config(pipeline))["integrations"] == []


class Story:
    """A random series of changes to two pipelines, and what was shown after each."""

    def __init__(self, organisation: Organisation, seed: int) -> None:
        self.organisation, self.actor, self.dice = organisation, system(organisation), random.Random(seed)  # noqa: S311  # replayed, not secret
        made = wishes(a="x", b="1") | {"secret": Wish("s", secret=True)}
        self.pipelines = [PipelineFactory(organisation=organisation, parameters=made) for _ in range(2)]
        self.templates: list[Template] = [
            TemplateFactory(organisation=organisation, vendor="webhook", config=HOOK),
            TemplateFactory(organisation=organisation, revisions=2),
            TemplateFactory(
                organisation=organisation,
                vendor="webhook",
                config={"url": "https://h.example", "timeout_seconds": "{{pipeline_param.b}}"},
            ),
        ]
        self.seen: dict[tuple[str, int], Any] = {}
        self.refused = 0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            before = version_of(self.organisation)
            self.step(before)
            for pipeline in self.pipelines:
                fresh = Pipeline.objects.get(pk=pipeline.pk)
                self.seen[pipeline.pk, version_of(self.organisation)] = shown(current_config(fresh))

    def step(self, before: int) -> None:
        steps: list[Callable[[Pipeline], int]] = [self.assign, self.update, self.remove, self.parameter, self.pipeline]
        try:
            grows = self.dice.choice(steps)(self.dice.choice(self.pipelines))
        except Refused:
            grows, self.refused = 0, self.refused + 1
        assert version_of(self.organisation) - before in ((0, 1) if grows else (0,))

    def assign(self, pipeline: Pipeline) -> int:
        template = self.dice.choice(self.templates)
        revision = self.dice.choice(list(template.revisions.all()))
        enabled = self.dice.random() < 0.8
        assign_pin(
            actor=self.actor,
            pipeline_id=pipeline.pk,
            template_id=template.pk,
            revision_id=revision.pk,
            enabled=enabled,
        )
        return 1

    def update(self, pipeline: Pipeline) -> int:
        if (pin := self.some_pin(pipeline)) is None:
            return 0
        template = next(template for template in self.templates if template.pk == pin.template_id)
        if self.dice.random() < 0.3:
            create_revision(actor=self.actor, template_id=template.pk, config=revision_config(template))
        revision = self.dice.choice(list(template.revisions.all()))
        update_pin(
            actor=self.actor,
            pipeline_id=pipeline.pk,
            pin_id=pin.pk,
            revision_id=self.dice.choice([None, revision.pk]),
            enabled=self.dice.choice([None, True, False]),
        )
        return 1

    def remove(self, pipeline: Pipeline) -> int:
        if (pin := self.some_pin(pipeline)) is None or self.dice.random() < 0.5:
            return 0
        remove_pin(actor=self.actor, pipeline_id=pipeline.pk, pin_id=pin.pk)
        return 1

    def parameter(self, pipeline: Pipeline) -> int:
        key = self.dice.choice(["a", "b", "c", "secret"])
        if self.dice.random() < 0.3:
            delete_parameter(actor=self.actor, pipeline_id=pipeline.pk, key=key)
            return 1
        value = self.dice.choice(["", "1", "2.5", "x", "***"])
        wish = Wish(value, secret=key == "secret")
        change_parameters(actor=self.actor, pipeline_id=pipeline.pk, wishes={key: wish, "c": Wish(value)})
        return 1

    def pipeline(self, pipeline: Pipeline) -> int:
        fields: dict[str, Any] = self.dice.choice(
            [{"name": f"Name {self.dice.random()}"}, {"enabled": self.dice.random() < 0.5}]
        )
        labels = {"a": str(self.dice.randrange(9))}
        update_pipeline(actor=self.actor, pipeline_id=pipeline.pk, fields=fields, labels=labels)
        return int("enabled" in fields)

    def some_pin(self, pipeline: Pipeline) -> Pin | None:
        pins = list(Pin.objects.filter(pipeline=pipeline).order_by("created_at", "pk"))
        return self.dice.choice(pins) if pins else None


def revision_config(template: Template) -> dict[str, Any]:
    return HOOK if template.vendor == "webhook" else {"pixel_id": "2", "access_token": "{{pipeline_param.secret}}"}


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_a_version_shows_what_was_shown_at_it(organisation: Organisation, seed: int) -> None:
    story = Story(organisation, seed)
    story.run(40)

    told = {
        (pipeline_id, number): shown(config_at(Pipeline.objects.get(pk=pipeline_id), number))
        for pipeline_id, number in story.seen
    }

    assert told == story.seen
    assert any(config["integrations"] for config in told.values())
    numbers = list(ConfigurationVersion.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_stories_are_worth_telling(organisation: Organisation) -> None:
    """They change things, are refused things, and show a masked secret."""
    story = Story(organisation, 3)
    story.run(40)
    assert version_of(organisation) > 10
    assert story.refused > 0
    assert "t-" not in str(story.seen)


def test_a_copied_actor_outlives_the_user(organisation: Organisation, editor_user: User, viewer: Api) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    actor = actor_of(editor_user)
    change_parameters(actor=actor, pipeline_id=pipeline.pk, wishes=wishes(a="1"))
    editor_user.email = "renamed@acme.example"
    editor_user.save(update_fields=["email"])
    line = viewer.get(f"pipelines/{pipeline.pk}/history").json()["history"][0]
    assert line["actor"]["label"] == "editor@acme.example"


def test_the_time_that_a_change_shows_answers_with_that_change(viewer: Api, organisation: Organisation) -> None:
    pin = PinFactory(organisation=organisation)
    path = f"pipelines/{pin.pipeline_id}"
    shown = viewer.get(f"{path}/history").json()["history"][0]["created_at"]
    then = viewer.get(f"{path}/config?at={shown}").json()
    assert [running["id"] for running in then["integrations"]] == [pin.pk]
