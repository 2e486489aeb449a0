"""A long answer ends with the right to it, however long ago it was asked for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any

import pytest

from accounts.errors import Unavailable
from accounts.models import ApiToken, Organisation
from accounts.tokens import revoke_token
from pipelines.feed.clerks import Clerks
from pipelines.feed.serving.memory import Memory, Message, Reader
from pipelines.feed.serving.pieces import send_pieces
from pipelines.feed.serving.readers import identify
from pipelines.feed.serving.watching import CHECK_EVERY, FORGOTTEN_AFTER, Watcher
from tests.factories import system
from tests.loops import run_async
from tests.pipelines.feed.clients import processor_token


async def without_end() -> AsyncIterator[bytes]:
    while True:
        yield b"{}\n"
        await asyncio.sleep(0.02)


async def take(message: Message) -> None:
    """What a client does that reads all."""


async def stay() -> Mapping[str, Any]:
    await asyncio.sleep(60)
    return {"type": "http.disconnect"}


def test_a_snapshot_of_a_token_that_asked_for_nothing_else_for_long_ends_when_that_is_revoked(
    committed_db: str, organisation: Organisation
) -> None:
    token, secret = processor_token(organisation)

    async def run() -> tuple[int, int, Mapping[str, Reader]]:
        memory, clerks = Memory(1000), Clerks(1)
        watcher = Watcher(memory, clerks)
        try:
            reader = await idle_reader(memory, clerks, secret)
            sending = asyncio.create_task(send_pieces(without_end(), reader, stay, take))
            await watcher.ready()
            await asyncio.sleep(2 * CHECK_EVERY)
            open_before = reader.open
            await clerks.read("revoke", lambda: revoked(token, organisation))
            with pytest.raises(Unavailable, match="lost its right"):
                await asyncio.wait_for(sending, 3)
            return open_before, reader.open, memory.readers
        finally:
            await watcher.stop()
            clerks.dismiss()

    assert run_async(run()) == (1, 0, {})


async def idle_reader(memory: Memory, clerks: Clerks, secret: str) -> Reader:
    standing, head = await clerks.read("identify", lambda: identify(secret))
    organisation = memory.organisation(standing.organisation_id, head)
    reader = Reader(standing.token_id, organisation, standing.expires_at, standing.pipelines)
    reader.last_asked = monotonic() - FORGOTTEN_AFTER - 1
    memory.readers[standing.token_hash] = reader
    return reader


def revoked(token: ApiToken, organisation: Organisation) -> None:
    revoke_token(actor=system(organisation), token_id=token.pk)
