"""The OpenAPI description is true: a live server is asked everything it offers, by everybody, and answers as it says.

`make fuzz` asks far more of it.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks as known_checks

from accounts.credentials import access_token
from accounts.models import Organisation, User
from accounts.roles import Role
from config.documentation import OPENAPI
from config.operations import OPERATIONS
from integrations.models import Revision, Template
from pipelines.demo import load_demo, login
from pipelines.models import Pipeline, Rollout
from pipelines.rollouts.driving import advance
from pipelines.rollouts.gates import Gate
from pipelines.rollouts.lifecycle import start_rollout
from pipelines.rollouts.plans import Schedule, plan_rollout
from pipelines.rollouts.waves import parse_waves
from tests.config.servers import serving
from tests.conftest import token
from tests.factories import system

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
BEARERS = ["nobody", "viewer", "editor", "admin", "processor"]
if "FUZZ_EXAMPLES" in os.environ:  # tokens go the same way in as people, and each bearer takes its time
    BEARERS += ["viewer token", "editor token", "admin token"]
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "unsupported_method",
)
ENDLESS = "/v1/runtime/stream"  # nobody reads its answer to the end
METHODS = ("get", "put", "post", "delete", "patch")


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    made: Any = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]  # typed in part only
    plain: dict[str, Any] = json.loads(json.dumps(made))
    return plain


def each(described: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, one) for path, item in described["paths"].items() for method, one in item.items()]


@pytest.mark.parametrize("role", BEARERS)
def test_every_answer_is_one_that_the_description_foretells(
    role: str, committed_db: str, tmp_path: Path, described: dict[str, Any]
) -> None:
    organisation = load_demo()
    roll_out(organisation)
    headers = bearer(organisation, role)
    schema: Any = schemathesis.openapi.from_dict(exactly(described))
    operations: list[Any] = [found.ok() for found in schema.exclude(path=ENDLESS).get_all_operations()]
    real = real_ids()
    with serving(committed_db, tmp_path) as served, requests.Session() as session:
        untrue = [
            complaint
            for operation in operations
            if (complaint := complaint_of(operation, served.url, session, headers, real))
        ]
    assert untrue == [], "\n\n".join(untrue)


def complaint_of(
    operation: Any,
    url: str,
    session: requests.Session,
    headers: dict[str, str],
    real: dict[str, list[str]],
) -> str:
    """Ask one operation with what it wants and with what it does not want, about things that are there and others."""
    modes = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))
    checks: list[Any] = [known_checks.CHECKS.get_one(name) for name in CHECKED]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, data=st.data())
    def answers(case: Any, data: st.DataObject) -> None:
        for name in case.path_parameters:
            if name in real and data.draw(st.integers(0, 3)):
                case.path_parameters[name] = data.draw(st.sampled_from(real[name]))
        answer = case.call(base_url=url, session=session, headers=headers)
        case.validate_response(answer, checks=checks, headers=headers, transport_kwargs={"base_url": url})

    try:
        answers()
    except schemathesis.core.failures.FailureGroup as failures:
        return f"{operation.label}: {failures}"
    return ""


def bearer(organisation: Organisation, role: str) -> dict[str, str]:
    if role == "nobody":
        return {}
    if role == "processor" or role.endswith(" token"):
        scope = Role(role.removesuffix(" token"))
        return {"Authorization": f"Bearer {token(organisation, scope)[1]}"}
    user: User = User.objects.by_email(login(Role(role))["email"]).get()
    return {"Authorization": f"Bearer {access_token(user)}"}


def roll_out(organisation: Organisation) -> None:
    """A plan, and a rollout that has come one wave far."""
    actor = system(organisation)
    plan_rollout(actor=actor, template_id="tmpl_abc123")
    waves = Schedule(waves=parse_waves("1,100%"), gate=Gate(max_failure_ratio=0.5))
    running = plan_rollout(actor=actor, template_id=Template.objects.get(vendor="ga4").pk, revision="1", schedule=waves)
    start_rollout(actor=actor, rollout_id=running.pk)
    advance(running.pk)


def real_ids() -> dict[str, list[str]]:
    """What stands behind the parameters of addresses in the demo organisation."""
    return {
        "pipeline_id": ["pip_xyz789"],
        "template_id": ["tmpl_abc123"],
        "id": [
            *Rollout.objects.values_list("pk", flat=True),
            "pi_abc123",
            "pip_xyz789",
            "tmpl_abc123",
            "1",
            *Revision.objects.values_list("pk", flat=True)[:3],
        ],
        "name": ["pip_xyz789", Pipeline.objects.get(pk="pip_xyz789").pipeline_key],
        "key": ["ga4_measurement_id", "another_key"],
        "vendor": ["meta_capi", "ga4"],
    }


def exactly(described: dict[str, Any]) -> dict[str, Any]:
    """The description with nothing in an answer that it does not name."""
    copy: dict[str, Any] = json.loads(json.dumps(described))
    for schema in copy["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return copy


def test_the_committed_description_is_what_the_code_says(described: dict[str, Any]) -> None:
    assert json.loads(OPENAPI.read_text()) == described, "The API has changed: make schema"


def test_every_operation_is_named_by_verb_and_noun_and_none_twice(described: dict[str, Any]) -> None:
    names = [one["operationId"] for _, _, one in each(described)]
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert len(set(names)) == len(names)


def test_no_name_is_kept_for_an_operation_that_is_gone(described: dict[str, Any]) -> None:
    there = {(path, method.upper()) for method, path, _ in each(described)}
    named = {(path, method) for path, methods in OPERATIONS.items() for method in methods}
    assert named - there == set()


def test_every_operation_stands_under_one_described_heading(described: dict[str, Any]) -> None:
    headings = {tag["name"] for tag in described["tags"]}
    assert [one["operationId"] for _, _, one in each(described) if set(one["tags"]) - headings] == []
    assert {tag for _, _, one in each(described) for tag in one["tags"]} == headings
