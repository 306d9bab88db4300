from collections.abc import Iterator
from functools import partial

import pytest
from flask.testing import FlaskClient

from authserver.resource import AccessTokenVerifier
from authserver.testing import FakeIssuer, FrozenClock
from tests.devices import DeviceKey
from tests.resource.api import Api
from tests.resource.calls import Device, MakeApp
from tests.resource.calls import make_app as make_application
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


@pytest.fixture
def api(issuer: FakeIssuer, clock: FrozenClock) -> Api:
    return Api(issuer, clock, DeviceKey())


@pytest.fixture
def make_app(issuer: FakeIssuer, clock: FrozenClock) -> MakeApp:
    return partial(make_application, issuer, clock)


@pytest.fixture
def device(issuer: FakeIssuer, clock: FrozenClock) -> Device:
    return Device(issuer, clock)


@pytest.fixture
def client(make_app: MakeApp) -> Iterator[FlaskClient]:
    with make_app().test_client() as client:
        yield client
