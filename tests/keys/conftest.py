"""What pytest hands to the tests of this room."""

from collections.abc import Callable

import pytest

from authserver.keys.schedule import NewKey
from tests.keys.fixtures import key_maker


@pytest.fixture
def make() -> Callable[[str], NewKey]:
    maker = key_maker()
    for _ in range(10):
        maker("ES256")  # identifiers unlike those of new_ring()
    return maker
