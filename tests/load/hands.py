"""What an editor's steps are made of: the requests that read pins and change things, each noted."""

import random
from itertools import count
from typing import Any

from tests.load.callers import Caller
from tests.load.ledger import Line
from tests.load.scene import Scene

Pin = dict[str, Any]

numbers = count(1)  # what makes every value a new one, so that every accepted write is a change


class Hands:
    """Of somebody who owns some pipelines, which nobody else changes but rollouts."""

    def __init__(self, me: Caller, scene: Scene, dice: random.Random) -> None:
        self.me = me
        self.scene = scene
        self.dice = dice

    async def pins(self, pipeline: str) -> list[Pin]:
        path = f"v1/admin/pipelines/{pipeline}/integrations"
        found: list[Pin] = (await self.me.ask("list_pipeline_integrations", "GET", path)).json()["integrations"]
        return found

    async def pin_of(self, pipeline: str, template: str) -> tuple[Pin, str]:
        """The pin as it stands now, with its ETag."""
        listed = next(pin for pin in await self.pins(pipeline) if pin["integration_id"] == template)
        answer = await self.me.ask("get_pipeline_integration", "GET", address_of(listed))
        return answer.json(), answer.headers["ETag"]

    async def free_template(self, pipeline: str) -> tuple[str, str] | None:
        """A template that is not on the pipeline."""
        there = {pin["integration_id"] for pin in await self.pins(pipeline)}
        return next((one for one in self.scene.fleeting if one[0] not in there), None)

    async def assign_to(self, who: Caller, pipeline: str, wanted: tuple[str, str], *allowed: str) -> Any:
        return await who.change(
            "assign_integration",
            "POST",
            f"v1/admin/pipelines/{pipeline}/integrations",
            body={"integration_id": wanted[0], "revision_id": wanted[1], "enabled": self.dice.random() < 0.8},
            actions=["pin.assigned"],
            lines=lambda said: [pin_line(said)],
            allowed=allowed,
        )

    async def put_pin(self, who: Caller, pin: Pin, body: Any, tag: str, *allowed: str) -> Any:
        return await self._update(who, "update_pipeline_integration", "PUT", pin, body, tag, allowed)

    async def patch_pin(self, pin: Pin, body: Any, tag: str, *allowed: str) -> Any:
        return await self._update(self.me, "patch_pipeline_integration", "PATCH", pin, body, tag, allowed)

    async def _update(
        self, who: Caller, kind: str, method: str, pin: Pin, body: Any, tag: str, allowed: tuple[str, ...]
    ) -> Any:
        return await who.change(
            kind,
            method,
            address_of(pin),
            body=body,
            actions=["pin.updated"],
            lines=lambda said: [pin_line(said)],
            allowed=allowed,
            If_Match=tag,
        )

    async def write_parameter(self, pipeline: str, key: str, value: str, *, secret: bool = False) -> None:
        line = Line(pipeline, "parameter", key, value="***" if secret else value)
        await self.me.change(
            "set_parameter",
            "PUT",
            f"v1/admin/pipelines/{pipeline}/parameters/{key}",
            body={"value": value, **({"secret": True} if secret else {})},
            actions=["pipeline.parameters_changed"],
            lines=lambda _: [line],
        )
        self.scene.values[pipeline][key] = value

    async def patch_pipeline(self, pipeline: str, body: Any, action: str, *lines: Line) -> None:
        await self.me.change(
            "patch_pipeline",
            "PATCH",
            f"v1/admin/pipelines/{pipeline}",
            body=body,
            actions=[action],
            lines=lambda _: lines,
        )

    async def revise(self, template: str, config: Any) -> Any:
        made = await self.me.change_once(
            "create_revision",
            f"v1/admin/integration-templates/{template}/revisions",
            body={"config": config, "change_summary": "Under load"},
            actions=["revision.created"],
            hangs_up=self.dice.random() < 0.5,
        )
        self.scene.configs[made["id"]] = config
        return made


def pin_line(pin: Pin) -> Line:
    return Line(pin["pipeline_id"], "pin", pin["id"], revision_id=pin["revision_id"], enabled=pin["enabled"])


def no_pin(pin: Pin) -> Line:
    return Line(pin["pipeline_id"], "pin", pin["id"])


def address_of(pin: Pin) -> str:
    return f"v1/admin/pipelines/{pin['pipeline_id']}/integrations/{pin['id']}"
