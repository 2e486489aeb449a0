"""What the database itself refuses, tried with raw SQL, and what model and queryset refuse before it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import Organisation
from integrations.models import DeliveryMode, Revision, RevisionStanding, SealedValues, Template
from tests.factories import TemplateFactory, revision_of, system
from tests.integrations.kept import kept

NEVER = "A revision never changes."
GAP = "Revisions are numbered 1, 2, 3 without a gap."
VENDOR = "The vendor and the organisation of a template never change."
LATEST = "latest_number is the number of the newest revision."
SECRETS = "The secrets of a revision are never deleted or moved."
STANDING = "The status of a revision is never deleted or moved."

ROW = (
    "INSERT INTO integrations_revision (id, template_id, number, config, delivery_mode, change_summary,"
    " parameters_used, created_at, actor_type, actor_id, actor_label, request_id) "
    "SELECT %s, template_id, %s, config, %s, '', parameters_used, created_at, 'system', 'x', 'x', '' "
    "FROM integrations_revision WHERE number = 1"
)


@pytest.fixture
def template(organisation: Organisation) -> Template:
    made: Template = TemplateFactory(organisation=organisation, revisions=2)
    return made


def execute(sql: str, arguments: Sequence[str | int] = ()) -> None:
    connection.check_constraints()  # PostgreSQL truncates no table that still has one to check
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        connection.check_constraints()


def assert_refused(sql: str, *arguments: str | int, because: str) -> None:
    before = kept()
    with pytest.raises(IntegrityError, match=because):
        execute(sql, arguments)
    assert kept() == before


@pytest.mark.parametrize(
    "assignment",
    [
        "config = '{}'",
        "number = 3",
        "number = number",
        "delivery_mode = 'hybrid'",
        "change_summary = 'x'",
        "parameters_used = '[]'",
        "created_at = created_at",
        "actor_label = 'somebody else'",
        "id = 'rev_other'",
    ],
)
def test_no_column_of_a_revision_can_be_updated(template: Template, assignment: str) -> None:
    assert_refused(f"UPDATE integrations_revision SET {assignment}", because=NEVER)


def test_a_revision_cannot_be_deleted(template: Template) -> None:
    assert_refused("DELETE FROM integrations_revision WHERE number = 2", because=NEVER)


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, 1000])
def test_only_the_next_number_can_be_inserted(template: Template, number: int) -> None:
    assert_refused(ROW, "rev_raw", number, "hybrid", because=GAP)


def test_the_next_number_can_be_inserted(template: Template) -> None:
    execute(ROW, ["rev_raw", 3, "hybrid"])
    assert_refused(ROW, "rev_again", 3, "hybrid", because=GAP)
    assert Revision.objects.count() == 3


def test_a_delivery_mode_that_is_none_cannot_be_inserted(template: Template) -> None:
    assert_refused(ROW, "rev_raw", 3, "by_hand", because="revision_delivery_mode_known")


@pytest.mark.parametrize("number", [0, 1, 3])
def test_the_latest_number_is_that_of_the_newest_revision(template: Template, number: int) -> None:
    assert_refused("UPDATE integrations_template SET latest_number = %s", number, because=LATEST)


def test_the_vendor_and_the_organisation_of_a_template_never_change(
    template: Template, other_organisation: Organisation
) -> None:
    assert_refused("UPDATE integrations_template SET vendor = 'ga4'", because=VENDOR)
    assert_refused("UPDATE integrations_template SET organisation_id = %s", other_organisation.pk, because=VENDOR)


@pytest.mark.parametrize("column", ["name", "vendor"])
def test_a_template_has_a_name_and_a_vendor(organisation: Organisation, column: str) -> None:
    facts = {"name": "N", "vendor": "ga4", column: ""}
    before = kept()
    with pytest.raises(IntegrityError, match=f"template_has_a_{column}"), transaction.atomic():
        Template.objects.create(organisation=organisation, **facts)
    assert kept() == before


def test_two_living_templates_of_an_organisation_never_share_a_name(template: Template) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Template.objects.create(organisation=template.organisation, name=template.name, vendor="ga4")
    Template.objects.filter(pk=template.pk).update(deleted_at=timezone.now())
    Template.objects.create(organisation=template.organisation, name=template.name, vendor="ga4")


@pytest.mark.parametrize(
    ("table", "sentence"), [("sealedvalues", SECRETS), ("revisionstanding", STANDING)], ids=["secrets", "status"]
)
def test_what_belongs_to_a_revision_stays_with_it(template: Template, table: str, sentence: str) -> None:
    first, second = revision_of(template, 1).pk, revision_of(template, 2).pk
    assert_refused(f"DELETE FROM integrations_{table}", because=sentence)
    move = f"UPDATE integrations_{table} SET revision_id = %s WHERE revision_id = %s"
    assert_refused(move, first, second, because=sentence)
    assert_refused(move, "rev_none", second, because=sentence)


def test_a_status_is_one_of_three(template: Template) -> None:
    assert_refused("UPDATE integrations_revisionstanding SET status = 'gone'", because="revision_status_known")


@pytest.mark.parametrize("table", ["revision", "revisionstanding", "sealedvalues"])
def test_a_table_cannot_be_emptied_at_once_on_postgresql(template: Template, database_kind: str, table: str) -> None:
    if database_kind == "postgresql":  # SQLite has no TRUNCATE
        assert_refused(f"TRUNCATE integrations_{table} CASCADE", because="never")


@pytest.mark.parametrize("table", ["revision", "template"])
def test_a_row_cannot_be_replaced_on_sqlite(template: Template, database_kind: str, table: str) -> None:
    if database_kind == "sqlite":  # PostgreSQL has no INSERT OR REPLACE
        replace = f"INSERT OR REPLACE INTO integrations_{table} SELECT * FROM integrations_{table}"
        assert_refused(replace, because="A row is never replaced by another|without a gap")


def test_a_template_that_is_pinned_to_revisions_cannot_lose_them(template: Template) -> None:
    before = kept()
    with pytest.raises(IntegrityError):
        execute("DELETE FROM integrations_template")
    assert kept() == before


BY_MODEL: dict[str, Callable[[Revision], Any]] = {
    "save": lambda revision: revision.save(),
    "save one field": lambda revision: revision.save(update_fields=["config"]),
    "delete": lambda revision: revision.delete(),
    "update": lambda revision: Revision.objects.filter(pk=revision.pk).update(number=7),
    "update through the template": lambda revision: revision.template.revisions.update(number=7),
    "bulk update": lambda revision: Revision.objects.bulk_update([revision], ["config"]),
    "delete many": lambda revision: Revision.objects.filter(pk=revision.pk).delete(),
    "update or create": lambda revision: Revision.objects.update_or_create(
        pk=revision.pk, defaults={"change_summary": "other"}
    ),
}


@pytest.mark.parametrize("change", BY_MODEL.values(), ids=BY_MODEL)
def test_model_and_queryset_refuse_to_change_or_delete_a_revision(
    template: Template, change: Callable[[Revision], Any]
) -> None:
    revision = revision_of(template, 1)
    revision.change_summary = "other"
    before = kept()
    sentence = r"A revision (never changes\. Create a new one|is never deleted\. Retire it)"
    with pytest.raises(TypeError, match=sentence), transaction.atomic():
        change(revision)
    assert kept() == before


def test_an_upsert_of_a_revision_is_refused_by_the_database(template: Template) -> None:
    revision = revision_of(template, 1)
    before = kept()
    with pytest.raises(IntegrityError), transaction.atomic():
        Revision.objects.bulk_create(
            [revision], update_conflicts=True, unique_fields=["id"], update_fields=["change_summary"]
        )
    assert kept() == before


def test_the_parts_of_a_revision_cannot_be_deleted_through_their_models(template: Template) -> None:
    before = kept()
    for rows in (SealedValues.objects.all(), RevisionStanding.objects.all()):
        with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
            rows.delete()
    assert kept() == before


def test_revisions_made_in_one_statement_are_numbered_like_all_others(template: Template) -> None:
    facts = Revision.facts(system(template.organisation))
    rows = [
        Revision(template=template, number=number, config={}, delivery_mode=DeliveryMode.HYBRID, **facts)
        for number in (3, 4, 5)
    ]
    with transaction.atomic():
        Revision.objects.bulk_create(rows)
    gap = Revision(template=template, number=7, config={}, **facts)
    with pytest.raises(IntegrityError, match=GAP), transaction.atomic():
        Revision.objects.bulk_create([gap])
    assert list(template.revisions.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4, 5]
