"""Whole stories over the API: what one answer gave is used in the next request, as the links of the description say."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis import checks as known_checks

from config.documentation import OPENAPI
from pipelines.demo import load_demo
from tests.config.servers import serving
from tests.config.test_schema import CHECKED, ENDLESS, EXAMPLES, bearer, each, exactly, real_ids, roll_out

STORIES = 8  # in a round; and so many in all for each example that is asked of a single operation
STEPS = 8
MOST_ROUNDS = 10 * EXAMPLES
OF_STORIES = ("use_after_free", "ensure_resource_availability")
OF_SINGLE_REQUESTS = ("negative_data_rejection",)  # here what was bad about an address is mended before it is sent
SHORTEST = 3  # characters; what is shorter names nothing, and what stands in the demo is asked for instead


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(OPENAPI.read_text())
    return read


@dataclass
class Told:
    """What came of the stories so far: their number, what they made, which of that they used, and which answers were wrong."""

    stories: int = 0
    made: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    untrue: list[str] = field(default_factory=list)


class Story:
    """One request after another, each with what an earlier one gave, or with what the demo holds."""

    url: str
    headers: dict[str, str]
    real: dict[str, list[str]]
    told: Told
    checks: list[Any]

    def setup(self) -> None:
        self.told.stories += 1

    def get_call_kwargs(self, case: Any) -> dict[str, Any]:
        return {"headers": self.headers, "base_url": self.url}

    def before_call(self, case: Any) -> None:
        case.query.pop("dry_run", None)  # what is answered so is not there afterwards
        for name, known in self.real.items():
            if len(str(case.path_parameters.get(name, ""))) < SHORTEST:
                case.path_parameters[name] = known[0]
        self.told.used.update(self.told.made & {str(value) for value in case.path_parameters.values()})

    def validate_response(self, response: Any, case: Any, *args: Any, **kwargs: Any) -> None:
        try:
            case.validate_response(
                response, checks=self.checks, headers=self.headers, transport_kwargs={"base_url": self.url}
            )
        except schemathesis.core.failures.FailureGroup as failures:
            self.told.untrue.append(f"{case.operation.label}: {failures}")
        if response.status_code == 201:
            self.told.made.add(response.json().get("id", ""))


@pytest.mark.parametrize("role", ["editor", "admin token"])
def test_what_was_made_is_there_until_it_is_removed(
    role: str, committed_db: str, tmp_path: Path, described: dict[str, Any]
) -> None:
    organisation = load_demo()
    roll_out(organisation)
    schema: Any = schemathesis.openapi.from_dict(exactly(described)).exclude(path=ENDLESS)
    checks = [known_checks.CHECKS.get_one(name) for name in (*CHECKED, *OF_STORIES) if name not in OF_SINGLE_REQUESTS]
    told = Told()
    given = {"headers": bearer(organisation, role), "real": real_ids(), "checks": checks, "told": told}
    with serving(committed_db, tmp_path) as served:
        story: Any = type("StoryOfThis", (Story, schema.as_state_machine()), {**given, "url": served.url})
        for number in range(MOST_ROUNDS):
            tell(seed(number)(story))
            if told.untrue or (told.used and told.stories >= STORIES * EXAMPLES):
                break
    assert told.untrue == [], "\n\n".join(told.untrue)
    assert told.stories >= STORIES * EXAMPLES
    assert told.used, f"Nothing was asked of the {len(told.made)} objects that were made, so no story was told."


def tell(story: Any) -> None:
    """A round, or part of it: what one made stays, so another that begins alike goes on differently. Hypothesis gives up then."""
    with suppress(Flaky):
        story.run(
            settings=settings(
                max_examples=STORIES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
        )


def test_everything_that_is_made_leads_to_what_can_be_done_with_it(described: dict[str, Any]) -> None:
    """A link for each operation on one object, where the collection's own address says which."""
    made = {
        one["operationId"]: set(one["responses"]["201"].get("links", {}))
        for method, _, one in each(described)
        if method == "post" and "201" in one["responses"]
    }
    assert made["create_token"] == {"revoke_token"}
    assert made["create_user"] == {"get_user", "update_user"}
    assert made["create_template"] > {"get_template", "delete_template", "list_revisions", "create_revision"}
    assert made["create_revision"] == {
        "get_revision",
        "compare_revisions",
        "list_revision_usages",
        "set_revision_status",
    }
    assert made["create_pipeline"] > {"get_pipeline", "get_pipeline_config", "assign_integration"}
    assert made["assign_integration"] > {"get_pipeline_integration", "remove_pipeline_integration"}
    assert made["plan_rollout"] > {"start_rollout", "list_rollout_targets", "discard_rollout"}
    assert [name for name, links in made.items() if not links] == ["install_vendor", "revert_rollout"]
