"""Real servers: our own command, gunicorn, several processes, SQLite."""

from collections.abc import Iterator

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.served import AUDIENCE, Server


@pytest.fixture(params=["gunicorn", "granian"])
def either_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test under each server. The name of this one."""
    name = str(request.param)
    monkeypatch.setattr(Server, "options", ("--server", name))
    return name


@pytest.fixture
def cluster() -> Iterator[FakeIssuer]:
    """The issuer of identities."""
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture
def identity(cluster: FakeIssuer) -> str:
    """The identity token of a service account that has rules."""
    return leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
