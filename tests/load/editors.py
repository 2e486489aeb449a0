"""People and programs that change things: pins, parameters, pipelines, templates, revisions."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.load.callers import Caller
from tests.load.hands import Hands, address_of, no_pin, numbers, pin_line
from tests.load.ledger import Line
from tests.load.scene import SECRET, TAG, Scene

WEBHOOK = {"url": "https://hooks.example.com/events"}


class Editor(Hands):
    """Makes every kind of change by turns; a rival is sent along where two are to want something at once."""

    def __init__(self, me: Caller, rival: Caller, admin: Caller, scene: Scene, number: int) -> None:
        super().__init__(me, scene, random.Random(number))  # noqa: S311  # replayed, not secret
        self.rival = rival
        self.admin = admin
        self.number = number
        self.pipelines = scene.pipelines[number :: len(scene.editors)]
        self.template = ""  # one of its own
        self.steps: list[Callable[[str], Awaitable[object]]] = [
            self.move,
            self.set_parameter,
            self.toggle,
            self.assign_once,
            self.race_to_move,
            self.set_secret,
            self.race_to_assign,
            self.turn_what_rolls,
            self.remove,
            self.merge_parameters,
            self.make_revision,
            self.try_first,
            self.assign,
            self.unset_parameter,
            self.switch_pipeline,
            self.label,
            self.live_and_die,
            self.judge_revision,
            self.install,
        ]

    async def step(self, number: int) -> None:
        """The kinds of change one after the other, each editor beginning with another."""
        kind = self.steps[(number + 4 * self.number) % len(self.steps)]
        await kind(self.dice.choice(self.pipelines))

    # --- pins ---------------------------------------------------------------------------------------------------------

    async def move(self, pipeline: str) -> None:
        """What a pin shows has changed also when its template has a new revision."""
        pin, tag = await self.pin_of(pipeline, self.scene.moved)
        wanted = self.dice.choice([each for each in self.scene.revisions if each != pin["revision_id"]])
        await self.put_pin(self.me, pin, {"revision_id": wanted}, tag, "PRECONDITION_FAILED")

    async def toggle(self, pipeline: str) -> None:
        pin, tag = await self.pin_of(pipeline, self.scene.tagged)
        await self.patch_pin(pin, {"enabled": not pin["enabled"]}, tag)

    async def turn_what_rolls(self, pipeline: str) -> None:
        """A rollout may have moved it since it was read."""
        pin, tag = await self.pin_of(pipeline, self.scene.rolled)
        await self.patch_pin(pin, {"enabled": not pin["enabled"]}, tag, "PRECONDITION_FAILED")

    async def race_to_move(self, pipeline: str) -> None:
        """Two who saw the same, and want it otherwise: one is told that it has changed."""
        pin, tag = await self.pin_of(pipeline, self.scene.tagged)
        other = next(each for each in self.scene.of_tagged if each != pin["revision_id"])
        wanted = [{"revision_id": other}, {"enabled": not pin["enabled"]}]
        both = zip((self.me, self.rival), wanted, strict=True)
        said = await asyncio.gather(*(self.put_pin(who, pin, body, tag, "PRECONDITION_FAILED") for who, body in both))
        if sum(answer is not None for answer in said) != 1:
            self.me.ledger.surprise(f"Of two who moved {pin['id']} at once, not just one was accepted: {said}")

    async def race_to_assign(self, pipeline: str) -> None:
        free = await self.free_template(pipeline)
        if free is None:
            await self.remove(pipeline)
            free = await self.free_template(pipeline)
        assert free is not None
        said = await asyncio.gather(
            *(self.assign_to(who, pipeline, free, "ALREADY_ASSIGNED") for who in (self.me, self.rival))
        )
        if sum(answer is not None for answer in said) != 1:
            self.me.ledger.surprise(f"Of two who assigned {free} at once, not just one was accepted: {said}")

    async def assign(self, pipeline: str) -> None:
        free = await self.free_template(pipeline)
        if free is not None:
            await self.assign_to(self.me, pipeline, free)

    async def assign_once(self, pipeline: str) -> None:
        """With an Idempotency-Key, by turns sent twice at once and sent again by one who did not wait."""
        free = await self.free_template(pipeline)
        if free is None:
            await self.remove(pipeline)
            return
        await self.me.change_once(
            "assign_integration",
            f"v1/admin/pipelines/{pipeline}/integrations",
            body={"integration_id": free[0], "revision_id": free[1]},
            actions=["pin.assigned"],
            lines=lambda said: [pin_line(said)],
            hangs_up=self.dice.random() < 0.5,
        )

    async def remove(self, pipeline: str) -> None:
        fleeting = {template for template, _ in self.scene.fleeting}
        pin = next((pin for pin in await self.pins(pipeline) if pin["integration_id"] in fleeting), None)
        if pin is not None:
            await self.me.change(
                "remove_pipeline_integration",
                "DELETE",
                address_of(pin),
                actions=["pin.removed"],
                lines=lambda _: [no_pin(pin)],
            )

    # --- parameters and pipelines -------------------------------------------------------------------------------------

    async def set_parameter(self, pipeline: str) -> None:
        await self.write_parameter(pipeline, TAG, f"G-{next(numbers)}")

    async def set_secret(self, pipeline: str) -> None:
        await self.write_parameter(pipeline, SECRET, f"secret-{next(numbers)}", secret=True)

    async def unset_parameter(self, pipeline: str) -> None:
        found = (await self.me.ask("get_pipeline", "GET", f"v1/admin/pipelines/{pipeline}")).json()
        if "note" not in found["parameters"]:
            await self.write_parameter(pipeline, "note", f"Note {next(numbers)}")
        await self.me.change(
            "delete_parameter",
            "DELETE",
            f"v1/admin/pipelines/{pipeline}/parameters/note",
            actions=["pipeline.parameters_changed"],
            lines=lambda _: [Line(pipeline, "parameter", "note")],
        )

    async def merge_parameters(self, pipeline: str) -> None:
        values = {TAG: f"G-{next(numbers)}", "merged": f"Merged {next(numbers)}"}
        await self.patch_pipeline(
            pipeline,
            {"parameters": values},
            "pipeline.parameters_changed",
            *(Line(pipeline, "parameter", key, value=value) for key, value in values.items()),
        )
        self.scene.values[pipeline].update(values)

    async def switch_pipeline(self, pipeline: str) -> None:
        """Off and on again."""
        for enabled in (False, True):
            line = Line(pipeline, "pipeline", pipeline, enabled=enabled)
            await self.patch_pipeline(pipeline, {"enabled": enabled}, "pipeline.updated", line)

    async def label(self, pipeline: str) -> None:
        """This changes nothing that runs: it is in the audit log alone."""
        await self.patch_pipeline(pipeline, {"labels": {"seen": str(next(numbers))}}, "pipeline.updated")

    async def live_and_die(self, _: str) -> None:
        """A pipeline with a parameter and a pin, from its beginning to its end."""
        template, revision = self.scene.fleeting[0]
        made = await self.me.change_once(
            "create_pipeline",
            "v1/admin/pipelines",
            body={"name": f"Passing by {next(numbers)}", "parameters": {"note": "short"}},
            actions=["pipeline.created", "pipeline.parameters_changed"],
            lines=lambda said: _whole(said["id"], enabled=True, note="short"),
            hangs_up=self.dice.random() < 0.5,
        )
        pin = await self.assign_to(self.me, made["id"], (template, revision))
        await self.admin.change(
            "delete_pipeline",
            "DELETE",
            f"v1/admin/pipelines/{made['id']}",
            actions=["pipeline.deleted"],
            lines=lambda _: [*_whole(made["id"]), no_pin(pin)],
        )

    # --- templates and revisions --------------------------------------------------------------------------------------

    async def make_revision(self, _: str) -> None:
        """Of the template that is moved by hand, so that the others move to it, too."""
        said = await self.revise(self.scene.moved, {"url": f"https://hooks.example.com/events/{next(numbers)}"})
        self.scene.revisions.append(said["id"])

    async def judge_revision(self, _: str) -> None:
        """Of a template of this editor's own."""
        if not self.template:
            said = await self.me.change(
                "create_template",
                "POST",
                "v1/admin/integration-templates",
                body={"name": f"Template {next(numbers)}", "vendor": "webhook"},
                actions=["template.created"],
            )
            self.template = said["id"]
        made = await self.revise(self.template, WEBHOOK)
        await self.me.change(
            "set_revision_status",
            "PUT",
            f"v1/admin/integration-templates/{self.template}/revisions/{made['id']}/status",
            body={"status": "deprecated", "reason": "Only for a while."},
            actions=["revision.status_changed"],
        )
        await self.me.change(
            "patch_template",
            "PATCH",
            f"v1/admin/integration-templates/{self.template}",
            body={"description": f"The {next(numbers)}th"},
            actions=["template.updated"],
        )

    async def install(self, _: str) -> None:
        """A template with its first revision, which is not needed after all."""
        made = await self.me.change_once(
            "install_vendor",
            "v1/admin/integration-catalog/webhook/install",
            body={"name": f"Installed {next(numbers)}", "config": WEBHOOK},
            actions=["template.created", "revision.created"],
            hangs_up=self.dice.random() < 0.5,
        )
        path = f"v1/admin/integration-templates/{made['template']['id']}"
        await self.admin.change("delete_template", "DELETE", path, actions=["template.deleted"])

    async def try_first(self, pipeline: str) -> None:
        """A dry run leaves nothing."""
        request_id = self.me.ledger.new_request_id()
        self.me.ledger.nothing.add(request_id)
        path = f"v1/admin/pipelines/{pipeline}/parameters/{TAG}?dry_run=true"
        await self.me.ask("set_parameter", "PUT", path, body={"value": "G-never"}, X_Request_ID=request_id)


def _whole(pipeline: str, *, enabled: bool | None = None, note: str | None = None) -> list[Line]:
    """A pipeline with its one parameter, as it begins or ends."""
    return [
        Line(pipeline, "pipeline", pipeline, enabled=enabled),
        Line(pipeline, "parameter", "note", value=note),
    ]
