"""Many at once: names stay unique, numbers stay without a gap, and nobody's change is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection

from accounts.errors import Conflict, Refused
from accounts.models import AuditEntry, Organisation
from integrations.models import Revision, Template
from integrations.revisions import create_revision, install, set_status
from integrations.templates import create_template, delete_template, update_template
from tests.factories import CONFIGS, TemplateFactory, revision_of, system

AT_ONCE = 8


def together(act: Callable[[int], Any], times: int = AT_ONCE) -> list[Any]:
    """What each of so many threads got, or was refused with, when all set out at the same moment."""
    start = Barrier(times)

    def run(number: int) -> Any:
        try:
            start.wait(timeout=30)
            return act(number)
        except Refused as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def test_revisions_created_side_by_side_are_numbered_without_a_gap(
    committed_db: str, organisation: Organisation
) -> None:
    template = TemplateFactory(organisation=organisation, revisions=0)
    actor = system(organisation)

    def append(number: int) -> list[int]:
        return [
            create_revision(actor=actor, template_id=template.pk, config=CONFIGS["meta_capi"]).revision.number
            for _ in range(5)
        ]

    taken = together(append)

    assert sorted(number for numbers in taken for number in numbers) == list(range(1, 41))
    assert list(Revision.objects.order_by("number").values_list("number", flat=True)) == list(range(1, 41))
    template.refresh_from_db()
    assert (template.latest_number, template.row_version) == (40, 41)


def test_a_refused_revision_leaves_no_gap_among_others(committed_db: str, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=0)
    actor = system(organisation)

    def append(number: int) -> Any:
        config = CONFIGS["meta_capi"] if number % 2 else {}
        return create_revision(actor=actor, template_id=template.pk, config=config).revision.number

    made = [answer for answer in together(append) if isinstance(answer, int)]
    assert sorted(made) == [1, 2, 3, 4]


def test_of_many_who_take_a_name_at_once_one_has_it_and_all_others_are_told_so(
    committed_db: str, organisation: Organisation
) -> None:
    actor = system(organisation)

    def take(number: int) -> Any:
        if number % 2:
            return create_template(actor=actor, name="Meta", vendor="ga4")
        return install(actor=actor, vendor="webhook", name="Meta", config=CONFIGS["webhook"])

    answers = together(take)

    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert len(refused) == AT_ONCE - 1
    assert {refusal.code for refusal in refused} == {"NAME_TAKEN"}
    assert [refusal.details[0].field for refusal in refused] == ["name"] * len(refused)
    assert Template.objects.get().name == "Meta"
    assert AuditEntry.objects.filter(action="template.created").count() == 1


def test_of_many_who_rename_to_one_name_at_once_one_has_it(committed_db: str, organisation: Organisation) -> None:
    actor = system(organisation)
    made = [TemplateFactory(organisation=organisation, revisions=0) for _ in range(AT_ONCE)]
    answers = together(lambda number: update_template(actor=actor, template_id=made[number].pk, name="Meta"))
    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["NAME_TAKEN"] * (AT_ONCE - 1)
    assert Template.objects.filter(name="Meta").count() == 1


def test_of_many_who_saw_the_same_state_one_changes_it(committed_db: str, organisation: Organisation) -> None:
    actor = system(organisation)
    template = TemplateFactory(organisation=organisation)
    answers = together(
        lambda number: update_template(
            actor=actor, template_id=template.pk, description=f"by {number}", expected=f'"{template.tag}"'
        )
    )
    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["PRECONDITION_FAILED"] * 7
    revision = revision_of(template)
    answers = together(
        lambda number: set_status(
            actor=actor,
            template_id=template.pk,
            revision=revision.pk,
            status="retired",
            reason=f"by {number}",
            expected='"1"',
        )
    )
    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["PRECONDITION_FAILED"] * 7


def test_a_template_that_is_deleted_meanwhile_gets_no_revision(committed_db: str, organisation: Organisation) -> None:
    actor = system(organisation)
    template = TemplateFactory(organisation=organisation, revisions=0)

    def act(number: int) -> Any:
        if number == 0:
            return delete_template(actor=actor, template_id=template.pk)
        return create_revision(actor=actor, template_id=template.pk, config=CONFIGS["meta_capi"]).revision.number

    answers = together(act)
    template.refresh_from_db()
    assert template.deleted_at is not None
    made = [answer for answer in answers if isinstance(answer, int)]
    assert sorted(made) == list(range(1, len(made) + 1))
    assert {answer.code for answer in answers if isinstance(answer, Refused)} <= {"NOT_FOUND"}
    assert Revision.objects.count() == len(made)
