"""One request for each write that the API offers, made so that it succeeds in the demo organisation."""

from dataclasses import dataclass
from typing import Any

from accounts.credentials import access_token
from accounts.models import Organisation, User
from accounts.roles import Role
from integrations.models import Template
from pipelines.demo import login
from pipelines.models import Rollout
from pipelines.parameters import Wish
from pipelines.rollouts.driving import advance
from pipelines.rollouts.lifecycle import pause_rollout, start_rollout
from pipelines.rollouts.plans import Schedule, plan_rollout
from pipelines.rollouts.waves import parse_waves
from tests.clients import Api
from tests.committed import rows_of, tables
from tests.conftest import token
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system

PIN = "pipelines/pip_xyz789/integrations/pi_abc123"
REVISIONS = "integration-templates/tmpl_abc123/revisions"
WEBHOOK = {"url": "https://hooks.example.com/events"}


@dataclass(frozen=True)
class Write:
    """A request, and what reads the object that it changes, if one can."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    reads: str = ""

    def send(self, api: Api, query: str = "", **headers: str) -> Any:
        path = f"{self.path}{query}"
        if self.method == "DELETE":
            return api.delete(path, **headers)
        return getattr(api, self.method.lower())(path, self.body, **headers)


def writes(organisation: Organisation) -> dict[str, Write]:
    """By operation id."""
    viewer = User.objects.by_email(login(Role.VIEWER)["email"]).get()
    unused = TemplateFactory(organisation=organisation, vendor="webhook")
    pipeline = PipelineFactory(organisation=organisation, parameters={"spare": Wish("of no use")})
    spare = f"pipelines/{pipeline.pk}"
    return {
        "create_user": Write("POST", "users", {"email": "new@demo.example", "name": "New", "role": "viewer"}),
        "update_user": Write("PATCH", f"users/{viewer.pk}", {"name": "Renamed"}, f"users/{viewer.pk}"),
        "create_token": Write("POST", "tokens", {"name": "For a script", "scope": "viewer"}),
        "revoke_token": Write("DELETE", f"tokens/{token(organisation, Role.VIEWER)[0].pk}"),
        "install_vendor": Write("POST", "integration-catalog/webhook/install", {"name": "Hook", "config": WEBHOOK}),
        "create_template": Write("POST", "integration-templates", {"name": "Another", "vendor": "webhook"}),
        "update_template": _change("PUT", "integration-templates/tmpl_abc123", {"name": "Meta"}),
        "patch_template": _change("PATCH", "integration-templates/tmpl_abc123", {"description": "Ours"}),
        "delete_template": _change("DELETE", f"integration-templates/{unused.pk}"),
        "create_revision": Write("POST", REVISIONS, {"config": {"pixel_id": "1234567890", "access_token": "another"}}),
        "set_revision_status": Write(
            "PUT", f"{REVISIONS}/1/status", {"status": "deprecated", "reason": "Its token leaks."}, f"{REVISIONS}/1"
        ),
        "create_pipeline": Write("POST", "pipelines", {"name": "Another"}),
        "update_pipeline": _change("PUT", "pipelines/pip_xyz789", {"labels": {"environment": "staging"}}),
        "patch_pipeline": _change("PATCH", "pipelines/pip_xyz789", {"enabled": False}),
        "delete_pipeline": _change("DELETE", spare),
        "set_parameter": Write("PUT", f"{spare}/parameters/key", {"value": "text"}, spare),
        "delete_parameter": Write("DELETE", f"{spare}/parameters/spare", None, spare),
        "assign_integration": Write(
            "POST", f"{spare}/integrations", {"integration_id": unused.pk, "revision_id": revision_of(unused).pk}
        ),
        "update_pipeline_integration": _change("PUT", PIN, {"revision_id": "rev_new456"}),
        "patch_pipeline_integration": _change("PATCH", PIN, {"enabled": False}),
        "remove_pipeline_integration": _change("DELETE", PIN),
        **_rollout_writes(organisation),
    }


def _rollout_writes(organisation: Organisation) -> dict[str, Write]:
    """A plan, a rollout that has come one wave far, and one that is paused."""
    actor = system(organisation)
    ga4 = Template.objects.get(vendor="ga4")
    paused = TemplateFactory(organisation=organisation, vendor="webhook", revisions=2)
    PinFactory(organisation=organisation, template=paused, number=1)
    waves = Schedule(waves=parse_waves("1,100%"))
    planned = plan_rollout(actor=actor, template_id="tmpl_abc123")
    running = plan_rollout(actor=actor, template_id=ga4.pk, revision="1", schedule=waves)
    held = plan_rollout(actor=actor, template_id=paused.pk)
    for rollout in (running, held):
        start_rollout(actor=actor, rollout_id=rollout.pk)
    advance(running.pk)
    pause_rollout(actor=actor, rollout_id=held.pk)
    return {
        "plan_rollout": Write("POST", "rollouts", {"integration_id": "tmpl_abc123", "percent": 50}),
        "discard_rollout": _change("DELETE", f"rollouts/{planned.pk}"),
        "start_rollout": _step(planned, "start"),
        "pause_rollout": _step(running, "pause"),
        "resume_rollout": _step(held, "resume"),
        "abort_rollout": _step(held, "abort"),
        "revert_rollout": _step(running, "revert"),
    }


def _step(rollout: Rollout, verb: str) -> Write:
    return Write("POST", f"rollouts/{rollout.pk}/{verb}", {}, f"rollouts/{rollout.pk}")


def _change(method: str, path: str, body: dict[str, Any] | None = None) -> Write:
    return Write(method, path, body, path)


NAMES = [
    "create_user",
    "update_user",
    "create_token",
    "revoke_token",
    "install_vendor",
    "create_template",
    "update_template",
    "patch_template",
    "delete_template",
    "create_revision",
    "set_revision_status",
    "create_pipeline",
    "update_pipeline",
    "patch_pipeline",
    "delete_pipeline",
    "set_parameter",
    "delete_parameter",
    "assign_integration",
    "update_pipeline_integration",
    "patch_pipeline_integration",
    "remove_pipeline_integration",
    "plan_rollout",
    "discard_rollout",
    "start_rollout",
    "pause_rollout",
    "resume_rollout",
    "abort_rollout",
    "revert_rollout",
]
OF_PROCESSORS = {"send_report"}  # no user may: tests/pipelines/feed/test_reports.py tries the same on it
STEPS = ["start_rollout", "pause_rollout", "resume_rollout", "abort_rollout", "revert_rollout"]
MAKES = [name for name in NAMES if name.startswith(("create", "install", "assign", "plan", "revert"))]
CHANGES = [name for name in NAMES if name in STEPS or name not in (*MAKES, "revoke_token")]
POSTS = [name for name in NAMES if name in STEPS or name in MAKES]


def done(name: str) -> int:
    """The status of what succeeded."""
    return 201 if name in MAKES else 200


def api_of(role: Role) -> Api:
    return Api(access_token(User.objects.by_email(login(role)["email"]).get()))


def everything() -> dict[str, Any]:
    """All rows of all tables."""
    return rows_of(tables())
