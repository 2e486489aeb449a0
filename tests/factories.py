"""Things to test with, made by the same services that console, REST and commands use."""

from collections.abc import Mapping
from typing import Any

import factory

from accounts.actors import Actor, ActorType
from accounts.models import Organisation, User
from accounts.roles import Role
from accounts.users import create_user
from integrations.models import Revision, Template
from integrations.revisions import create_revision
from integrations.templates import create_template
from pipelines.models import Pin, Pipeline
from pipelines.parameters import Wish
from pipelines.pins import assign_pin
from pipelines.registry import create_pipeline

PASSWORD = "correct horse battery"
CONFIGS: dict[str, dict[str, Any]] = {
    "meta_capi": {"pixel_id": "1234567890", "access_token": "EAAB-secret"},
    "ga4": {"measurement_id": "{{pipeline_param.ga4_measurement_id}}", "api_secret": "ga4-secret"},
    "webhook": {"url": "https://hooks.example.com/events"},
}


def system(organisation: Organisation, role: Role = Role.ADMIN) -> Actor:
    """Someone who may do all that a test sets up."""
    return Actor(ActorType.SYSTEM, "tests", "tests", organisation.pk, role)


def actor_of(user: User) -> Actor:
    return Actor(ActorType.USER, user.pk, user.email, str(user.organisation_id), Role(user.role))


class OrganisationFactory(factory.django.DjangoModelFactory):
    name = factory.Sequence("Organisation {}".format)

    class Meta:
        model = Organisation


class ServiceFactory(factory.Factory):
    """Calls a service as `system` of the organisation given, or of a new one."""

    organisation = factory.SubFactory(OrganisationFactory)

    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG003  # factory_boy calls it so
        return cls.make(system(kwargs.pop("organisation")), **kwargs)

    @classmethod
    def make(cls, actor: Actor, **kwargs: Any) -> Any:
        raise NotImplementedError


class UserFactory(ServiceFactory):
    email = factory.Sequence("user{}@example.com".format)
    name = "Somebody"
    role = Role.VIEWER
    password = PASSWORD

    class Meta:
        model = User

    @classmethod
    def make(cls, actor: Actor, **kwargs: Any) -> User:
        return create_user(actor=actor, **kwargs)


class TemplateFactory(ServiceFactory):
    """A template with as many revisions as asked for, all with the vendor's usual config unless one is given."""

    name = factory.Sequence("Template {}".format)
    vendor = "meta_capi"
    revisions = 1
    config = None

    class Meta:
        model = Template

    @classmethod
    def make(cls, actor: Actor, **kwargs: Any) -> Template:
        count, config = kwargs.pop("revisions"), kwargs.pop("config")
        template = create_template(actor=actor, **kwargs)
        for number in range(1, count + 1):
            create_revision(
                actor=actor,
                template_id=template.pk,
                config=config or CONFIGS[template.vendor],
                change_summary=f"Change {number}",
            )
        template.refresh_from_db()
        return template


class PipelineFactory(ServiceFactory):
    name = factory.Sequence("Pipeline {}".format)

    class Meta:
        model = Pipeline

    @classmethod
    def make(cls, actor: Actor, **kwargs: Any) -> Pipeline:
        return create_pipeline(actor=actor, **kwargs)


def wishes(
    values: Mapping[str, str | None] | None = None, *, secret: bool = False, **more: str | None
) -> dict[str, Wish]:
    """Parameters as the services take them: `wishes(host="a.example")`, or a mapping of them."""
    return {key: Wish(value, secret=secret) for key, value in {**(values or {}), **more}.items()}


class PinFactory(ServiceFactory):
    """A pin of the pipeline to the template's latest revision, unless a number is given."""

    pipeline = factory.SubFactory(PipelineFactory, organisation=factory.SelfAttribute("..organisation"))
    template = factory.SubFactory(TemplateFactory, organisation=factory.SelfAttribute("..organisation"))
    number = None
    enabled = True

    class Meta:
        model = Pin

    @classmethod
    def make(cls, actor: Actor, **kwargs: Any) -> Pin:
        template: Template = kwargs["template"]
        revision = revision_of(template, kwargs["number"])
        return assign_pin(
            actor=actor,
            pipeline_id=kwargs["pipeline"].pk,
            template_id=template.pk,
            revision_id=revision.pk,
            enabled=kwargs["enabled"],
        )


def revision_of(template: Template, number: int | None = None) -> Revision:
    """A revision by its number, or the latest."""
    return template.revisions.with_config().get(number=number or template.latest_number)
