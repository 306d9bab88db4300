"""One application for all tests of a module."""

from collections.abc import Iterator

import pytest

from authserver.testing import FakeIssuer, FrozenClock
from tests.explain.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The application, the issuer of its callers, and the file that both it and ``explain`` were started with."""
    clock = FrozenClock()
    with FakeIssuer(clock=clock) as issuer:
        made = World(tmp_path_factory.mktemp("explain"), issuer, clock)
        yield made
        made.service.close()
