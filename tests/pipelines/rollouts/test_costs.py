"""What a wave costs, at two sizes."""

from pipelines.rollouts.driving import advance
from tests.factories import OrganisationFactory
from tests.pipelines.rollouts.crowds import build_fleet, standing_of, start
from tests.queries import assert_same_queries, count_queries


def test_a_wave_takes_the_same_statements_for_ten_pins_as_for_ten_thousand(db: None) -> None:
    sizes = (10, 10_000)
    counted = []
    for size in sizes:
        template = build_fleet(OrganisationFactory(), size)[0]
        rollout = start(template, "100%")
        with count_queries() as queries:
            assert advance(rollout.pk).state == "done"
        assert standing_of(template) == {2: size}
        counted.append(queries)
    assert_same_queries(*counted)
