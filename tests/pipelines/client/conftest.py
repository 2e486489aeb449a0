"""What the tests of the client share."""

from collections.abc import Generator

import pytest

from tests.pipelines.client.planes import Plane, plane


@pytest.fixture
def scripted() -> Generator[Plane]:
    with plane() as here:
        yield here
