"""One server for all tests here, since each has an organisation of its own."""

from collections.abc import Generator

import pytest

from accounts.models import Organisation
from tests.config.servers import Served, serving
from tests.databases import current_database_url
from tests.pipelines.feed.clients import FeedReader, processor_token


@pytest.fixture(scope="package")
def feed_server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    with serving(current_database_url(), tmp_path_factory.mktemp("feed"), FEED_HEARTBEAT_SECONDS="1") as served:
        yield served


@pytest.fixture
def reader(committed_db: str, organisation: Organisation, feed_server: Served) -> FeedReader:
    """A processor of the organisation."""
    return FeedReader(feed_server, processor_token(organisation)[1])
