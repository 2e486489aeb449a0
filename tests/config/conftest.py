"""The demo organisation, and its admin."""

import pytest

from accounts.models import Organisation
from accounts.roles import Role
from pipelines.demo import load_demo
from tests.clients import Api
from tests.config.writes import Write, api_of, writes


@pytest.fixture
def demo(db: None) -> Organisation:
    return load_demo()


@pytest.fixture
def requests(demo: Organisation) -> dict[str, Write]:
    return writes(demo)


@pytest.fixture
def boss(demo: Organisation) -> Api:
    return api_of(Role.ADMIN)
