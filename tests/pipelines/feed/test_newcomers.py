"""A processor that comes while the feed asks the database which tokens are still good."""

import time
from typing import Any

import pytest

from accounts.models import ApiToken, Organisation
from pipelines.feed.clerks import Clerks
from pipelines.feed.reading import Head
from pipelines.feed.serving import watching
from pipelines.feed.serving.memory import Memory, Reader
from pipelines.feed.serving.watching import Watcher
from tests.loops import run_async
from tests.pipelines.feed.clients import processor_token


def test_a_token_that_comes_while_the_database_is_asked_is_not_taken_for_revoked(
    committed_db: str, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(1000)
    known = memory.organisation(organisation.pk, Head("", 0))
    first, second = (processor_token(organisation)[0] for _ in range(2))
    ask = watching._ask  # noqa: SLF001  # the one place between the question and its answer

    def come(token: ApiToken) -> Reader:
        reader = Reader(token.pk, known, time.time() + 60, None, last_asked=time.monotonic())
        return memory.readers.setdefault(token.token_hash, reader)

    def ask_while_somebody_comes(asked: Any) -> Any:
        come(second)
        return ask(asked)

    async def run() -> None:
        clerks = Clerks(1)
        watcher = Watcher(memory, clerks)
        try:
            await watcher.ready()
        finally:
            await watcher.stop()
            clerks.dismiss()

    monkeypatch.setattr(watching, "_ask", ask_while_somebody_comes)
    come(first)
    run_async(run())
    assert {key: reader.live for key, reader in memory.readers.items()} == {
        first.token_hash: True,
        second.token_hash: True,
    }
