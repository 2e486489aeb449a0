"""Secrets that nobody may meet again, put everywhere, and every way in which one could come out again."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from accounts.credentials import access_token
from accounts.models import Organisation, User
from accounts.roles import Role
from accounts.sessions import log_in
from integrations.models import Template
from integrations.revisions import create_revision
from pipelines.models import Pin, Pipeline
from pipelines.parameters import change_parameters
from tests.clients import Api
from tests.conftest import token
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, UserFactory, system, wishes

PASSWORD = "canary of a password"
SHORTEST = 12  # of what is looked for: a shorter piece may stand somewhere by chance


@dataclass
class World:
    """An organisation with secrets wherever they may be: those of vendors, and those by which somebody acts."""

    organisation: Organisation
    pin: Pin
    template: Template
    pipeline: Pipeline
    people: dict[Role, User]
    bearers: dict[str, str]  # who asks, and with what
    vendors: dict[str, str] = field(default_factory=dict)  # which the feed shows to processors
    credentials: dict[str, str] = field(default_factory=dict)

    @property
    def email(self) -> str:
        """Of the admin."""
        return self.people[Role.ADMIN].email

    @property
    def secrets(self) -> dict[str, str]:
        return self.vendors | self.credentials


def world(organisation: Organisation) -> World:
    """Each vendor's secret was another one before, so that history, audit and differences have something to hide."""
    actor = system(organisation)
    vendors = {
        name: f"canary/of+{name}=~{number:06}" for number, name in enumerate(("config", "parameter", "replaced"))
    }
    vendors["shown"] = 'canary-shown-to-"nobody"-é'
    pipeline = PipelineFactory(organisation=organisation, parameters=wishes(token=vendors["replaced"], secret=True))
    change_parameters(actor=actor, pipeline_id=pipeline.pk, wishes=wishes(token=vendors["parameter"], plain="plain"))
    config = {"measurement_id": "{{pipeline_param.token}}", "api_secret": vendors["shown"]}
    template = TemplateFactory(organisation=organisation, vendor="ga4", config=config)
    pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    create_revision(actor=actor, template_id=template.pk, config={**config, "api_secret": vendors["config"]})
    people: dict[Role, User] = {
        role: UserFactory(organisation=organisation, role=role, password=PASSWORD)
        for role in (Role.VIEWER, Role.EDITOR, Role.ADMIN)
    }
    session = log_in(email=people[Role.ADMIN].email, password=PASSWORD)
    bearers = {role.value: access_token(user) for role, user in people.items()} | {
        "processor": token(organisation, Role.PROCESSOR)[1],
        "program": token(organisation, Role.ADMIN)[1],
        "nobody": "",
    }
    credentials = {f"bearer of {who}": bearer for who, bearer in bearers.items() if bearer}
    credentials |= {"password": PASSWORD, "refresh token": session.refresh_token, "session": session.access_token}
    kept = Api(bearers["admin"]).post("tokens", {"name": "kept", "scope": "viewer"}, Idempotency_Key="kept")
    credentials["kept answer"] = kept.json()["token"]
    return World(organisation, pin, template, pipeline, people, bearers, vendors, credentials)


def disguises(secret: str, *, hashed: bool = True) -> dict[str, bytes]:
    """How a secret may look: as it is, in other letters, or as what a plain hash makes of it."""
    raw = secret.encode()
    found = {
        "plain": raw,
        "reversed": secret[::-1].encode(),
        "hex": raw.hex().encode(),
        "quoted": quote(secret, safe="").encode(),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON in JSON": json.dumps(json.dumps(secret))[3:-3].encode(),
        "HTML": secret.replace("&", "&amp;").replace('"', "&quot;").encode(),
        **{f"base64 at {shift}": _inside_base64(raw, shift) for shift in range(3)},
    }
    if hashed:
        found |= {name: hashlib.new(name, raw).hexdigest().encode() for name in ("sha256", "md5", "sha1")}
        found["raw sha256"] = hashlib.sha256(raw).digest()
    return {name: text for name, text in found.items() if len(text) >= SHORTEST}


def _inside_base64(raw: bytes, shift: int) -> bytes:
    """What base64 makes of it inside of something longer: the letters that do not depend on its neighbours."""
    text = base64.b64encode(b"\0" * shift + raw)
    return text[4 if shift else 0 : -4]


def betrayed(text: bytes, secrets: Mapping[str, str], *, hashed: bool = True) -> list[str]:
    """Which secrets stand in this, and how."""
    other = text.replace(b"-", b"+").replace(b"_", b"/")  # URL-safe base64 as the usual one
    return [
        f"{name}, {kind}"
        for name, secret in secrets.items()
        for kind, look in disguises(secret, hashed=hashed).items()
        if look in text or (kind.startswith("base64") and look in other)
    ]
