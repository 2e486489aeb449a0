"""What holds for every write, whichever it is: dry runs and preconditions."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from accounts.models import Organisation
from accounts.roles import Role
from pipelines.demo import login
from tests.clients import Api
from tests.config.writes import CHANGES, NAMES, OF_PROCESSORS, POSTS, Write, done, everything

GONE = ("delete", "remove", "discard", "revert")  # what is answered is not that object any more


def test_every_write_of_the_address_map_is_tried_here(requests: dict[str, Write]) -> None:
    described: Any = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]  # typed in part only
    paths = described["paths"].items()
    offered = {
        one["operationId"]: {parameter["name"] for parameter in one.get("parameters", [])}
        for path, item in paths
        for method, one in item.items()
        if method != "get" and "/auth/" not in path
    }
    assert set(offered) - OF_PROCESSORS == set(NAMES) == set(requests)
    assert all("dry_run" in parameters for parameters in offered.values())
    assert {name for name, parameters in offered.items() if "If-Match" in parameters} == set(CHANGES)
    assert {name for name, parameters in offered.items() if "Idempotency-Key" in parameters} == {*POSTS, *OF_PROCESSORS}


def test_a_dry_run_keeps_nothing_whatever_it_tries(boss: Api, requests: dict[str, Write]) -> None:
    before = everything()
    tried = {name: write.send(boss, "?dry_run=true") for name, write in requests.items()}
    assert {name: answer.status_code for name, answer in tried.items()} == {name: done(name) for name in NAMES}
    assert {answer["Dry-Run"] for answer in tried.values()} == {"true"}
    assert everything() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_answers_what_the_real_thing_then_answers(name: str, boss: Api, requests: dict[str, Write]) -> None:
    before = everything()
    tried = requests[name].send(boss, "?dry_run=true")
    real = requests[name].send(boss, "?dry_run=false")
    assert everything() != before
    assert (tried.status_code, set(tried.json())) == (real.status_code, set(real.json()))
    assert "Dry-Run" not in real


def test_a_misspelt_dry_run_is_refused_and_does_nothing(boss: Api, requests: dict[str, Write]) -> None:
    before = everything()
    queries = "?dry_run=1", "?dry_run=True", "?dry_run=", "?dry_run=true&dry_run=false", "?dryrun=true"
    answers = {(name, query): write.send(boss, query) for name, write in requests.items() for query in queries}
    acted = {asked: answer.content for asked, answer in answers.items() if answer.status_code != 400}
    assert acted == {}
    assert everything() == before


def test_a_refused_dry_run_says_the_same_as_the_real_thing(boss: Api, demo: Organisation) -> None:
    body = {"name": "Web Shop", "slug": "web-shop"}
    tried, real = boss.post("pipelines?dry_run=true", body), boss.post("pipelines", body)
    assert tried.status_code == real.status_code == 409
    assert tried.json() == real.json()


@pytest.mark.parametrize("path", ["auth/login", "auth/refresh", "auth/logout"])
def test_logging_in_has_no_dry_run(path: str, nobody: Api) -> None:
    answer = nobody.post(f"{path}?dry_run=true", login(Role.VIEWER))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Logins have no dry run. Leave dry_run out."


def test_a_change_to_something_else_than_was_seen_is_refused(boss: Api, requests: dict[str, Write]) -> None:
    before = everything()
    for name in CHANGES:
        seen = boss.get(requests[name].reads)
        for stale in ('"stale"', "", "garbage", '"', '"a", "b"', '"*"', "ÿ", f"W/{seen['ETag']}"):
            answer = requests[name].send(boss, If_Match=stale)
            assert (name, stale, answer.status_code) == (name, stale, 412)
            assert answer.json()["error"]["code"] == "PRECONDITION_FAILED"
            assert answer.json()["current"] == seen.json()
            assert answer["ETag"] == seen["ETag"]
    assert everything() == before


def test_a_change_to_what_was_seen_is_made(boss: Api, requests: dict[str, Write]) -> None:
    for name in CHANGES:
        etag = boss.get(requests[name].reads)["ETag"]
        for seen in (etag, "*", f'"other", {etag}', f'{etag}  ,"other"'):
            answer = requests[name].send(boss, "?dry_run=true", If_Match=seen)
            assert (name, seen, answer.status_code) == (name, seen, done(name))


@pytest.mark.parametrize("name", [name for name in CHANGES if not name.startswith(GONE)])
def test_an_object_has_a_new_tag_after_each_change(name: str, boss: Api, requests: dict[str, Write]) -> None:
    write = requests[name]
    before = boss.get(write.reads)["ETag"]
    changed = write.send(boss)["ETag"]
    assert changed != before
    assert boss.get(write.reads)["ETag"] == changed


def test_who_has_the_newest_state_already_is_told_so(boss: Api, requests: dict[str, Write]) -> None:
    for path in {requests[name].reads for name in CHANGES}:
        etag = boss.get(path)["ETag"]
        for known in (etag, f"W/{etag}", "*", f'"old", {etag}'):
            answer = boss.get(path, If_None_Match=known)
            assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)
            assert boss.client.head(f"/v1/admin/{path}", headers={"If-None-Match": known}).status_code == 304
        assert boss.get(path, If_None_Match='"old"').status_code == 200
