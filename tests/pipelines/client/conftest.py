"""What the tests of the client share: a scripted control plane, and a real one with its operator and a processor."""

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from accounts.credentials import access_token
from accounts.models import Organisation, User
from accounts.roles import Role
from pipelines.client import Client
from pipelines.models import Pin, Pipeline
from tests.conftest import token
from tests.databases import current_database_url
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, wishes
from tests.pipelines.client.planes import Plane, plane
from tests.pipelines.client.servers import KillableServer, Operator, killable

Connect = Callable[..., Client]


@pytest.fixture
def scripted() -> Generator[Plane]:
    with plane() as here:
        yield here


@pytest.fixture(scope="package")
def one_server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[KillableServer]:
    """One for all tests, since each has an organisation of its own."""
    with killable(current_database_url(), tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def server(one_server: KillableServer) -> KillableServer:
    """It runs, whatever the test before did to it."""
    if not one_server.runs:
        one_server.start()
    return one_server


@pytest.fixture
def operator(committed_db: str, admin_user: User, server: KillableServer) -> Generator[Operator]:
    with closing(Operator(server.url, access_token(admin_user))) as somebody:
        yield somebody


@pytest.fixture
def processor_token(committed_db: str, organisation: Organisation) -> str:
    return token(organisation, Role.PROCESSOR)[1]


@pytest.fixture
def pipeline(committed_db: str, organisation: Organisation) -> Pipeline:
    """With Meta CAPI at revision 1 of 2, and GA4, which takes its measurement id from the pipeline."""
    made: Pipeline = PipelineFactory(
        organisation=organisation, name="Shop", parameters=wishes(ga4_measurement_id="G-1")
    )
    return made


@pytest.fixture
def meta(organisation: Organisation, pipeline: Pipeline) -> Pin:
    template = TemplateFactory(organisation=organisation, revisions=2)
    made: Pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template, number=1)
    return made


@pytest.fixture
def ga4(organisation: Organisation, pipeline: Pipeline) -> Pin:
    template = TemplateFactory(organisation=organisation, vendor="ga4")
    made: Pin = PinFactory(organisation=organisation, pipeline=pipeline, template=template)
    return made


@pytest.fixture
def connect(server: KillableServer, processor_token: str, tmp_path: Path) -> Connect:
    """Makes clients, of the real server and with one file for all unless told otherwise."""

    def connected(url: str = server.url, **more: Any) -> Client:
        usual = {"store": tmp_path / "pinion.state", "instance": None, "poll_seconds": 1.0, "report_seconds": 1.0}
        return Client(url, processor_token, **{**usual, **more})

    return connected
