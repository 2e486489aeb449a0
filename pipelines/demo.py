"""The demo organisation: what the documentation speaks of, with the ids it uses, made by the services themselves."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from accounts.actors import Actor, ActorType
from accounts.ids import known_ids
from accounts.models import Organisation, User
from accounts.roles import LADDER, Role
from accounts.users import create_organisation, create_user
from integrations.models import Template
from integrations.revisions import create_revision
from integrations.templates import create_template
from pipelines.models import Pin, Pipeline
from pipelines.parameters import Wish
from pipelines.pins import assign_pin
from pipelines.registry import create_pipeline

NAME = "Demo Store"
DOMAIN = "demo.example"


def login(role: Role) -> dict[str, str]:
    """The demo user of a role; the password is public, which is why only a development machine gets one."""
    return {"email": f"{role.value}@{DOMAIN}", "password": f"pinion-demo-{role.value}"}


def demo_logins() -> dict[str, dict[str, str]]:
    """The demo logins that work here: none where the demo was not loaded or the passwords have been changed."""
    users = {user.email: user for user in User.objects.filter(email__endswith=f"@{DOMAIN}").enabled()}
    logins = {role.value: login(role) for role in LADDER}
    return {
        role: entry
        for role, entry in logins.items()
        if entry["email"] in users and users[entry["email"]].check_password(entry["password"])
    }


@transaction.atomic
def load_demo() -> Organisation:
    """Make the demo organisation with its users, vendors and pipelines, or nothing if any part fails."""
    organisation = create_organisation(name=NAME)
    setup = Actor(ActorType.SYSTEM, "quickstart", "quickstart", organisation.pk, Role.ADMIN)
    for role in (Role.ADMIN, Role.EDITOR, Role.VIEWER):
        create_user(actor=setup, name=f"Demo {role.value.title()}", role=role, **login(role))
    editor = User.objects.by_email(login(Role.EDITOR)["email"]).get()
    actor = Actor(ActorType.USER, editor.pk, editor.email, organisation.pk, Role.EDITOR)
    _load_pipelines(actor)
    return organisation


def _load_pipelines(actor: Actor) -> None:
    with known_ids(pip=["pip_xyz789"]):
        website = _pipeline(actor, "Marketing Website", "web", "G-AAAA1111", "production")
    shop = _pipeline(actor, "Web Shop", "web", "G-BBBB2222", "production")
    app = _pipeline(actor, "Mobile App", "app", "G-CCCC3333", "staging")
    meta, ga4, tiktok = _meta(actor), _ga4(actor), _tiktok(actor)
    with known_ids(pi=["pi_abc123"]):
        documented = _pin(actor, website, meta, 3)
    # The documentation shows this pin as one that was made in February and last touched five days later.
    Pin.objects.filter(pk=documented.pk).update(
        created_at=datetime(2026, 2, 20, 10, tzinfo=UTC), updated_at=datetime(2026, 2, 25, 14, 30, tzinfo=UTC)
    )
    _pin(actor, website, ga4, 2)
    _pin(actor, website, tiktok, 1, enabled=False)
    _pin(actor, shop, ga4, 2)
    _pin(actor, shop, meta, 5)
    _pin(actor, app, tiktok, 1)


def _pipeline(actor: Actor, name: str, kind: str, measurement_id: str, environment: str) -> Pipeline:
    return create_pipeline(
        actor=actor,
        name=name,
        type=kind,
        labels={"environment": environment, "team": "marketing"},
        parameters={
            "ga4_measurement_id": Wish(measurement_id),
            "ga4_api_secret": Wish(f"demo-secret-of-{measurement_id}", secret=True),
        },
    )


def _meta(actor: Actor) -> Template:
    """Five revisions; the documentation names the third and the newest."""
    base: dict[str, Any] = {"pixel_id": "1234567890", "access_token": "demo-token-1"}
    changes: list[tuple[str, dict[str, Any]]] = [
        ("First version", {}),
        ("Send test events to the test tab", {"test_event_code": "TEST12345"}),
        ("Rotated access token", {"access_token": "demo-token-2", "test_event_code": "TEST12345"}),
        ("Stop sending test events", {"access_token": "demo-token-2"}),
        ("Rotated access token", {"access_token": "demo-token-3"}),
    ]
    ids = ["rev_demo1meta", "rev_demo2meta", "rev_xyz789", "rev_demo4meta", "rev_new456"]
    with known_ids(tmpl=["tmpl_abc123"], rev=ids):
        return _template(actor, "Meta CAPI Production", "meta_capi", [(text, base | more) for text, more in changes])


def _ga4(actor: Actor) -> Template:
    shared = {"api_secret": "{{pipeline_param.ga4_api_secret}}"}
    return _template(
        actor,
        "GA4",
        "ga4",
        [
            ("One measurement id for all", shared | {"measurement_id": "G-DEMO0000"}),
            ("Each pipeline brings its own", shared | {"measurement_id": "{{pipeline_param.ga4_measurement_id}}"}),
        ],
    )


def _tiktok(actor: Actor) -> Template:
    config = {"pixel_code": "CDEMO0PIXEL0CODE0000", "access_token": "demo-tiktok-token"}
    return _template(actor, "TikTok", "tiktok", [("First version", config)])


def _template(actor: Actor, name: str, vendor: str, revisions: list[tuple[str, dict[str, Any]]]) -> Template:
    template = create_template(actor=actor, name=name, vendor=vendor)
    for summary, config in revisions:
        create_revision(actor=actor, template_id=template.pk, config=config, change_summary=summary)
    return template


def _pin(actor: Actor, pipeline: Pipeline, template: Template, number: int, *, enabled: bool = True) -> Pin:
    revision = template.revisions.get(number=number)
    return assign_pin(
        actor=actor, pipeline_id=pipeline.pk, template_id=template.pk, revision_id=revision.pk, enabled=enabled
    )
