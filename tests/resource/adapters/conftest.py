"""Every test that asks for ``make`` or ``make_whole`` runs on every adapter."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.adapters import django_app, fastapi_app, flask_app, plain_app, starlette_app
from tests.resource.adapters.views import Make, Whole
from tests.resource.adapters.wire import Application
from tests.resource.calls import Device
from tests.resource.environment import AUDIENCE

ADAPTERS: Final[dict[str, tuple[Make, Callable[..., Application]]]] = {
    "flask": (flask_app.make, flask_app.make_whole),
    "plain": (plain_app.make, plain_app.make_whole),
    "starlette": (starlette_app.make, starlette_app.make_whole),
    "fastapi": (fastapi_app.make, fastapi_app.make_whole),
    "django-sync": (django_app.make_sync, django_app.make_whole_sync),
    "django-async": (django_app.make_async, django_app.make_whole_async),
}

WHOLE: Final = Whole()


@pytest.fixture
def settings(issuer: FakeIssuer, clock: FrozenClock) -> dict[str, Any]:
    return {"issuer": issuer.issuer, "audience": AUDIENCE, "clock": clock, "scopes": ["images:read"]}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def make(adapter: str, settings: dict[str, Any]) -> Make:
    """Makes the application of the contract."""
    makes, _ = ADAPTERS[adapter]
    return lambda **options: makes(**{**settings, **options})


@pytest.fixture
def app(make: Make) -> Application:
    return make()


@pytest.fixture
def make_whole(adapter: str, settings: dict[str, Any]) -> Callable[..., Application]:
    """Makes an application that is protected as a whole."""
    _, makes = ADAPTERS[adapter]
    return lambda whole=WHOLE, **options: makes(whole, **{**settings, **options})


@pytest.fixture
def make_all(settings: dict[str, Any]) -> dict[str, Make]:
    """The makers of every adapter at once."""
    return {name: partial(makes, **settings) for name, (makes, _) in ADAPTERS.items()}


@pytest.fixture
def bearer(issuer: FakeIssuer) -> tuple[str, str]:
    return "Authorization", f"Bearer {issuer.access_token(AUDIENCE, 'images:read')}"


@pytest.fixture
def phone(issuer: FakeIssuer, clock: FrozenClock) -> Device:
    """A device with a token that is bound to its key."""
    return Device(issuer, clock)
