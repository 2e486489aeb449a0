"""Somebody who rolls revisions out and takes them back, while everybody else goes on."""

import asyncio
from typing import Any

from tests.load.callers import Caller
from tests.load.hands import numbers
from tests.load.scene import Scene

ROLLOUTS = "v1/admin/rollouts"
LOOK_AGAIN = 0.5
LONGEST = 120  # looks at a rollout until it must have ended


class Operator:
    """One cycle after the other: a revision, a plan, its start, perhaps a pause or an end before its time, and back."""

    def __init__(self, me: Caller, scene: Scene) -> None:
        self.me = me
        self.scene = scene

    async def cycle(self, number: int) -> None:
        path = f"v1/admin/integration-templates/{self.scene.rolled}/revisions"
        config = {"pixel_id": str(1_000_000 + next(numbers)), "access_token": f"token-{next(numbers)}"}
        made = await self.me.change(
            "create_revision", "POST", path, body={"config": config}, actions=["revision.created"]
        )
        self.scene.configs[made["id"]] = config
        await self._discard(await self._plan())
        rollout = await self._start()
        if number % 3 == 0:
            await self._step(rollout, "pause", "rollout.paused", {"reason": "To look at it."})
            await self._step(rollout, "resume", "rollout.resumed", {})
        if number % 3 == 1:
            await self._step(rollout, "abort", "rollout.aborted", {"reason": "It was the wrong one."})
            return
        await self._watch(rollout)
        reverted = await self._step(rollout, "revert", "rollout.planned", {})
        if reverted is not None:
            await self._watch(reverted["id"])

    async def _plan(self) -> Any:
        body = {"integration_id": self.scene.rolled, "waves": "20%,60%,100%", "soak": "1s"}
        return await self.me.change("plan_rollout", "POST", ROLLOUTS, body=body, actions=["rollout.planned"])

    async def _discard(self, plan: Any) -> None:
        path = f"{ROLLOUTS}/{plan['id']}"
        await self.me.change("discard_rollout", "DELETE", path, actions=["rollout.discarded"])

    async def _start(self) -> str:
        """Somebody may have changed what it was made from since: then there is another plan to be made."""
        while True:
            plan = await self._plan()
            name: str = plan["id"]
            started = await self.me.change(
                "start_rollout",
                "POST",
                f"{ROLLOUTS}/{name}/start",
                body={"plan_hash": plan["plan_hash"], "skip_blocked": True},  # some pipeline may be off just now
                actions=["rollout.started"],
                allowed=["PLAN_CHANGED"],
            )
            if started is not None:
                return name
            await self._discard(plan)

    async def _step(self, rollout: str, verb: str, action: str, body: Any) -> Any:
        """It may have come further than it had when it was looked at."""
        actions = [action, *(["rollout.started"] if verb == "revert" else [])]
        path = f"{ROLLOUTS}/{rollout}/{verb}"
        return await self.me.change(
            f"{verb}_rollout", "POST", path, body=body, actions=actions, allowed=["ROLLOUT_STATE", "NOTHING_MOVES"]
        )

    async def _watch(self, rollout: str) -> None:
        for _ in range(LONGEST):
            said = (await self.me.ask("get_rollout", "GET", f"{ROLLOUTS}/{rollout}")).json()
            if said["state"] == "done":
                await self.me.ask("list_rollout_targets", "GET", f"{ROLLOUTS}/{rollout}/targets?limit=100")
                return
            await asyncio.sleep(LOOK_AGAIN)
        self.me.ledger.surprise(f"The rollout {rollout} does not come to its end.")
