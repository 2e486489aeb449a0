"""What the database itself refuses, tried with raw SQL on whichever database the tests run on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import ApiToken, Organisation
from accounts.roles import Role
from integrations.templates import delete_template
from pipelines.models import ConfigurationHead, HistoryEntry, Pin, Pipeline, TokenPipeline
from pipelines.registry import delete_pipeline
from pipelines.tokens import issue_limited_token
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes
from tests.pipelines.traces import kept

APPEND_ONLY = {
    "pipelines_historyentry": "History is append-only.",
    "pipelines_configurationversion": "Configuration versions are append-only.",
}


@dataclass(frozen=True)
class Stage:
    """A pin with a parameter, a secret and a label on its pipeline; and a pin of another organisation."""

    pin: Pin
    beside: Any
    foreign: Pin
    token: ApiToken


@pytest.fixture
def stage(organisation: Organisation, other_organisation: Organisation) -> Stage:
    parameters = wishes(a="1") | wishes(secret=True, b="2")
    pipeline = PipelineFactory(organisation=organisation, parameters=parameters, labels={"team": "a"}, slug="first")
    beside = PipelineFactory(organisation=organisation, slug="second")
    template = TemplateFactory(organisation=organisation, revisions=2)
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1)
    token, _ = issue_limited_token(
        actor=system(organisation), name="edge", scope=Role.PROCESSOR, pipelines=[pipeline.pk]
    )
    return Stage(pin, beside, PinFactory(organisation=other_organisation), token)


def assert_refused(sql: str, values: list[Any], message: str) -> None:
    before = kept()
    with pytest.raises(DatabaseError, match=message), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    assert kept() == before


def insert_copy(row: Any, **changes: Any) -> tuple[str, list[Any]]:
    """The statement that adds this row once more, with these columns changed and, where numbered, a new number."""
    numbered = row._meta.pk.get_internal_type() == "BigAutoField"
    columns = {field.column: getattr(row, field.attname) for field in row._meta.concrete_fields} | changes
    if numbered:
        columns.pop("id")
    marks = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {row._meta.db_table} ({', '.join(columns)}) VALUES ({marks})", list(columns.values())


def says(constraint: str, columns: str) -> str:
    """A unique constraint by its name or, on SQLite, by its columns."""
    return constraint if connection.vendor == "postgresql" else f"UNIQUE constraint failed: {columns}"


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_has_happened_is_neither_changed_nor_deleted(stage: Stage, table: str) -> None:
    assert_refused(f"UPDATE {table} SET id = id", [], APPEND_ONLY[table])
    assert_refused(f"DELETE FROM {table}", [], APPEND_ONLY[table])
    if connection.vendor == "postgresql":
        connection.check_constraints()  # those still to be checked would refuse the TRUNCATE before the trigger does
        assert_refused(f"TRUNCATE {table} CASCADE", [], "append-only")


def test_the_revision_of_a_pin_belongs_to_its_template(organisation: Organisation, stage: Stage) -> None:
    other = revision_of(TemplateFactory(organisation=organisation)).pk
    refused = "pin_revision_of_template" if connection.vendor == "postgresql" else "The revision of a pin belongs"
    assert_refused("UPDATE pipelines_pin SET revision_id = %s WHERE id = %s", [other, stage.pin.pk], refused)
    assert_refused(
        *insert_copy(stage.pin, id="pi_new", pipeline_id=stage.beside.pk, revision_id=other), message=refused
    )


@pytest.mark.parametrize(
    ("of", "constraint"), [("template", "pin_template_of_organisation"), ("pipeline", "pin_pipeline_of_organisation")]
)
def test_a_pin_stays_within_its_organisation(stage: Stage, of: str, constraint: str) -> None:
    refused = constraint if connection.vendor == "postgresql" else "The revision of a pin belongs"
    changes = {"pipeline_id": stage.beside.pk}
    if of == "template":
        changes = {"template_id": stage.foreign.template_id, "revision_id": stage.foreign.revision_id}
    else:
        changes = {"pipeline_id": stage.foreign.pipeline_id}
    columns = ", ".join(f"{column} = %s" for column in changes)
    sql = f"UPDATE pipelines_pin SET {columns} WHERE id = %s"
    assert_refused(sql, [*changes.values(), stage.pin.pk], refused)
    assert_refused(*insert_copy(stage.pin, id="pi_new", **changes), message=refused)


def test_a_label_stays_within_the_organisation_of_its_pipeline(stage: Stage) -> None:
    refused = "label_pipeline_of_organisation" if connection.vendor == "postgresql" else "A label belongs"
    sql = "UPDATE pipelines_label SET organisation_id = %s"
    assert_refused(sql, [stage.foreign.organisation_id], refused)
    label = stage.pin.pipeline.labels.get()
    assert_refused(*insert_copy(label, key="new", organisation_id=stage.foreign.organisation_id), message=refused)


def test_nothing_is_pinned_on_what_has_been_deleted(organisation: Organisation, stage: Stage) -> None:
    actor = system(organisation)
    gone = TemplateFactory(organisation=organisation)
    revision = revision_of(gone)
    delete_template(actor=actor, template_id=gone.pk)
    delete_pipeline(actor=actor, pipeline_id=stage.beside.pk)
    refused = "Nothing is pinned on a pipeline or to a template that has been deleted."
    assert_refused(*insert_copy(stage.pin, id="pi_new", pipeline_id=stage.beside.pk), message=refused)
    assert_refused(*insert_copy(stage.pin, id="pi_new", template_id=gone.pk, revision_id=revision.pk), message=refused)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("integrations_template", "A template that pipelines use cannot be deleted."),
        ("pipelines_pipeline", "A pipeline that has pins cannot be deleted."),
    ],
)
def test_what_a_pin_uses_cannot_be_deleted(stage: Stage, table: str, message: str) -> None:
    key = stage.pin.template_id if table == "integrations_template" else stage.pin.pipeline_id
    assert_refused(f"UPDATE {table} SET deleted_at = created_at WHERE id = %s", [key], message)


@pytest.mark.parametrize(
    "change", ["number = number + 2", "number = number", "number = 0", "changed_at = '2001-01-01'"]
)
def test_the_version_counts_up_by_one_and_never_back_in_time(stage: Stage, change: str) -> None:
    step = "" if "number" in change else ", number = number + 1"
    assert_refused(
        f"UPDATE pipelines_configurationhead SET {change}{step}", [], "Within an epoch the configuration version grows"
    )


def test_a_new_epoch_may_begin_anywhere(stage: Stage) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pipelines_configurationhead SET epoch = 'ep_new', number = 100")
    assert set(ConfigurationHead.objects.values_list("number", flat=True)) == {100}


def test_a_secret_parameter_never_becomes_a_plain_one(stage: Stage) -> None:
    plain = "UPDATE pipelines_parameter SET secret = false, sealed = '', value = 'x' WHERE key = 'b'"
    assert_refused(plain, [], "A secret parameter never becomes a plain one.")


def test_a_pipeline_keeps_its_organisation_and_its_key(stage: Stage) -> None:
    message = "A pipeline never changes its organisation or its key."
    sql = "UPDATE pipelines_pipeline SET {} = %s WHERE id = %s"
    assert_refused(sql.format("pipeline_key"), ["pk_new", stage.beside.pk], message)
    assert_refused(sql.format("organisation_id"), [stage.foreign.organisation_id, stage.beside.pk], message)


TWICE: dict[str, tuple[Callable[[Stage], Any], dict[str, str], str]] = {
    "pipeline_slug_unique_in_organisation": (
        lambda stage: stage.beside,
        {"id": "pip_new", "pipeline_key": "pk_new"},
        "pipelines_pipeline.organisation_id, pipelines_pipeline.slug",
    ),
    "pipeline_key": (
        lambda stage: stage.beside,
        {"id": "pip_new", "slug": "third"},
        "pipelines_pipeline.pipeline_key",
    ),
    "one_pin_per_template_and_pipeline": (
        lambda stage: stage.pin,
        {"id": "pi_new"},
        "pipelines_pin.pipeline_id, pipelines_pin.template_id",
    ),
    "one_value_per_parameter": (
        lambda stage: stage.pin.pipeline.parameters.get(key="a"),
        {},
        "pipelines_parameter.pipeline_id, pipelines_parameter.key",
    ),
    "one_value_per_label": (
        lambda stage: stage.pin.pipeline.labels.get(),
        {"value": "b"},
        "pipelines_label.pipeline_id, pipelines_label.key",
    ),
    "version_number_unique_in_organisation": (
        lambda stage: stage.beside.history.get().version,
        {"id": "ver_new"},
        "pipelines_configurationversion.organisation_id, pipelines_configurationversion.number",
    ),
    "token_names_a_pipeline_once": (
        lambda stage: TokenPipeline.objects.get(token=stage.token),
        {},
        "pipelines_tokenpipeline.token_id, pipelines_tokenpipeline.pipeline_id",
    ),
}


@pytest.mark.parametrize("constraint", TWICE)
def test_what_is_there_once_is_not_there_twice(stage: Stage, constraint: str) -> None:
    row, changes, columns = TWICE[constraint]
    assert_refused(*insert_copy(row(stage), **changes), message=says(constraint, columns))


def test_a_deleted_pipeline_does_not_hold_its_slug(organisation: Organisation, stage: Stage) -> None:
    delete_pipeline(actor=system(organisation), pipeline_id=stage.beside.pk)
    with connection.cursor() as cursor:
        cursor.execute(*insert_copy(stage.beside, id="pip_new", pipeline_key="pk_new", deleted_at=None))
    assert Pipeline.objects.in_organisation(organisation.pk).filter(slug="second").count() == 1


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE pipelines_pipeline SET name = ''", "pipeline_has_a_name"),
        ("UPDATE pipelines_pipeline SET type = 'mail'", "pipeline_type_known"),
        ("UPDATE pipelines_label SET key = ''", "label_has_a_key"),
        ("UPDATE pipelines_parameter SET value = 'x' WHERE key = 'b'", "secret_parameter_is_sealed"),
        ("UPDATE pipelines_parameter SET sealed = '' WHERE key = 'b'", "secret_parameter_is_sealed"),
        ("UPDATE pipelines_parameter SET sealed = 'x' WHERE key = 'a'", "secret_parameter_is_sealed"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(stage: Stage, sql: str, constraint: str) -> None:
    assert_refused(sql, [], constraint)


def test_history_is_about_a_pin_a_parameter_or_a_pipeline(stage: Stage) -> None:
    line = HistoryEntry.objects.all()[0]
    assert_refused(*insert_copy(line, subject="weather"), message="history_subject_known")


@pytest.mark.parametrize("table", ["pipelines_pipeline", "integrations_revision", "accounts_organisation"])
def test_no_row_that_history_names_can_be_deleted(stage: Stage, table: str) -> None:
    before = kept()
    with pytest.raises(DatabaseError, match=r"(?i)foreign key|never changes"):
        delete_and_check(table)
    assert kept() == before


@transaction.atomic
def delete_and_check(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")
    connection.check_constraints()  # as the commit would
