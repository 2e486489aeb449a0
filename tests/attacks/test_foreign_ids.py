"""The ids of another organisation, in every place of every operation that takes a text: as if no row had them.

The places come from the description of the API, which a test holds equal to the address map, so nothing that is added
is left out. Each is filled with an id of each kind that exists elsewhere, and with one that exists nowhere.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import reset_queries, transaction
from django.urls import URLPattern, get_resolver

from accounts.models import Organisation
from accounts.roles import Role
from pipelines.demo import load_demo
from pipelines.models import ConfigurationHead
from tests.attacks.operations import PARAMETER, SESSIONS, Description, Place, Request, requests_in
from tests.attacks.organisations import Ids, everything, ids_of, missing, nowhere, told
from tests.clients import JSON, Api
from tests.committed import Rows, rows_of
from tests.config.servers import serving
from tests.config.writes import api_of
from tests.conftest import token
from tests.factories import PipelineFactory
from tests.pipelines.feed.clients import FeedReader, processor_token
from tests.queries import count_queries

OF_NOBODY = ("vendor", "key")  # no row of an organisation
UNDESCRIBED = {"/v1/openapi.json", "/v1/docs", "/metrics"}  # which take no parameter at all


@pytest.fixture
def demo(db: None) -> Organisation:
    return load_demo()


@pytest.fixture
def requests(demo: Organisation) -> dict[str, Request]:
    return requests_in(demo)


def test_the_description_has_every_address_of_the_address_map() -> None:
    described = {PARAMETER.sub("{}", address) for _, address, _ in Description().operations()}
    patterns = [entry for entry in get_resolver().url_patterns if isinstance(entry, URLPattern)]
    mapped = {PARAMETER.sub("{}", f"/{each.pattern}".replace("<str:", "{").replace(">", "}")) for each in patterns}
    assert mapped - UNDESCRIBED == described


def test_every_operation_has_a_request_that_is_right(requests: dict[str, Request], demo: Organisation) -> None:
    """So that what is refused below is refused for the id alone."""
    refused = {}
    for name, request in requests.items():
        role = "processor" if "/runtime/" in request.address else "admin"
        (status, _, body), _ = asked(bearer_of(demo, role), request)
        expected = {"log_in": 401, "refresh_session": 401}.get(name, 501 if "/runtime/" in request.address else 0)
        if status >= 400 and status != expected and name != "send_report":
            refused[name] = status, body
    assert refused == {}


@pytest.mark.parametrize("role", ["admin", "editor", "viewer", "processor"])
def test_an_id_of_another_organisation_is_one_that_nobody_has(
    role: str, requests: dict[str, Request], demo: Organisation, other_organisation: Organisation
) -> None:
    api, told_apart = bearer_of(demo, role), []
    before_them = everything()
    theirs = ids_of(other_organisation)
    before = everything()
    their_rows = missing(before, before_them)
    for request, place, schema in places_in(requests):
        for kind, value in kinds_for(role, theirs).items():
            foreign = request.holding(place, schema, value)
            missed = request.holding(place, schema, nowhere(theirs)[kind])
            answers = asked(api, foreign, value, their_rows=their_rows), asked(api, missed, nowhere(theirs)[kind])
            if answers[0] != answers[1]:
                told_apart.append((request.operation, place, kind, *answers))
    assert told_apart == []
    assert everything() == before


def test_an_id_of_ones_own_is_told_from_one_that_nobody_has(requests: dict[str, Request], demo: Organisation) -> None:
    """So that the places above are places where an id is looked for."""
    ours, api, alike = ids_of(demo), bearer_of(demo, "admin"), []
    for request, place, schema in places_in(requests):
        is_first = place == ("path", next(iter(PARAMETER.findall(request.address)), ""))
        if is_first and "/runtime/" not in request.address and place[1] not in OF_NOBODY:
            pairs = [(value, nowhere(ours)[kind]) for kind, value in ours.items()]
            told_of = [[asked(api, request.holding(place, schema, id), id)[0] for id in pair] for pair in pairs]
            if all(one == none for one, none in told_of):
                alike.append((request.operation, place))
    assert alike == []


def kinds_for(role: str, ids: Ids) -> Ids:
    """Every kind for who may ask the most; the others come by the same way, and are told to go earlier if at all."""
    return ids if role == "admin" else {kind: ids[kind] for kind in ("pipeline", "pin")}


def places_in(requests: dict[str, Request]) -> Iterator[tuple[Request, Place, dict[str, Any]]]:
    description = Description()
    for _, address, operation in description.operations():
        request = requests[operation["operationId"]]
        for place, schema in description.places(address, operation):
            yield request, place, schema
        if len(names := PARAMETER.findall(address)) > 1:
            yield request, ("path", *names), {}


def asked(api: Api, request: Request, *values: str, their_rows: Rows | None = None) -> tuple[Any, int]:
    """What the answer tells, and how many statements it took. What it has changed is looked at and taken back."""
    reset_queries()
    with transaction.atomic():
        with count_queries() as queries:
            answer = api.client.generic(
                request.method,
                request.where,
                b"" if request.body is None else json.dumps(request.body).encode(),
                JSON,
                query_params=dict(request.query),
            )
        if answer.status_code < 400 and request.method != "GET":
            assert missing(their_rows or {}, rows_of(their_rows or {})) == {}, request
        if answer.status_code < 400 or request.address.startswith(SESSIONS):  # failed logins are counted
            transaction.set_rollback(True)
    return told(answer, *values), len(queries)


def bearer_of(organisation: Organisation, role: str) -> Api:
    return Api(token(organisation, Role.PROCESSOR)[1]) if role == "processor" else api_of(Role(role))


def test_the_feed_tells_a_pipeline_of_another_organisation_from_none_as_little(
    committed_db: str, organisation: Organisation, other_organisation: Organisation, tmp_path: Path
) -> None:
    """It is served before Django, where the test client does not come."""
    PipelineFactory(organisation=organisation)
    theirs = PipelineFactory(organisation=other_organisation)
    epoch = ConfigurationHead.objects.get(organisation=other_organisation).epoch
    before = everything()
    with serving(committed_db, tmp_path) as served:
        ours = FeedReader(served, processor_token(organisation)[1])
        others = FeedReader(served, processor_token(other_organisation)[1])
        assert others.pipeline(theirs.pk).status == others.pipeline(theirs.pipeline_key).status == 200
        after = others.changes(since=0, limit=1).body
        told_of = [ours.pipeline(name) for name in (theirs.pk, theirs.pipeline_key, "pip_0000000000000000")]
        epochs = [ours.changes(since=0, epoch=each) for each in (epoch, "ep_0000000000000000")]
    assert [each.code for each in told_of] == [(404, "NOT_FOUND")] * 3
    assert told_of[0].body == told_of[1].body == told_of[2].body
    assert [each.code for each in epochs] == [(410, "GONE")] * 2
    assert epochs[0].body == epochs[1].body
    assert after["changes"][0]["pipeline_id"] == theirs.pk
    assert missing(before, everything()) == {}
