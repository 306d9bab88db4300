"""One server for the tests of this folder, a workload with rules on it, and tokens that the server issued to it."""

from collections.abc import Callable, Iterator

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.served import AUDIENCE, IMAGES, REPORTS, Server, serving

WORKLOAD = "cluster:system:serviceaccount:media:thumbnailer"
"""The ``sub`` and the ``client_id`` in every token that is issued here."""

RESOURCES = [(IMAGES, "images:read", "ES256"), (REPORTS, "reports:read", "RS256")]
"""Each resource with a scope of it and the algorithm that its tokens are signed with."""

Issue = Callable[[str, str], str]


@pytest.fixture(scope="package")
def cluster() -> Iterator[FakeIssuer]:
    """The issuer of identities."""
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="package")
def server(cluster: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``authserver serve``; tokens for images are signed with ES256, and those for reports with RS256."""
    with serving(tmp_path_factory.mktemp("interop"), cluster=cluster.issuer) as server:
        yield server


@pytest.fixture
def identity(cluster: FakeIssuer) -> str:
    """The projected token of a service account that has rules."""
    return leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))


@pytest.fixture
def issue(server: Server, identity: str) -> Issue:
    """Exchange the projected token for an access token, for a resource and with a scope."""

    def exchange(resource: str, scope: str) -> str:
        answer = server.token(identity, resource=resource, scope=scope)
        assert answer.status == 200, answer.json["error"]
        return str(answer.json["access_token"])

    return exchange
