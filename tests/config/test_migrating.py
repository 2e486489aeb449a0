"""Several who migrate at once, one who is killed, and those who are to serve meanwhile."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

from tests.config.migrating import migrate, schema_here
from tests.config.servers import serving
from tests.config.test_servers import ask
from tests.pipelines.rollouts.terminals import in_pipes, line_of

MIGRATES_FOR_EVER = """
import time
from django.db import connection
from config.migrating import migrate_alone

def migrate():
    print("begun", flush=True)
    time.sleep(600)

migrate_alone(connection, migrate, print)
"""
BEFORE_THE_LATEST = ("pipelines", "0006_rollout_rules")


@contextmanager
def there(url: str) -> Generator[None]:
    """What the tests ask meanwhile is asked of that database."""
    name = url.partition("///")[2].partition("?")[0]
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = f"/{name.lstrip('/')}" if connection.vendor == "sqlite" else name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def schema_of(url: str) -> set[tuple[Any, ...]]:
    with there(url):
        return schema_here()


def together(url: str, count: int) -> list[str]:
    """What each of so many said who migrate at once, and all of whom are content at the end."""
    with ExitStack() as stack:
        processes = [stack.enter_context(in_pipes(url, "migrate")) for _ in range(count)]
        told = [process.communicate(timeout=100) for process in processes]
        assert [process.returncode for process in processes] == [0] * count, told
    return [wrong for _, wrong in told]


def test_two_who_migrate_an_empty_database_at_once_are_both_content(committed_db: str, spare_database: str) -> None:
    wanted = schema_here()
    told = together(spare_database, 2)
    assert sum("Another process migrates this database" in wrong for wrong in told) <= 1
    assert schema_of(spare_database) == wanted


def test_two_who_migrate_from_the_migration_before_at_once_are_both_content(
    committed_db: str, spare_database: str
) -> None:
    wanted = schema_here()
    migrate(spare_database, *BEFORE_THE_LATEST)
    together(spare_database, 2)
    assert schema_of(spare_database) == wanted


def test_a_server_is_not_ready_until_all_is_migrated_and_who_is_killed_meanwhile_leaves_the_turn_to_the_next(
    committed_db: str, spare_database: str, tmp_path: Path
) -> None:
    wanted = schema_here()
    migrate(spare_database, *BEFORE_THE_LATEST)
    with ExitStack() as stack:
        first = stack.enter_context(in_pipes(spare_database, "shell", "--verbosity", "0", "-c", MIGRATES_FOR_EVER))
        assert line_of(first.stdout) == "begun\n"
        following = stack.enter_context(in_pipes(spare_database, "migrate"))
        assert line_of(following.stderr) == "Another process migrates this database. Waiting for it to end …\n"
        served = stack.enter_context(serving(spare_database, tmp_path))
        status, _, said = ask(served, "GET", "/readyz")
        assert (status, said["database"]) == (503, "migrations pending")
        assert ask(served, "GET", "/livez")[0] == 200
        first.kill()
        assert following.wait(timeout=60) == 0
        status, _, said = ask(served, "GET", "/readyz")
        assert (status, said["database"]) == (200, "ok")
    assert schema_of(spare_database) == wanted
