"""A web server that is killed while people write: what it answered is there once, what it did not wholly or not at all."""

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.db import connection

from accounts.models import Organisation
from accounts.roles import Role
from pipelines.models import Pin
from tests.config.writers import Disabler, Writer, assert_whole, assigners, at_work
from tests.conftest import user
from tests.pipelines.client.planes import until
from tests.pipelines.client.servers import COMMANDS, killable
from tests.pipelines.rollouts.crowds import build_fleet
from tests.pipelines.test_concurrency import assert_consistent

KILLS = 2  # and more, until one has met somebody in the middle of a write
MOST_KILLS = 8
MANY = 500  # more than are written until the end


def answered(writers: Sequence[Writer]) -> int:
    return sum(len(writer.told) for writer in writers)


def nobody_is_in_a_transaction() -> bool:
    """PostgreSQL takes a moment to notice that a client has died."""
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL "
            "AND pid <> pg_backend_pid()"
        )
        return bool(cursor.fetchone()[0] == 0)


@pytest.mark.parametrize("program", sorted(COMMANDS))
def test_writes_to_a_server_that_is_killed_again_and_again(
    program: str, committed_db: str, organisation: Organisation, tmp_path: Path
) -> None:
    template = build_fleet(organisation, MANY)[0]
    pins = Pin.objects.filter(template=template).order_by("pk")
    with killable(committed_db, tmp_path, program) as server:
        people = assigners(server.url, organisation, list(pins.values_list("pipeline_id", flat=True)), 3)
        editor = user(organisation, "console@acme.example", Role.EDITOR)
        clicker = Disabler(server.url, editor, list(pins.values_list("pk", flat=True)[:100]))
        writers: list[Writer] = [*people, clicker]
        with at_work(writers):
            for number in range(MOST_KILLS):
                before = answered(writers)
                until(lambda before=before: answered(writers) > before + 10, 60)  # type: ignore[misc]  # mypy infers no type for a default
                time.sleep(random.random() / 20)  # noqa: S311  # any moment will do
                server.kill()
                server.start()
                if number + 1 >= KILLS and any(writer.unsure for writer in writers):
                    break
        until(nobody_is_in_a_transaction)
        assert clicker.told
        assert sum(len(writer.unsure) for writer in writers) > 0
        for writer in writers:
            assert_whole(writer)
    assert_consistent(organisation)
