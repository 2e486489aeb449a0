"""Moving every sealed value to a new key: online, resumable, side by side, and losing nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import IdempotentAnswer, Organisation
from accounts.once import use_up
from integrations.models import Revision, SealedValues
from integrations.revisions import whole_config
from integrations.secrets import Unreadable, seal
from pipelines.models import Parameter, Pipeline
from pipelines.parameters import Wish, change_parameters
from pipelines.preflight import parameter_context, plain_value, plain_values
from pipelines.rotation import SHELVES, rotate, waiting
from tests.clients import Api
from tests.factories import PipelineFactory, TemplateFactory, system
from tests.pipelines.sealed import NEW, OLD, seal_parameters

REVISIONS, PARAMETERS, ANSWERS = SHELVES


@pytest.fixture
def under_old_key(settings: Any) -> None:
    settings.PINION_SECRET_KEYS = {"old": OLD}


@pytest.fixture
def pipeline(organisation: Organisation) -> Pipeline:
    made: Pipeline = PipelineFactory(organisation=organisation)
    return made


def keys_of(column: str, rows: Any) -> set[str]:
    """The ids of the keys that these rows are sealed with."""
    boxes = (getattr(row, column) for row in rows)
    return {(box if isinstance(box, str) else bytes(box).decode()).partition(":")[0] for box in boxes}


def rotated() -> dict[str, list[int]]:
    return {shelf.name: list(rotate(shelf)) for shelf in SHELVES}


def test_every_sealed_value_moves_to_the_new_key_and_says_the_same(
    under_old_key: None, settings: Any, editor: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    TemplateFactory(organisation=organisation, config={"pixel_id": "1", "access_token": "hunter2"}, revisions=3)
    values = seal_parameters(pipeline, 4)
    body = {"name": "Hook", "vendor": "webhook"}
    first = editor.post("integration-templates", body, Idempotency_Key="k")
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}

    assert rotated() == {"secrets of revisions": [3], "secret parameters": [4], "kept answers": [1]}
    assert rotated() == {"secrets of revisions": [], "secret parameters": [], "kept answers": []}

    settings.PINION_SECRET_KEYS = {"new": NEW}
    configs = [whole_config(revision) for revision in Revision.objects.with_config()]
    assert configs == [{"pixel_id": "1", "access_token": "hunter2"}] * 3
    assert plain_values(pipeline.parameters.all()) == values
    again = editor.post("integration-templates", body, Idempotency_Key="k")
    assert (again["Idempotent-Replayed"], again.json()) == ("true", first.json())


def test_what_is_under_the_current_key_is_left_alone(
    under_old_key: None, settings: Any, editor: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    TemplateFactory(organisation=organisation)
    seal_parameters(pipeline, 1)
    editor.post("integration-templates", {"name": "Hook", "vendor": "webhook"}, Idempotency_Key="k")
    before = list(SealedValues.objects.values()), list(Parameter.objects.values())
    answer = bytes(IdempotentAnswer.objects.get().body)
    assert rotated() == {"secrets of revisions": [], "secret parameters": [], "kept answers": []}
    assert (list(SealedValues.objects.values()), list(Parameter.objects.values())) == before
    assert bytes(IdempotentAnswer.objects.get().body) == answer


@pytest.mark.parametrize(("old", "new"), [("OLD", "old"), ("k", "k2"), ("k2", "k"), ("a%c", "a_c"), ("abc", "a_c")])
def test_keys_whose_ids_look_alike_are_told_apart(settings: Any, pipeline: Pipeline, old: str, new: str) -> None:
    settings.PINION_SECRET_KEYS = {old: OLD}
    seal_parameters(pipeline, 2)
    settings.PINION_SECRET_KEYS = {new: NEW, old: OLD}
    assert list(rotate(PARAMETERS)) == [2]
    assert keys_of("sealed", Parameter.objects.all()) == {new}


def test_rows_are_resealed_in_batches(under_old_key: None, settings: Any, pipeline: Pipeline) -> None:
    values = seal_parameters(pipeline, 5)
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    assert list(rotate(PARAMETERS, batch=2)) == [2, 2, 1]
    assert plain_values(pipeline.parameters.all()) == values


def test_a_run_that_is_broken_off_goes_on_from_there(under_old_key: None, settings: Any, pipeline: Pipeline) -> None:
    values = seal_parameters(pipeline, 5)
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    run: Iterator[int] = rotate(PARAMETERS, batch=2)
    assert next(run) == 2
    assert waiting(PARAMETERS).count() == 3
    assert plain_values(pipeline.parameters.all()) == values
    assert list(rotate(PARAMETERS, batch=2)) == [2, 1]


def test_plain_parameters_are_never_touched(under_old_key: None, settings: Any, pipeline: Pipeline) -> None:
    Parameter.objects.create(pipeline=pipeline, key="plain", value="old:looks sealed")
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    assert list(rotate(PARAMETERS)) == []
    assert Parameter.objects.get().value == "old:looks sealed"


def test_a_value_whose_key_is_missing_stops_everything_and_changes_nothing_more(
    under_old_key: None, settings: Any, pipeline: Pipeline
) -> None:
    seal_parameters(pipeline, 3)
    settings.PINION_SECRET_KEYS = {"lost": b"l" * 32}
    context = parameter_context(pipeline.pk, "k001")
    Parameter.objects.filter(key="k001").update(sealed=seal("value", context=context))
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    before = list(Parameter.objects.order_by("key").values_list("sealed", flat=True))

    with pytest.raises(Unreadable, match="sealed with the key 'lost', which is not in PINION_SECRET_KEYS"):
        list(rotate(PARAMETERS, batch=3))
    assert list(Parameter.objects.order_by("key").values_list("sealed", flat=True)) == before

    with pytest.raises(Unreadable):
        list(rotate(PARAMETERS, batch=1))
    after = list(Parameter.objects.order_by("key").values_list("sealed", flat=True))
    assert [one.partition(":")[0] for one in after] == ["new", "lost", "old"]
    assert after[1:] == before[1:]


def test_side_by_side_each_value_is_resealed_once(
    committed_db: str, under_old_key: None, settings: Any, pipeline: Pipeline
) -> None:
    values = seal_parameters(pipeline, 60)
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}

    def run(_: int) -> int:
        try:
            return sum(rotate(PARAMETERS, batch=3))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == 60
    assert keys_of("sealed", Parameter.objects.all()) == {"new"}
    assert plain_values(pipeline.parameters.all()) == values


def test_a_row_that_somebody_holds_is_waited_for(
    committed_db: str, under_old_key: None, settings: Any, pipeline: Pipeline
) -> None:
    seal_parameters(pipeline, 3)
    late = seal("written late", context=parameter_context(pipeline.pk, "k001"))
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    held, release = Event(), Event()

    def write_under_the_old_key() -> None:
        """As a process does that was not restarted yet."""
        try:
            with transaction.atomic():
                Parameter.objects.filter(key="k001").update(sealed=late)
                held.set()
                release.wait(timeout=1)
        finally:
            connection.close()

    writer = Thread(target=write_under_the_old_key)
    writer.start()
    assert held.wait(timeout=10)
    assert sum(rotate(PARAMETERS)) == 3
    writer.join()
    assert keys_of("sealed", Parameter.objects.all()) == {"new"}
    assert plain_value(Parameter.objects.get(key="k001")) == "written late"


def test_what_is_written_meanwhile_is_not_lost(
    committed_db: str, under_old_key: None, settings: Any, organisation: Organisation, pipeline: Pipeline
) -> None:
    values = seal_parameters(pipeline, 40)
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    actor = system(organisation)
    rotating = Event()

    def write() -> dict[str, str]:
        rotating.wait(timeout=10)
        written = {}
        try:
            for number, key in enumerate([*values, "added"]):
                written[key] = f"newer {number}"
                wish = Wish(written[key], secret=True)
                change_parameters(actor=actor, pipeline_id=pipeline.pk, wishes={key: wish})
            TemplateFactory(organisation=organisation)
        finally:
            connection.close()
        return written

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        for _ in rotate(PARAMETERS, batch=1):
            rotating.set()
        written = writer.result()
    assert sum(rotate(PARAMETERS)) + sum(rotate(REVISIONS)) == 0
    assert keys_of("sealed", Parameter.objects.all()) == {"new"}
    assert keys_of("box", SealedValues.objects.all()) == {"new"}
    assert plain_values(pipeline.parameters.all()) == written
    assert whole_config(Revision.objects.with_config().get())["access_token"] == "EAAB-secret"


def test_the_key_of_a_form_that_was_sent_holds_no_secret_and_stands_in_no_way(
    under_old_key: None, settings: Any, organisation: Organisation
) -> None:
    use_up(actor=system(organisation), key="form", said="")
    settings.PINION_SECRET_KEYS = {"new": NEW, "old": OLD}
    assert rotated() == {"secrets of revisions": [], "secret parameters": [], "kept answers": []}
