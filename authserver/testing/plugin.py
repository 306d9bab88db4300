"""The pytest plugin. It is there wherever this package and pytest are installed; ``-p no:authserver`` leaves it out.

    @pytest.fixture
    def token_audience():
        return "https://images.example.com"

    def test_a_reader_gets_in(client, access_token):
        headers = {"Authorization": "Bearer " + access_token("images:read")}
        assert client.get("/images", headers=headers).status_code == 200

Override a fixture in ``conftest.py`` to have it another way. For an application that exists once in a run, define a
``fake_issuer`` there that has the scope ``session``: the other fixtures use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

# Imported when a fixture is used: this module is imported by every run of pytest, whatever it tests.
if TYPE_CHECKING:
    from collections.abc import Iterator

    from authserver.testing.device import FakeDevice
    from authserver.testing.issuer import FakeIssuer
    from authserver.testing.tokens import AccessTokens


@pytest.fixture
def fake_issuer() -> Iterator[FakeIssuer]:
    """An issuer with real keys and real HTTP on loopback, new for each test: a few milliseconds."""
    from authserver.testing.issuer import FakeIssuer

    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def token_audience() -> str | None:
    """The audience of the API under test: override it. None here, so that each call has to name one."""
    return None


@pytest.fixture
def access_token(fake_issuer: FakeIssuer, token_audience: str | None) -> AccessTokens:
    """Makes access tokens: ``access_token("images:read", subject="cluster:thumbnailer", expired=True)``."""
    from authserver.testing.tokens import AccessTokens

    return AccessTokens(fake_issuer, token_audience)


@pytest.fixture
def dpop_device(fake_issuer: FakeIssuer, token_audience: str | None) -> FakeDevice:
    """A device with a key of its own: ``dpop_device.headers("GET", url, scope="images:read")``."""
    from authserver.testing.device import FakeDevice

    return FakeDevice(fake_issuer, token_audience)
