from collections.abc import Iterator

import pytest

from authserver.resource import AccessTokenVerifier
from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.environment import AUDIENCE


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def issuer(clock: FrozenClock) -> Iterator[FakeIssuer]:
    with FakeIssuer(clock=clock) as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer: FakeIssuer, clock: FrozenClock) -> AccessTokenVerifier:
    return AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)
