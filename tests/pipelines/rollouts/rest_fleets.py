"""Pipelines to roll a revision out to over REST, and what a rollout writes."""

from dataclasses import dataclass
from typing import Any

from accounts.ids import known_ids
from accounts.models import Organisation
from integrations.models import Revision, Template
from integrations.revisions import create_revision
from pipelines.models import Pin
from pipelines.rollouts.driving import advance
from tests.clients import Api
from tests.committed import rows_of
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of, system, wishes
from tests.pipelines.traces import TABLES

HIDDEN = "canary-7f3a"
BEFORE = {"auth_type": "bearer", "bearer_token": f"old-{HIDDEN}", "url": "https://hooks.example.com/events"}
AFTER = {"auth_type": "bearer", "bearer_token": f"new-{HIDDEN}", "url": "https://{{pipeline_param.host}}/events"}


@dataclass(frozen=True)
class Fleet:
    """Pipelines that share a template, whose second revision needs the parameter `host`."""

    organisation: Organisation
    template: Template
    pins: list[Pin]

    @property
    def first(self) -> Revision:
        return revision_of(self.template, 1)

    @property
    def second(self) -> Revision:
        return revision_of(self.template, 2)

    def add(self, name: str, *, number: int = 1, enabled: bool = True, host: str | None = "a.example") -> Pin:
        """One more pipeline; pins are numbered, and a plan has them in this order."""
        values = wishes(host=host) if host else {}
        pipeline = PipelineFactory(
            organisation=self.organisation, name=name, parameters=values, labels={"shop": name[-1]}
        )
        with known_ids(pi=[f"pi_{self.template.pk[-8:]}{len(self.pins):04}"]):
            pin = PinFactory(
                organisation=self.organisation,
                pipeline=pipeline,
                template=self.template,
                number=number,
                enabled=enabled,
            )
        self.pins.append(pin)
        return pin

    def plan(self, api: Api, **body: Any) -> Any:
        """The answer to planning a rollout of the latest revision."""
        return api.post("rollouts", {"integration_id": self.template.pk, **body})

    def started(self, api: Api, applied: int = 0, /, **body: Any) -> str:
        """The id of a rollout that runs and has come so many waves far."""
        rollout_id: str = self.plan(api, **body).json()["id"]
        assert api.post(f"rollouts/{rollout_id}/start").status_code == 200
        for _ in range(applied):
            advance(rollout_id)
        return rollout_id

    def numbers(self) -> list[int]:
        """The revision that each pin stands at."""
        found = Pin.objects.filter(template=self.template).order_by("pk")
        return list(found.values_list("revision__number", flat=True))


def fleet(organisation: Organisation, size: int = 3) -> Fleet:
    """So many pipelines that could move from the first revision to the second."""
    template = TemplateFactory(organisation=organisation, vendor="webhook", revisions=0, name=f"Hook {size}")
    for config in (BEFORE, AFTER):
        create_revision(actor=system(organisation), template_id=template.pk, config=config)
    template.refresh_from_db()
    made = Fleet(organisation, template, [])
    for number in range(size):
        made.add(f"Shop {number}")
    return made


def kept() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that a rollout writes."""
    tables = ["pipelines_rollout", "pipelines_rolloutwave", "pipelines_rollouttarget", *TABLES]
    return {table: sorted(rows, key=repr) for table, rows in rows_of(tables).items()}


def timeless(shown: dict[str, Any]) -> dict[str, Any]:
    """An answer with only whether there is a time where times stand, since each run has others."""
    return {
        name: "<time>"
        if name.endswith("_at") and value
        else [timeless(item) if isinstance(item, dict) else item for item in value]
        if isinstance(value, list)
        else value
        for name, value in shown.items()
    }
