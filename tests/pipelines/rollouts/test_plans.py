"""Planning: what is said of each pipeline, and that nothing is applied but what was shown."""

import pytest

from accounts.errors import Conflict, Invalid, NotFound
from accounts.models import AuditEntry, Organisation
from integrations.models import Status
from integrations.revisions import set_status
from integrations.templates import update_template
from pipelines.models import Pin, Rollout, RolloutTarget
from pipelines.parameters import change_parameters
from pipelines.pins import remove_pin
from pipelines.rollouts.driving import advance
from pipelines.rollouts.plans import plan_counts, plan_rollout
from pipelines.rollouts.progress import paths_of
from pipelines.rollouts.selection import Selection
from tests.factories import PipelineFactory, TemplateFactory, system, wishes
from tests.pipelines.rollouts.fleets import GA4, fleet_of, in_waves, outcomes
from tests.pipelines.traces import kept


def test_a_plan_says_of_every_pipeline_what_would_happen_to_it(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation)
    ready = wishes(ga4="G-1")
    fleet.add(name="Moves", parameters=ready)
    fleet.add(name="There", parameters=ready, number=2)
    fleet.add(name="Off", enabled=False)
    fleet.add(name="Excluded", parameters=ready)
    asleep = fleet.add(name="Asleep", parameters=ready)
    asleep.pipeline.enabled = False
    asleep.pipeline.save()

    rollout = fleet.plan(Selection(exclude=(fleet.pins[3].pipeline_id,)))

    assert outcomes(rollout) == {
        "Moves": ("moves", []),
        "There": ("already_there", []),
        "Off": ("skipped", ["disabled"]),
        "Excluded": ("skipped", ["excluded"]),
        "Asleep": ("blocked", ["disabled_pipeline"]),
    }
    assert plan_counts(rollout) == {"already_there": 1, "blocked": 1, "moves": 1, "skipped": 2}
    assert rollout.state == "planned"


def test_what_is_disabled_comes_along_where_it_is_asked_for_and_needs_no_parameters(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation)
    fleet.add(name="Off", enabled=False)
    asleep = fleet.add(name="Asleep", parameters=wishes(ga4="G-1"))
    asleep.pipeline.enabled = False
    asleep.pipeline.save()
    assert outcomes(fleet.plan(Selection(include_disabled=True))) == {"Off": ("moves", []), "Asleep": ("moves", [])}


def test_every_reason_is_told_of_what_is_blocked(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=1)
    config = {**GA4, "api_secret": "{{pipeline_param.secret_key}}"}
    lacking = fleet.add(name="Lacking", parameters=wishes(ga4="G-1"))
    lacking.pipeline.enabled = False
    lacking.pipeline.save()
    second = fleet.revise(config)
    set_status(
        actor=fleet.actor, template_id=fleet.template.pk, revision=second, status=Status.RETIRED, reason="Leaks."
    )

    rollout = fleet.plan()

    target = RolloutTarget.objects.get(rollout=rollout)
    assert [(reason["code"], reason["message"]) for reason in target.reasons] == [
        ("retired", "Revision 2 is retired: choose another revision. Leaks."),
        ("disabled_pipeline", "The pipeline is disabled: enable it, or take it along with include_disabled."),
        ("missing_parameter", "Set the parameter secret_key on this pipeline: the config needs it."),
    ]
    assert target.reasons[2]["key"] == "secret_key"


def test_an_archived_template_blocks_all(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation)
    update_template(actor=fleet.actor, template_id=fleet.template.pk, archived=True)
    assert list(outcomes(fleet.plan()).values()) == [("blocked", ["archived"])]


def test_what_another_rollout_is_moving_is_blocked(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    fleet.start(fleet.plan(Selection(pipelines=(fleet.pins[0].pipeline_id,))))
    told = outcomes(fleet.plan())
    assert told == {
        fleet.pins[0].pipeline.name: ("blocked", ["in_another_rollout"]),
        fleet.pins[1].pipeline.name: ("moves", []),
    }


def test_a_selection_narrows_by_label_pipeline_revision_and_share(organisation: Organisation) -> None:
    fleet = fleet_of(0, organisation, revisions=3)
    ready = wishes(ga4="G-1")
    both = fleet.add(parameters=ready, labels={"env": "production", "team": "a"})
    fleet.add(parameters=ready, labels={"env": "production", "team": "b"})
    other = fleet.add(parameters=ready, labels={"env": "staging", "team": "a"}, number=2)

    def chosen(**how: object) -> set[str]:
        rollout = fleet.plan(Selection(**how))  # type: ignore[arg-type]  # any part of a selection
        return set(RolloutTarget.objects.filter(rollout=rollout, outcome="moves").values_list("pin_id", flat=True))

    everyone = {pin.pk for pin in fleet.pins}
    assert chosen() == everyone
    assert chosen(labels=(("env", "production"), ("team", "a"))) == {both.pk}
    assert chosen(pipelines=(other.pipeline_id,)) == {other.pk}
    assert chosen(from_revision="2") == {other.pk}
    assert chosen(from_revision=fleet.revision(1).pk) == everyone - {other.pk}
    assert chosen(exclude=(other.pipeline_id,)) == everyone - {other.pk}
    assert len(chosen(percent=34)) == 2  # of three, rounded up
    assert chosen(percent=1) < chosen(percent=66) == chosen(percent=50) < chosen(percent=100) == everyone


def test_what_a_share_leaves_out_is_skipped(organisation: Organisation) -> None:
    fleet = fleet_of(4, organisation)
    assert sorted(outcomes(fleet.plan(Selection(percent=50))).values()) == [
        ("moves", []),
        ("moves", []),
        ("skipped", ["not_sampled"]),
        ("skipped", ["not_sampled"]),
    ]


def test_a_plan_changes_nothing_that_runs_and_is_audited(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    before = kept()
    rollout = fleet.plan()
    after = kept()
    assert {table for table in after if after[table] != before[table]} == {"accounts_auditentry"}
    entry = AuditEntry.objects.get(action="rollout.planned")
    assert (entry.resource_id, entry.resource_label) == (rollout.pk, f"{fleet.template.name} to Revision v2")
    assert entry.changes == {"targets": {"old": None, "new": {"moves": 2}}}


def test_a_plan_shows_what_changes_in_the_configs_with_secrets_masked(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    fleet.revise({**GA4, "api_secret": "rotated-secret"})
    (path,) = paths_of(fleet.plan())
    assert (path.before.number, path.after.number, path.pins) == (1, 3, 2)
    assert [(change.op, change.pointer, change.before, change.after) for change in path.difference.changes] == [
        ("changed", "/api_secret", "***", "***")
    ]


def test_the_hash_is_of_what_the_plan_says(organisation: Organisation) -> None:
    fleet = fleet_of(3, organisation)
    first, again = fleet.plan(), fleet.plan()
    assert first.plan_hash == again.plan_hash
    others = {
        fleet.plan(schedule=in_waves("1,100%")).plan_hash,
        fleet.plan(Selection(percent=50)).plan_hash,
        fleet.plan(revision="1").plan_hash,
    }
    fleet.change(fleet.pins[0], enabled=False)
    others.add(fleet.plan().plan_hash)
    assert len(others | {first.plan_hash}) == 5


def test_latest_is_the_latest_when_it_was_planned(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation)
    rollout = fleet.plan()
    fleet.revise(GA4)
    assert advance(fleet.start(rollout).pk).state == "done"
    assert fleet.numbers() == [2]


@pytest.mark.parametrize(
    ("how", "field", "code"),
    [
        ({"revision": "7"}, "revision", "unknown_revision"),
        ({"revision": "rev_nowhere"}, "revision", "unknown_revision"),
        ({"selection": Selection(from_revision="7")}, "from_revision", "unknown_revision"),
        ({"selection": Selection(percent=0)}, "percent", "out_of_range"),
        ({"selection": Selection(percent=101)}, "percent", "out_of_range"),
        ({"selection": Selection(pipelines=("pip_nowhere",))}, "pipelines/0", "unknown_pipeline"),
        ({"selection": Selection(exclude=("pip_nowhere",))}, "exclude/0", "unknown_pipeline"),
        ({"selection": Selection(pipelines=("pip_x",) * 1001)}, "pipelines", "too_many"),
    ],
)
def test_what_cannot_be_planned_is_refused_and_leaves_nothing(
    organisation: Organisation, how: dict[str, object], field: str, code: str
) -> None:
    fleet = fleet_of(1, organisation)
    before = kept()
    with pytest.raises(Invalid) as caught:
        plan_rollout(actor=fleet.actor, template_id=fleet.template.pk, **how)  # type: ignore[arg-type]  # any argument
    assert (caught.value.details[0].field, caught.value.details[0].code) == (field, code)
    assert kept() == before
    assert Rollout.objects.count() == 0


def test_a_pipeline_named_without_the_template_is_refused_by_name(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation)
    bare = PipelineFactory(organisation=organisation)
    with pytest.raises(Invalid) as caught:
        fleet.plan(Selection(pipelines=(fleet.pins[0].pipeline_id, bare.pk)))
    assert [(detail.field, detail.code) for detail in caught.value.details] == [("pipelines/1", "not_pinned")]
    assert bare.pk in caught.value.message


def test_a_template_without_a_revision_has_none_to_roll_out(organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=0)
    with pytest.raises(Invalid, match="has no revision yet"):
        plan_rollout(actor=system(organisation), template_id=template.pk)


def test_another_organisations_template_and_pipelines_are_not_there(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    fleet, foreign = fleet_of(1, organisation), fleet_of(1, other_organisation)
    with pytest.raises(NotFound):
        plan_rollout(actor=fleet.actor, template_id=foreign.template.pk)
    with pytest.raises(Invalid, match="There is no pipeline"):
        fleet.plan(Selection(pipelines=(foreign.pins[0].pipeline_id,)))


def test_a_plan_is_started_only_as_it_was_shown(organisation: Organisation) -> None:
    """Each kind of change is named, and nothing of it is started."""
    fleet = fleet_of(4, organisation)
    names = [pin.pipeline.name for pin in fleet.pins]
    rollout = fleet.plan()
    fleet.change(fleet.pins[0], enabled=False)
    gone = fleet.pins[1]
    remove_pin(actor=fleet.actor, pipeline_id=gone.pipeline_id, pin_id=gone.pk)
    fleet.add(name="Newcomer", parameters=wishes(ga4="G-1"))
    fleet.add(name="Another", parameters=wishes(ga4="G-1"))
    before = kept()

    with pytest.raises(Conflict) as caught:
        fleet.start(rollout, plan_hash=rollout.plan_hash)

    assert caught.value.code == "PLAN_CHANGED"
    assert {detail.message for detail in caught.value.details} == {
        f"{names[0]}: its integration has been changed.",
        "Newcomer: it belongs to the selection now.",
        "Another: it belongs to the selection now.",
    }
    assert kept() == before
    rollout.refresh_from_db()
    assert rollout.state == "planned"


def test_a_pin_that_is_gone_is_named(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.plan()
    gone = fleet.pins[1]
    remove_pin(actor=fleet.actor, pipeline_id=gone.pipeline_id, pin_id=gone.pk)
    with pytest.raises(Conflict) as caught:
        fleet.start(rollout)
    assert [detail.message for detail in caught.value.details] == [
        f"{gone.pipeline.name}: it does not belong to the selection any more."
    ]


def test_a_parameter_lost_since_the_plan_is_named(organisation: Organisation) -> None:
    """The pin runs a revision that does not need it, so the parameter may go; the revision planned for does."""
    fleet = fleet_of(0, organisation, revisions=1, config={**GA4, "measurement_id": "G-9"})
    pin = fleet.add(name="Loser", parameters=wishes(ga4="G-1"))
    fleet.add(name="Keeper", parameters=wishes(ga4="G-1"))
    fleet.revise(GA4)
    rollout = fleet.plan()
    change_parameters(actor=fleet.actor, pipeline_id=pin.pipeline_id, wishes=wishes({"ga4": None}))

    with pytest.raises(Conflict) as caught:
        fleet.start(rollout)

    assert [(detail.code, detail.message) for detail in caught.value.details] == [
        ("blocked", "Loser: Set the parameter ga4 on this pipeline: the config needs it.")
    ]


def test_what_is_not_blocked_any_more_is_named(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation, revisions=1, config={**GA4, "measurement_id": "G-9"})
    lacking = fleet.add(name="Lacking")
    fleet.revise(GA4)
    rollout = fleet.plan()
    change_parameters(actor=fleet.actor, pipeline_id=lacking.pipeline_id, wishes=wishes(ga4="G-2"))
    with pytest.raises(Conflict) as caught:
        fleet.start(rollout, skip_blocked=True)
    assert [detail.message for detail in caught.value.details] == ["Lacking: nothing stands in its way any more."]


def test_a_change_that_the_plan_does_not_speak_of_does_not_matter(organisation: Organisation) -> None:
    fleet = fleet_of(2, organisation)
    rollout = fleet.plan()
    change_parameters(actor=fleet.actor, pipeline_id=fleet.pins[0].pipeline_id, wishes=wishes(ga4="G-2", other="x"))
    fleet_of(1, organisation)
    assert advance(fleet.start(rollout, plan_hash=rollout.plan_hash).pk).state == "done"


def test_another_plans_hash_is_refused(organisation: Organisation) -> None:
    fleet = fleet_of(1, organisation)
    with pytest.raises(Conflict) as caught:
        fleet.start(fleet.plan(), plan_hash="0" * 64)
    assert caught.value.code == "PLAN_CHANGED"
    assert Pin.objects.get().revision_id == fleet.revision(1).pk
