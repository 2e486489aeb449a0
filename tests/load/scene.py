"""What is there before anybody comes: one organisation with a small fleet, people, programs and processors."""

from dataclasses import dataclass
from typing import Any

from accounts.models import Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from integrations.models import Template
from pipelines.models import Pipeline
from pipelines.parameters import Wish
from tests.conftest import user
from tests.factories import CONFIGS, PASSWORD, PinFactory, PipelineFactory, TemplateFactory, system

PIPELINES = 40
EDITORS = 5
FLEETING = 3  # templates that come and go on each pipeline
TAG, SECRET = "ga4_measurement_id", "ga4_api_secret"
TAGGED = {"measurement_id": f"{{{{pipeline_param.{TAG}}}}}", "api_secret": f"{{{{pipeline_param.{SECRET}}}}}"}


@dataclass(frozen=True)
class Scene:
    """The names that clients need; bearers are those of API tokens."""

    organisation: Organisation
    pipelines: list[str]
    rolled: str  # the template that rollouts move everywhere
    tagged: str  # one whose config takes a parameter of each pipeline, and which gets no further revision
    of_tagged: list[str]  # its revisions
    moved: str  # one that editors move by hand, from revision to revision
    revisions: list[str]  # of that; editors add to them
    fleeting: list[tuple[str, str]]  # templates, each with a revision
    configs: dict[str, dict[str, Any]]  # by revision, as they were sent; whoever makes one adds it
    values: dict[str, dict[str, str]]  # of parameters, by pipeline, as they were sent last
    login: dict[str, str]
    admin_id: str
    admin: str
    viewer: str
    editors: list[str]
    processors: list[str]


def build_scene(organisation: Organisation) -> Scene:
    templates = {
        "rolled": _template(organisation, "Rolled out", "meta_capi", 2),
        "tagged": _template(organisation, "Tagged", "ga4", 2, TAGGED),
        "moved": _template(organisation, "Moved", "webhook", 4),
    }
    fleeting = [_template(organisation, f"Fleeting {number}", "webhook", 1) for number in range(FLEETING)]
    configs = {
        revision.pk: TAGGED if template == templates["tagged"] else CONFIGS[template.vendor]
        for template in [*templates.values(), *fleeting]
        for revision in template.revisions.all()
    }
    pipelines = [_pipeline(organisation, number, list(templates.values())) for number in range(PIPELINES)]
    admin: User = user(organisation, "admin@acme.example", Role.ADMIN)
    return Scene(
        organisation=organisation,
        pipelines=[pipeline.pk for pipeline in pipelines],
        **{name: template.pk for name, template in templates.items()},
        of_tagged=[revision.pk for revision in templates["tagged"].revisions.order_by("number")],
        revisions=[revision.pk for revision in templates["moved"].revisions.order_by("number")],
        fleeting=[(template.pk, template.revisions.get().pk) for template in fleeting],
        configs=configs,
        values={pipeline.pk: _values(number) for number, pipeline in enumerate(pipelines)},
        login={"email": admin.email, "password": PASSWORD},
        admin_id=admin.pk,
        admin=_bearer(organisation, Role.ADMIN),
        viewer=_bearer(organisation, Role.VIEWER),
        editors=[_bearer(organisation, Role.EDITOR) for _ in range(EDITORS)],
        processors=[_bearer(organisation, Role.PROCESSOR) for _ in range(3)],
    )


def _template(organisation: Organisation, name: str, vendor: str, revisions: int, config: Any = None) -> Template:
    made: Template = TemplateFactory(
        organisation=organisation, name=name, vendor=vendor, revisions=revisions, config=config
    )
    return made


def _values(number: int) -> dict[str, str]:
    return {TAG: f"G-FIRST-{number}", SECRET: f"first-secret-{number}", "note": "to be taken away"}


def _pipeline(organisation: Organisation, number: int, templates: list[Template]) -> Pipeline:
    """With a pin of each, at its first revision."""
    pipeline: Pipeline = PipelineFactory(
        organisation=organisation,
        name=f"Shop {number}",
        labels={"environment": ("production", "staging")[number % 2]},
        parameters={key: Wish(value, secret=key == SECRET) for key, value in _values(number).items()},
    )
    for template in templates:
        PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1)
    return pipeline


def _bearer(organisation: Organisation, scope: Role) -> str:
    return issue_token(actor=system(organisation), name=f"{scope.value} of the load", scope=scope)[1]
