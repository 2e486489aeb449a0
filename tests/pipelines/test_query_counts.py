"""How many SQL statements a request takes, and that it is the same number however much there is."""

from collections.abc import Callable

import pytest

from accounts.models import Organisation
from integrations.models import Template
from pipelines.configs import config_at, current_config
from pipelines.models import Pipeline
from pipelines.pins import update_pin
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes
from tests.pipelines.traces import version_of
from tests.queries import Queries, assert_same_queries, count_queries

GA4 = {"measurement_id": "{{pipeline_param.ga4}}", "api_secret": "s"}


def reading(api: Api, path: str) -> Queries:
    with count_queries() as queries:
        assert api.get(path).status_code == 200
    return queries


def busy_pipeline(organisation: Organisation, size: int) -> Pipeline:
    """A pipeline with so many pins, parameters, labels and changes."""
    values = wishes({f"k{number}": "1" for number in range(size)}) | wishes(secret=True, hidden="s")
    labels = {f"l{number}": "x" for number in range(size)}
    pipeline: Pipeline = PipelineFactory(organisation=organisation, parameters=values, labels=labels)
    for number in range(size):
        pin = PinFactory(organisation=organisation, pipeline=pipeline)
        update_pin(actor=system(organisation), pipeline_id=pipeline.pk, pin_id=pin.pk, enabled=number % 2 == 0)
    return pipeline


@pytest.mark.parametrize(("size", "statements"), [(0, 3), (1, 2), (30, 2)])  # without pins: is there a pipeline?
def test_listing_the_pins_of_a_pipeline_takes_two_statements(
    viewer: Api, organisation: Organisation, size: int, statements: int
) -> None:
    pipeline = busy_pipeline(organisation, size)
    queries = reading(viewer, f"pipelines/{pipeline.pk}/integrations")
    assert (len(queries), queries.transaction_control) == (statements, []), str(queries)


@pytest.mark.parametrize("tail", ["", "/history", "/config", "/config?version=3", "/integrations"])
def test_reading_a_pipeline_takes_the_same_statements_at_any_size(
    viewer: Api, organisation: Organisation, tail: str
) -> None:
    few, many = (reading(viewer, f"pipelines/{busy_pipeline(organisation, size).pk}{tail}") for size in (2, 20))
    assert_same_queries(few, many)


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("pipelines", 4),
        ("pipelines?label=l0:x", 4),
        ("pipelines?q=pipeline&type=web&enabled=true", 4),
        ("pipeline-integrations", 2),
        ("pipeline-integrations?label=l0:x&outdated=false&enabled=true&state=ok&vendor=meta_capi", 2),
    ],
)
def test_every_list_takes_the_same_statements_at_any_size(
    viewer: Api, organisation: Organisation, path: str, statements: int
) -> None:
    busy_pipeline(organisation, 2)
    few = reading(viewer, path)
    for _ in range(10):
        busy_pipeline(organisation, 3)
    many = reading(viewer, path)
    assert_same_queries(few, many)
    assert len(few) == statements, str(few)


def fill(organisation: Organisation, count: int) -> None:
    """So many more pipelines, past the services, for the size alone."""
    Pipeline.objects.bulk_create(
        [Pipeline(organisation=organisation, name=f"P {number}", slug=f"p-{number}") for number in range(count)],
        batch_size=1000,
    )


def same_with_10_and_with_10_000(organisation: Organisation, act: Callable[[], Queries]) -> Queries:
    """The statements of what is done beside ten pipelines, once it has taken as many beside ten thousand."""
    fill(organisation, 10)
    few = act()
    Pipeline.objects.filter(slug__startswith="p-").delete()
    fill(organisation, 10_000)
    assert_same_queries(few, act())
    return few


def assigning(api: Api, organisation: Organisation, template: Template) -> Queries:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4="G-1"))
    body = {"integration_id": template.pk, "revision_id": revision_of(template).pk}
    with count_queries() as queries:
        assert api.post(f"pipelines/{pipeline.pk}/integrations", body).status_code == 201
    return queries


def test_creating_a_pin_takes_the_same_few_statements_with_10_and_with_10_000_pipelines(
    editor: Api, organisation: Organisation, database_kind: str
) -> None:
    template = TemplateFactory(organisation=organisation, vendor="ga4", config=GA4)
    few = same_with_10_and_with_10_000(organisation, lambda: assigning(editor, organisation, template))
    statements = 6 if database_kind == "postgresql" else 10  # PostgreSQL takes the last five as one
    assert (len(few), len(few.transaction_control)) == (statements, 2), str(few)  # the two are BEGIN and COMMIT


def moving(api: Api, organisation: Organisation, template: Template) -> Queries:
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(ga4="G-1"))
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1)
    body = {"revision_id": revision_of(template, 2).pk}
    with count_queries() as queries:
        assert api.patch(f"pipelines/{pipeline.pk}/integrations/{pin.pk}", body).status_code == 200
    return queries


def test_moving_a_pin_takes_the_same_few_statements_with_10_and_with_10_000_pipelines(
    editor: Api, organisation: Organisation, database_kind: str
) -> None:
    template = TemplateFactory(organisation=organisation, vendor="ga4", config=GA4, revisions=2)
    few = same_with_10_and_with_10_000(organisation, lambda: moving(editor, organisation, template))
    statements = 5 if database_kind == "postgresql" else 10  # PostgreSQL takes the last six as one
    assert (len(few), len(few.transaction_control)) == (statements, 2), str(few)


def test_creating_a_pipeline_takes_the_same_statements_with_10_000_pipelines(
    editor: Api, organisation: Organisation
) -> None:
    def creating() -> Queries:
        with count_queries() as queries:
            body = {"name": "P", "labels": {"a": "1"}, "parameters": {"a": "1", "b": "2"}}
            assert editor.post("pipelines", body).status_code == 201
        return queries

    fill(organisation, 10)
    few = creating()
    Pipeline.objects.filter(slug__startswith="p-").delete()
    fill(organisation, 10_000)
    assert_same_queries(few, creating())


def test_what_runs_is_read_in_five_statements_and_what_ran_in_three(organisation: Organisation) -> None:
    for size in (2, 12):
        pipeline = busy_pipeline(organisation, size)
        number = version_of(organisation)
        with count_queries() as now:
            current_config(pipeline)
        with count_queries() as then:
            config_at(pipeline, number)
        assert (len(now), len(then)) == (5, 3), f"{now}\n{then}"
