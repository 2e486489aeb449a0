"""Reports of processors: who may send them, what is kept of them, and what of them counts once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as current
from django.utils import timezone

from accounts.models import ApiToken, Organisation
from accounts.roles import Role
from pipelines.feed import reports
from pipelines.models import DeliveryFigure, Pin, Processor, RunningPin
from pipelines.pins import remove_pin
from pipelines.tokens import issue_limited_token
from tests.accounts.threads import side_by_side
from tests.clients import Api
from tests.conftest import Cast, token
from tests.factories import OrganisationFactory, PinFactory, PipelineFactory, TemplateFactory, revision_of, system
from tests.pipelines.feed.reporting import HASH, REPORTS, body, delivered, figures, running, said, send
from tests.pipelines.traces import kept, refusal
from tests.queries import assert_same_queries, count_queries


@pytest.fixture
def pin(organisation: Organisation) -> Pin:
    made: Pin = PinFactory(organisation=organisation)
    return made


def foreign_pin() -> Pin:
    made: Pin = PinFactory(organisation=OrganisationFactory())
    return made


def nothing_was_kept() -> bool:
    return not (Processor.objects.exists() or RunningPin.objects.exists() or DeliveryFigure.objects.exists())


@pytest.mark.parametrize(
    ("person", "expected"),
    {"viewer": 403, "editor": 403, "admin": 403, "stranger": 403, "processor": 200, "nobody": 401}.items(),
)
def test_only_a_processor_reports(cast: Cast, pin: Pin, person: str, expected: int) -> None:
    sent = body(integrations=[said(pin)], deliveries=[delivered(pin, 5)])
    assert cast[person].post(REPORTS, sent).status_code == expected
    assert nothing_was_kept() == (expected != 200)


def test_what_an_instance_runs_and_delivered_is_kept_and_nothing_else_changes(processor: Api, pin: Pin) -> None:
    before = kept()
    answer = send(
        processor,
        started_at="2026-02-25T14:00:00Z",
        integrations=[said(pin, "kept_last_good", refused_hash="b" * 64, reason="No such pixel.")],
        deliveries=[delivered(pin, 120, 3)],
    )
    assert answer == {"status": "accepted", "resend": False, "ignored": []}
    row = RunningPin.objects.select_related("processor").get()
    assert (row.pin_id, row.pipeline_id, row.revision_id) == (pin.pk, pin.pipeline_id, pin.revision_id)
    assert (row.claim, row.config_hash, row.refused_hash) == ("kept_last_good", HASH, "b" * 64)
    assert row.reason == "No such pixel."
    assert (row.processor.instance, row.processor.run, row.processor.sequence) == ("eu-1", "run-1", 1)
    assert figures() == [(pin.pk, pin.revision_id, 120, 3)]
    assert kept() == before  # no audit, no history, no configuration version


def test_what_is_new_replaces_what_was_said_of_the_same_integration_only(
    processor: Api, organisation: Organisation, pin: Pin
) -> None:
    other = PinFactory(organisation=organisation, pipeline=pin.pipeline)
    send(processor, integrations=[said(pin), said(other)])
    send(processor, sequence=2, integrations=[said(pin, "rejected", reason="Refused.")])
    assert sorted(running()) == sorted([("eu-1", pin.pk, "rejected"), ("eu-1", other.pk, "applied")])


def test_what_stopped_is_gone_also_where_its_pin_is(processor: Api, organisation: Organisation, pin: Pin) -> None:
    other = PinFactory(organisation=organisation, pipeline=pin.pipeline)
    send(processor, integrations=[said(pin), said(other)])
    remove_pin(actor=system(organisation), pipeline_id=pin.pipeline_id, pin_id=pin.pk)
    assert send(processor, sequence=2, stopped=[pin.pk, "pi_never"])["ignored"] == []
    assert running() == [("eu-1", other.pk, "applied")]


def test_a_report_that_is_sent_again_counts_once(processor: Api, pin: Pin) -> None:
    sent = {"integrations": [said(pin)], "deliveries": [delivered(pin, 5, 1)]}
    assert send(processor, **sent)["status"] == "accepted"
    assert send(processor, **sent) == {"status": "repeated", "resend": False, "ignored": []}
    assert send(processor, sequence=2, deliveries=[delivered(pin, 2)])["status"] == "accepted"
    assert send(processor, **sent)["status"] == "repeated"  # a proxy held it back meanwhile
    assert figures() == [(pin.pk, pin.revision_id, 7, 1)]


def test_a_repeated_report_is_a_sign_of_life_all_the_same(processor: Api, db: None) -> None:
    send(processor)
    later = timezone.now() + timedelta(seconds=90)
    with time_machine.travel(later, tick=False):
        send(processor)
    assert Processor.objects.get().last_seen_at == later


def test_an_instance_that_starts_anew_starts_from_nothing(processor: Api, organisation: Organisation, pin: Pin) -> None:
    other = PinFactory(organisation=organisation, pipeline=pin.pipeline)
    send(processor, sequence=1, integrations=[said(pin), said(other)])
    assert send(processor, run="run-2", integrations=[said(other)])["resend"] is False
    assert running() == [("eu-1", other.pk, "applied")]


SILENT = current.PROCESSOR_LIVENESS


@pytest.mark.parametrize(
    ("sequence", "run", "later"),
    [(3, "run-1", timedelta()), (2, "run-2", SILENT), (7, "run-2", SILENT)],
    ids=["a gap", "unknown run", "far into another"],
)
def test_where_a_report_is_missing_all_is_asked_for_again_and_nothing_old_believed(
    processor: Api, organisation: Organisation, pin: Pin, sequence: int, run: str, later: timedelta
) -> None:
    other = PinFactory(organisation=organisation, pipeline=pin.pipeline)
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        send(processor, integrations=[said(pin)], deliveries=[delivered(pin, 5)])
    fields = {"run": run, "integrations": [said(other)], "deliveries": [delivered(pin, 2)]}
    with time_machine.travel(now + later, tick=False):
        answer = send(processor, sequence=sequence, **fields)
        assert answer == {"status": "accepted", "resend": True, "ignored": []}
        assert running() == [("eu-1", other.pk, "applied")]
        assert sum(good for _, _, good, _ in figures()) == 7  # what was delivered stays delivered
        # The answer may not have arrived: whoever repeats the report is asked as well.
        assert send(processor, sequence=sequence, **fields) == {"status": "repeated", "resend": True, "ignored": []}
        assert send(processor, sequence=sequence + 1, run=run, integrations=[said(pin)])["resend"] is False
    assert sum(good for _, _, good, _ in figures()) == 7


def test_of_two_runs_of_one_name_the_one_that_began_last_is_heard(processor: Api, pin: Pin) -> None:
    """Else each would undo what the other says, and be asked for everything, for ever."""
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        send(processor, integrations=[said(pin)])
        send(processor, run="run-2", deliveries=[delivered(pin, 1)])
        answer = processor.post(REPORTS, body(sequence=2, integrations=[said(pin)], deliveries=[delivered(pin, 5)]))
        assert refusal(answer) == (409, "SUPERSEDED", [("instance", "superseded")])
        assert (running(), figures()) == ([], [(pin.pk, pin.revision_id, 1, 0)])
        assert send(processor, run="run-2", sequence=2)["resend"] is False
    with time_machine.travel(now + SILENT, tick=False):
        assert send(processor, sequence=2)["resend"] is True  # the other is gone


def test_an_instance_that_is_not_known_here_is_asked_for_everything(processor: Api, pin: Pin) -> None:
    assert send(processor, sequence=12, deliveries=[delivered(pin, 2)])["resend"] is True
    assert figures() == [(pin.pk, pin.revision_id, 2, 0)]


def test_the_same_name_under_another_token_is_another_instance(organisation: Organisation, pin: Pin) -> None:
    for _ in range(2):
        send(Api(token(organisation, Role.PROCESSOR)[1]), integrations=[said(pin)])
    assert Processor.objects.filter(instance="eu-1").count() == 2


def test_what_is_not_there_is_passed_over_and_named_and_the_rest_is_kept(
    processor: Api, organisation: Organisation, pin: Pin
) -> None:
    foreign = foreign_pin()
    of_another_template = {**delivered(pin, 1), "revision_id": foreign.revision_id}
    answer = send(
        processor,
        integrations=[said(pin), said(foreign), {**said(pin), "id": "pi_never"}],
        deliveries=[delivered(foreign, 9), of_another_template, delivered(pin, 4)],
    )
    assert answer == {"status": "accepted", "resend": False, "ignored": [foreign.pk, "pi_never", pin.pk]}
    assert running() == [("eu-1", pin.pk, "applied")]
    assert figures() == [(pin.pk, pin.revision_id, 4, 0)]


def test_a_token_that_is_limited_reports_on_its_pipelines_alone(organisation: Organisation, pin: Pin) -> None:
    other = PinFactory(organisation=organisation)
    _, secret = issue_limited_token(
        actor=system(organisation), name="One", scope=Role.PROCESSOR, pipelines=[pin.pipeline_id]
    )
    answer = send(
        Api(secret), integrations=[said(pin), said(other)], deliveries=[delivered(other, 1), delivered(pin, 2)]
    )
    assert answer["ignored"] == [other.pk]
    assert running() == [("eu-1", pin.pk, "applied")]
    assert figures() == [(pin.pk, pin.revision_id, 2, 0)]


def test_a_revision_that_the_pin_cannot_have_is_kept_as_none(processor: Api, pin: Pin) -> None:
    send(processor, integrations=[{**said(pin), "revision_id": "rev_never"}])
    assert RunningPin.objects.get().revision_id is None


def test_figures_of_one_minute_add_up_and_minutes_stand_apart(processor: Api, pin: Pin) -> None:
    with time_machine.travel("2026-02-25T14:00:59.9Z", tick=False):
        send(processor, deliveries=[delivered(pin, 1, 1), delivered(pin, 2)])
        send(processor, sequence=2, deliveries=[delivered(pin, 4), delivered(pin, 0)])
    with time_machine.travel("2026-02-25T14:01:00Z", tick=False):
        send(processor, sequence=3, deliveries=[delivered(pin, 8)])
    assert figures() == [(pin.pk, pin.revision_id, 7, 1), (pin.pk, pin.revision_id, 8, 0)]


def test_figures_of_two_revisions_stand_apart(processor: Api, organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=2)
    pin = PinFactory(organisation=organisation, template=template)
    older = revision_of(template, 1)
    send(processor, deliveries=[delivered(pin, 1), {**delivered(pin, 2), "revision_id": older.pk}])
    assert figures() == [(pin.pk, older.pk, 2, 0), (pin.pk, pin.revision_id, 1, 0)]


def fits(pin: Pin) -> dict[str, Any]:
    return {"integrations": [said(pin)], "deliveries": [delivered(pin, 1)]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda sent: sent.update(instance=""), "instance"),
        (lambda sent: sent.update(instance="a" * 101), "instance"),
        (lambda sent: sent.update(instance="a\u2028b"), "instance"),
        (lambda sent: sent.update(run="no spaces"), "run"),
        (lambda sent: sent.update(run="r" * 65), "run"),
        (lambda sent: sent.update(sequence=0), "sequence"),
        (lambda sent: sent.update(sequence="1"), "sequence"),
        (lambda sent: sent.update(sequence=True), "sequence"),
        (lambda sent: sent.update(sequence=1.0), "sequence"),
        (lambda sent: sent.update(sequence=2**53), "sequence"),
        (lambda sent: sent.update(started_at="yesterday"), "started_at"),
        (lambda sent: sent.update(stopped=["pi_x"] * 1001), "stopped"),
        (lambda sent: sent.update(integrations=sent["integrations"] * 1001), "integrations"),
        (lambda sent: sent.update(deliveries=sent["deliveries"] * 1001), "deliveries"),
        (lambda sent: sent["integrations"].append(sent["integrations"][0]), "integrations"),
        (lambda sent: sent.update(stopped=[sent["integrations"][0]["id"]]), "integrations"),
        (lambda sent: sent["integrations"][0].update(state="running"), "integrations/0/state"),
        (lambda sent: sent["integrations"][0].update(config_hash="h" * 129), "integrations/0/config_hash"),
        (lambda sent: sent["integrations"][0].update(config_hash=None), "integrations/0/config_hash"),
        (lambda sent: sent["integrations"][0].update(reason="r" * 501), "integrations/0/reason"),
        (lambda sent: sent["integrations"][0].update(reason="a\nb"), "integrations/0/reason"),
        (lambda sent: sent["integrations"][0].update(reason="\x1b[31m"), "integrations/0/reason"),
        (lambda sent: sent["integrations"][0].update(refused_hash="b"), "integrations/0/refused_hash"),
        (lambda sent: sent["deliveries"][0].update(delivered=-1), "deliveries/0/delivered"),
        (lambda sent: sent["deliveries"][0].update(failed=1_000_000_001), "deliveries/0/failed"),
        (lambda sent: sent["deliveries"][0].update(failed="1"), "deliveries/0/failed"),
    ],
)
def test_a_report_that_cannot_be_meant_is_refused_whole_and_names_the_item(
    processor: Api, pin: Pin, change: Callable[[dict[str, Any]], Any], field: str
) -> None:
    sent = body(**fits(pin))
    change(sent)
    answer = processor.post(REPORTS, sent)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, field)
    assert nothing_was_kept()


@pytest.mark.parametrize("where", ["", "integrations", "deliveries"])
def test_a_field_that_does_not_exist_is_refused(processor: Api, pin: Pin, where: str) -> None:
    sent = body(**fits(pin))
    (sent[where][0] if where else sent)["config"] = {}
    answer = processor.post(REPORTS, sent)
    assert (answer.status_code, answer.json()["error"]["details"][0]["code"]) == (400, "unknown_field")
    assert nothing_was_kept()


def test_a_report_with_an_idempotency_key_is_answered_as_the_first_time(processor: Api, pin: Pin) -> None:
    answers = [processor.post(REPORTS, body(**fits(pin)), Idempotency_Key="once") for _ in range(2)]
    assert [answer.json()["status"] for answer in answers] == ["accepted", "accepted"]
    assert [answer.get("Idempotent-Replayed") for answer in answers] == [None, "true"]
    assert figures() == [(pin.pk, pin.revision_id, 1, 0)]


def test_a_dry_run_keeps_nothing(processor: Api, pin: Pin) -> None:
    assert processor.post(f"{REPORTS}?dry_run=true", body(**fits(pin))).json()["status"] == "accepted"
    assert nothing_was_kept()


def test_a_revoked_token_reports_nothing(organisation: Organisation, pin: Pin) -> None:
    held, secret = token(organisation, Role.PROCESSOR)
    ApiToken.objects.filter(pk=held.pk).update(revoked_at=timezone.now())
    assert Api(secret).post(REPORTS, body(**fits(pin))).status_code == 401
    assert nothing_was_kept()


def test_a_token_has_only_so_many_instances(processor: Api, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_INSTANCES", 2)
    for name in ("eu-1", "eu-2", "eu-1"):
        send(processor, instance=name, run=name)
    answer = processor.post(REPORTS, body(instance="eu-3"))
    assert refusal(answer) == (409, "TOO_MANY_INSTANCES", [("instance", "too_many")])
    assert Processor.objects.count() == 2
    with time_machine.travel(timezone.now() + current.REPORT_RETENTION):
        assert send(processor, instance="eu-3")["status"] == "accepted"


def test_instances_past_their_time_go_with_the_next_new_one_whatever_their_token(
    organisation: Organisation, processor: Api, pin: Pin, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    old = Api(token(organisation, Role.PROCESSOR)[1])
    elsewhere = OrganisationFactory()
    with time_machine.travel(now, tick=False):
        for name in ("old-1", "old-2", "old-3"):
            send(old, instance=name, integrations=[said(pin)])
        send(Api(token(elsewhere, Role.PROCESSOR)[1]), instance="of others")
        send(processor, instance="lively", integrations=[said(pin)])

    def names() -> list[str]:
        return sorted(Processor.objects.values_list("instance", flat=True))

    with time_machine.travel(now + current.REPORT_RETENTION, tick=False):
        send(processor, instance="lively", sequence=2)
        assert names() == ["lively", "of others", "old-1", "old-2", "old-3"]
        send(processor, instance="new-1")
        assert names() == ["lively", "new-1", "of others", "old-3"]  # two at a time
        send(processor, instance="new-2")
        assert names() == ["lively", "new-1", "new-2", "of others"]
    assert running() == [("lively", pin.pk, "applied")]


def test_figures_past_their_time_go_with_later_reports(processor: Api, pin: Pin) -> None:
    with time_machine.travel("2026-02-01T00:00:00Z", tick=False):
        send(processor, deliveries=[delivered(pin, 1)])
    with time_machine.travel("2026-02-08T00:00:00Z", tick=False):
        send(processor, sequence=2, deliveries=[delivered(pin, 2)])
        assert len(figures()) == 2
    with time_machine.travel("2026-02-08T00:00:01Z", tick=False):
        send(processor, sequence=3)
    assert figures() == [(pin.pk, pin.revision_id, 2, 0)]


def test_a_report_takes_the_same_statements_however_much_it_holds(processor: Api, organisation: Organisation) -> None:
    counts = []
    for number in (1, 15):
        template = TemplateFactory(organisation=organisation)
        pins = [
            PinFactory(
                organisation=organisation, template=template, pipeline=PipelineFactory(organisation=organisation)
            )
            for _ in range(number)
        ]
        sent = {
            "integrations": [said(pin) for pin in pins],
            "stopped": [f"pi_{place}" for place in range(number)],
            "deliveries": [delivered(pin, 1) for pin in pins],
        }
        send(processor, instance=f"eu-{number}", sequence=1)
        with count_queries() as queries:
            send(processor, instance=f"eu-{number}", sequence=2, **sent)
        counts.append(queries)
    assert_same_queries(*counts)
    assert len(counts[1]) == 9  # one of them reads the token


def test_instances_that_report_at_once_add_up_exactly(committed_db: str) -> None:
    organisation = OrganisationFactory()
    template = TemplateFactory(organisation=organisation)
    pins = [
        PinFactory(organisation=organisation, template=template, pipeline=PipelineFactory(organisation=organisation))
        for _ in range(5)
    ]
    _, secret = token(organisation, Role.PROCESSOR)

    def report(number: int) -> list[str]:
        """Each in an order of its own, which would deadlock if rows were written as they come."""
        mine = pins if number % 2 else pins[::-1]
        fields = {"instance": f"eu-{number}", "deliveries": [delivered(pin, 1, 2) for pin in mine]}
        return [send(Api(secret), sequence=sequence, **fields)["status"] for sequence in range(1, 6)]

    assert side_by_side(4, report) == [["accepted"] * 5] * 4
    totals: dict[str, list[int]] = {}
    for pin_id, _, good, bad in figures():
        totals.setdefault(pin_id, [0, 0])
        totals[pin_id] = [totals[pin_id][0] + good, totals[pin_id][1] + bad]
    assert totals == {pin.pk: [20, 40] for pin in pins}


def test_of_the_same_report_sent_many_times_at_once_one_counts(committed_db: str) -> None:
    organisation = OrganisationFactory()
    pin = PinFactory(organisation=organisation)
    _, secret = token(organisation, Role.PROCESSOR)
    answers = side_by_side(4, lambda _: send(Api(secret), deliveries=[delivered(pin, 3)])["status"])
    assert sorted(answers) == ["accepted", "repeated", "repeated", "repeated"]
    assert figures() == [(pin.pk, pin.revision_id, 3, 0)]
