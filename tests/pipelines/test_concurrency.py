"""Changes made at the same moment by threads that really commit: one wins, none is lost, none waits for ever."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import connection, transaction

from accounts import statements
from accounts.actors import Actor
from accounts.errors import Refused
from accounts.models import AuditEntry, Organisation
from integrations.models import Status, Template
from integrations.revisions import create_revision, set_status
from integrations.templates import create_template, update_template
from pipelines.configs import current_config
from pipelines.models import ConfigurationHead, ConfigurationVersion, HistoryEntry, Pin, Pipeline
from pipelines.parameters import change_parameters
from pipelines.pins import assign_pin, remove_pin, update_pin
from pipelines.registry import create_pipeline, delete_pipeline, update_pipeline
from pipelines.versions import head
from tests.clients import Api
from tests.factories import CONFIGS, PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes

ROUNDS = 5  # a race that is lost one time in ten is found most of the time


def together(*calls: Callable[[], Any]) -> list[Any]:
    """What each call gave or which refusal it met; all begin at the same moment, each on a connection of its own."""
    start = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait(timeout=30)
            return call()
        except Refused as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def statuses(answers: Sequence[Any]) -> dict[Any, int]:
    """How many answers of each status, or of each error code where there is one."""
    return Counter(
        answer.json()["error"]["code"] if answer.status_code >= 400 else answer.status_code for answer in answers
    )


def assert_consistent(organisation: Organisation) -> None:
    """Versions without a gap, history that says what stands, and an audit entry for each version."""
    numbers = list(
        ConfigurationVersion.objects.filter(organisation=organisation)
        .order_by("number")
        .values_list("number", flat=True)
    )
    assert numbers == list(range(1, head(organisation.pk)[1] + 1))
    for pipeline in Pipeline.objects.filter(organisation=organisation):
        standing = HistoryEntry.objects.filter(pipeline=pipeline).last_of_each().filter(subject="pin")
        told = {
            line.subject_id: (line.after_revision_id, line.after_enabled) for line in standing if line.after_revision_id
        }
        assert told == {pin.pk: (pin.revision_id, pin.enabled) for pin in pipeline.pins.all()}


@pytest.mark.parametrize("again", range(ROUNDS))
def test_of_two_editors_pinning_the_same_template_one_is_told_that_it_is_assigned(
    committed_db: str, organisation: Organisation, editor: Api, admin: Api, again: int
) -> None:
    pipeline, template = PipelineFactory(organisation=organisation), TemplateFactory(organisation=organisation)
    body = {"integration_id": template.pk, "revision_id": revision_of(template).pk}
    path = f"pipelines/{pipeline.pk}/integrations"
    answers = together(lambda: editor.post(path, body), lambda: admin.post(path, body))
    assert statuses(answers) == {201: 1, "ALREADY_ASSIGNED": 1}
    assert Pin.objects.count() == 1
    assert AuditEntry.objects.filter(action="pin.assigned").count() == 1
    assert_consistent(organisation)


@pytest.mark.parametrize("again", range(ROUNDS))
def test_of_two_editors_who_saw_the_same_pin_one_is_told_that_it_has_changed(
    committed_db: str, organisation: Organisation, editor: Api, admin: Api, again: int
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=3)
    pin = PinFactory(organisation=organisation, template=template, number=1)
    path = f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}"
    seen = editor.get(path)["ETag"]
    two, three = ({"revision_id": revision_of(template, number).pk} for number in (2, 3))
    answers = together(lambda: editor.put(path, two, If_Match=seen), lambda: admin.put(path, three, If_Match=seen))
    assert statuses(answers) == {200: 1, "PRECONDITION_FAILED": 1}
    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert lost.json()["current"] == won.json() == editor.get(path).json()
    assert HistoryEntry.objects.filter(subject="pin").count() == 2
    assert_consistent(organisation)


def test_two_pipelines_of_one_name_made_at_once_get_two_slugs(
    committed_db: str, organisation: Organisation, editor: Api
) -> None:
    answers = together(*[lambda: editor.post("pipelines", {"name": "Shop"})] * 6)
    assert statuses(answers) == {201: 6}
    slugs = {answer.json()["slug"] for answer in answers}
    assert (len(slugs), "shop" in slugs, {slug[:4] for slug in slugs}) == (6, True, {"shop"})
    assert_consistent(organisation)


def test_of_those_who_ask_for_one_slug_at_once_one_gets_it(
    committed_db: str, organisation: Organisation, editor: Api
) -> None:
    others = [PipelineFactory(organisation=organisation) for _ in range(2)]
    body = {"name": "Shop", "slug": "shop"}
    renames = [lambda one=one: editor.put(f"pipelines/{one.pk}", {"slug": "shop"}) for one in others]
    answers = together(*[lambda: editor.post("pipelines", body)] * 3, *renames)
    counted = statuses(answers)
    assert counted["SLUG_TAKEN"] == 4
    assert Pipeline.objects.filter(slug="shop").count() == 1
    assert_consistent(organisation)


@pytest.mark.parametrize("again", range(ROUNDS))
def test_a_pin_removed_beside_an_update_is_gone_whoever_was_first(
    committed_db: str, organisation: Organisation, editor: Api, admin: Api, again: int
) -> None:
    pin = PinFactory(organisation=organisation)
    path = f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}"
    removed, updated = together(lambda: admin.delete(path), lambda: editor.put(path, {"enabled": False}))
    assert (removed.status_code, updated.status_code in (200, 404)) == (200, True)
    assert Pin.objects.count() == 0
    assert_consistent(organisation)


@pytest.mark.parametrize("again", range(ROUNDS))
def test_a_pipeline_deleted_beside_changes_to_it_keeps_none_of_them(
    committed_db: str, organisation: Organisation, editor: Api, admin: Api, again: int
) -> None:
    pin = PinFactory(organisation=organisation)
    template = TemplateFactory(organisation=organisation)
    body = {"integration_id": template.pk, "revision_id": revision_of(template).pk}
    path = f"pipelines/{pin.pipeline_id}"
    answers = together(
        lambda: admin.delete(path),
        lambda: editor.put(f"{path}/integrations/{pin.pk}", {"enabled": False}),
        lambda: editor.post(f"{path}/integrations", body),
        lambda: editor.put(f"{path}/parameters/a", {"value": "1"}),
    )
    assert answers[0].status_code == 200
    assert {answer.status_code for answer in answers[1:]} <= {200, 201, 404}
    assert Pin.objects.count() == 0
    assert Pipeline.objects.get(pk=pin.pipeline_id).parameters.count() == 0
    assert_consistent(organisation)


@pytest.mark.parametrize("again", range(ROUNDS))
def test_no_pin_is_made_on_a_revision_after_it_was_retired(
    committed_db: str, organisation: Organisation, again: int
) -> None:
    actor, template = system(organisation), TemplateFactory(organisation=organisation)
    pipelines = [PipelineFactory(organisation=organisation) for _ in range(3)]
    revision = revision_of(template)
    retired_at: list[int] = []

    def retire() -> None:
        with transaction.atomic():
            set_status(actor=actor, template_id=template.pk, revision="1", status=Status.RETIRED)
            retired_at.append(head(organisation.pk)[1])  # read under the lock that every assignment waits for

    def assign(pipeline: Any) -> Callable[[], Any]:
        return lambda: assign_pin(
            actor=actor, pipeline_id=pipeline.pk, template_id=template.pk, revision_id=revision.pk
        )

    outcomes = together(retire, *map(assign, pipelines))
    refused = outcomes.count("REVISION_RETIRED")
    assert Pin.objects.count() == 3 - refused
    assert head(organisation.pk)[1] == retired_at[0]
    assert_consistent(organisation)


@pytest.mark.parametrize("again", range(ROUNDS))
def test_a_parameter_is_not_deleted_while_a_pin_that_needs_it_is_enabled(
    committed_db: str, organisation: Organisation, editor: Api, admin: Api, again: int
) -> None:
    config = {"url": "https://{{pipeline_param.host}}"}
    template = TemplateFactory(organisation=organisation, vendor="webhook", config=config)
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(host="a.example"))
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template, enabled=False)
    path = f"pipelines/{pipeline.pk}"
    answers = together(
        lambda: admin.delete(f"{path}/parameters/host"),
        lambda: editor.put(f"{path}/integrations/{pin.pk}", {"enabled": True}),
    )
    assert statuses(answers) in ({200: 1, "PREFLIGHT_FAILED": 1}, {200: 1, "PARAMETER_IN_USE": 1})
    assert all(one.state == "ok" for one in current_config(pipeline).integrations)
    assert_consistent(organisation)


class Storm:
    """Everything at once on a few pipelines and templates, in an order that the dice choose."""

    def __init__(self, organisation: Organisation, seed: int) -> None:
        self.organisation, self.seed = organisation, seed
        self.actor: Actor = system(organisation)
        self.templates: list[Template] = [TemplateFactory(organisation=organisation, revisions=2) for _ in range(3)]
        self.pipelines: list[Pipeline] = [PipelineFactory(organisation=organisation) for _ in range(3)]

    def blow(self, dice: random.Random) -> None:
        changes = [self.assign, self.assign, self.update, self.update, self.remove, self.around, self.shape]
        with suppress(Refused):  # a rule may say no; what must not happen is a deadlock or a fault
            dice.choice(changes)(dice)

    def assign(self, dice: random.Random) -> None:
        template = dice.choice(self.templates)
        revision = dice.choice(list(template.revisions.all()))
        pipeline = dice.choice(self.pipelines)
        assign_pin(actor=self.actor, pipeline_id=pipeline.pk, template_id=template.pk, revision_id=revision.pk)

    def update(self, dice: random.Random) -> None:
        for pin in self.some_pins(dice):
            revision = dice.choice(list(pin.template.revisions.all()))
            update_pin(
                actor=self.actor,
                pipeline_id=pin.pipeline_id,
                pin_id=pin.pk,
                revision_id=revision.pk,
                enabled=dice.random() < 0.5,
            )

    def remove(self, dice: random.Random) -> None:
        for pin in self.some_pins(dice):
            remove_pin(actor=self.actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk)

    def around(self, dice: random.Random) -> None:
        template = dice.choice(self.templates)
        if dice.random() < 0.3:
            create_revision(actor=self.actor, template_id=template.pk, config=CONFIGS["meta_capi"])
        elif dice.random() < 0.5:
            status = dice.choice([Status.ACTIVE, Status.DEPRECATED, Status.RETIRED])
            set_status(actor=self.actor, template_id=template.pk, revision="1", status=status)
        else:
            update_template(actor=self.actor, template_id=template.pk, archived=dice.random() < 0.3)

    def shape(self, dice: random.Random) -> None:
        pipeline = dice.choice(self.pipelines)
        values = wishes({key: dice.choice(["1", "2", None]) for key in dice.sample(["a", "b", "c"], 2)})
        if dice.random() < 0.5:
            change_parameters(actor=self.actor, pipeline_id=pipeline.pk, wishes=values)
        elif dice.random() < 0.8:
            fields = {"enabled": dice.random() < 0.5}
            labels = {"a": str(dice.randrange(3))}
            update_pipeline(actor=self.actor, pipeline_id=pipeline.pk, fields=fields, labels=labels, parameters=values)
        else:
            made = create_pipeline(actor=self.actor, name="Passing by", parameters=wishes(a="1"))
            delete_pipeline(actor=self.actor, pipeline_id=made.pk)

    def some_pins(self, dice: random.Random) -> list[Pin]:
        pins = list(Pin.objects.select_related("template").order_by("pk"))
        return [dice.choice(pins)] if pins else []


@pytest.mark.parametrize("seed", range(2))
def test_a_storm_of_changes_of_every_kind_ends_without_a_deadlock(
    committed_db: str, organisation: Organisation, seed: int
) -> None:
    storm = Storm(organisation, seed)

    def thread(number: int) -> Callable[[], None]:
        dice = random.Random(1000 * seed + number)  # noqa: S311  # replayed, not secret

        def run() -> None:
            for _ in range(25):
                storm.blow(dice)

        return run

    together(*map(thread, range(8)))

    assert head(organisation.pk)[1] > 50
    assert_consistent(organisation)


@contextmanager
def slow_commits(monkeypatch: pytest.MonkeyPatch, dice: random.Random) -> Iterator[None]:
    """Writers sleep inside their transactions, before and after they have taken their version."""

    @contextmanager
    def dawdle() -> Iterator[None]:
        time.sleep(dice.random() / 50)
        with statements.together():
            yield
        time.sleep(dice.random() / 50)

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.versions.together", dawdle)
        yield


def test_a_reader_sees_versions_in_the_order_of_commits_without_a_gap_while_writers_dawdle(
    committed_db: str, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor, dice = system(organisation), random.Random(7)  # noqa: S311  # replayed, not secret
    pipelines = [PipelineFactory(organisation=organisation) for _ in range(6)]
    first, done, seen = head(organisation.pk)[1], Event(), []

    def write(pipeline: Any) -> Callable[[], None]:
        def run() -> None:
            for number in range(8):
                change_parameters(actor=actor, pipeline_id=pipeline.pk, wishes=wishes(a=str(number)))

        return run

    def write_all() -> None:
        try:
            together(*map(write, pipelines))
        finally:
            done.set()

    def poll() -> None:
        while not done.is_set():
            newest = ConfigurationHead.objects.get(pk=organisation.pk).number
            told = ConfigurationVersion.objects.filter(organisation=organisation, number__lte=newest)
            lines = HistoryEntry.objects.filter(version__organisation=organisation, version__number__lte=newest)
            seen.append((newest, told.count(), lines.values("version").distinct().count()))

    with slow_commits(monkeypatch, dice):
        together(write_all, poll, poll)

    assert head(organisation.pk)[1] == first + 48
    assert len({newest for newest, _, _ in seen}) > 10
    # Whoever has seen version N sees all N versions with their lines: none commits later under a smaller number.
    assert [line for line in seen if len(set(line)) > 1] == []
    moments = list(ConfigurationVersion.objects.order_by("number").values_list("created_at", flat=True))
    assert moments == sorted(moments)


def test_one_organisation_does_not_wait_for_another(
    committed_db: str, organisation: Organisation, other_organisation: Organisation
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, whoever it is.")
    pipelines = [PipelineFactory(organisation=one) for one in (organisation, other_organisation)]
    holding, finished = Event(), Event()

    def hold() -> bool:
        with transaction.atomic():
            change_parameters(actor=system(organisation), pipeline_id=pipelines[0].pk, wishes=wishes(a="1"))
            holding.set()
            return finished.wait(timeout=20)

    def pass_by() -> None:
        holding.wait(timeout=20)
        change_parameters(actor=system(other_organisation), pipeline_id=pipelines[1].pk, wishes=wishes(a="1"))
        finished.set()

    assert together(hold, pass_by) == [True, None]


def test_templates_made_beside_pins_do_not_disturb_them(committed_db: str, organisation: Organisation) -> None:
    actor, pin = system(organisation), PinFactory(organisation=organisation)

    def toggle() -> None:
        for number in range(6):
            update_pin(actor=actor, pipeline_id=pin.pipeline_id, pin_id=pin.pk, enabled=number % 2 == 1)

    def make() -> None:
        for number in range(6):
            template = create_template(actor=actor, name=f"Beside {number}", vendor="meta_capi")
            create_revision(actor=actor, template_id=template.pk, config=CONFIGS["meta_capi"])

    together(toggle, make)
    assert Pin.objects.get().row_version == 7
    assert_consistent(organisation)
