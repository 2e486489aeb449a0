"""Clients that work by the clock: so many steps a second, whatever the answers take."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.load.callers import Surprise
from tests.load.ledger import Ledger

PATIENCE = 60.0  # seconds; a machine that is busy with other things would have the clients come for ever

Step = Callable[[int], Awaitable[object]]


async def by_the_clock(ledger: Ledger, step: Step, *, every: float, until: float) -> None:
    """One step after the other, each begun at its time, or as soon as the one before is done if that is later.

    Steps that were missed are made up for, as long as there is patience for it.
    """
    number = 0
    due = time.monotonic()
    while due < until and time.monotonic() < until + PATIENCE:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        ledger.latest = max(ledger.latest, time.monotonic() - due)
        with suppress(Surprise):  # it is in the ledger already, and the others go on
            await step(number)
        number += 1
        due += every
