"""SPIFFE as a workload meets it: an agent's Workload API, over real gRPC on a socket."""

import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from authserver.client import AuthorizationServer
from authserver.client.exchange import request_token
from authserver.client.failures import CallFailed, IdentityUnusable, NoAnswer
from authserver.client.suppliers.spiffe import SpiffeSupplier
from authserver.jose.compact import parse
from authserver.oauth import TokenType
from authserver.testing import FakeIssuer
from tests import leaks, mesh
from tests.client.identities import ISSUER, NOW, asked_of_the_system, surroundings
from tests.client.workload_api import WorkloadApi, serving
from tests.mesh import THUMBNAILER
from tests.served import AUDIENCE, IMAGES
from tests.served import serving as authorization_server

SOCKET = "SPIFFE_ENDPOINT_SOCKET"


@pytest.fixture
def trust_domain() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture
def made() -> list[str]:
    """What the agent gave out."""
    return []


@pytest.fixture
def agent(trust_domain: FakeIssuer, made: list[str]) -> Iterator[WorkloadApi]:
    def make(audience: str) -> list[str]:
        made.append(leaks.handled(trust_domain.spiffe_token(THUMBNAILER, audience)))
        return [made[-1], trust_domain.spiffe_token(f"{THUMBNAILER}-2", audience)]

    with serving(make) as api:
        yield api


@pytest.fixture
def supplier(agent: WorkloadApi, home: Path) -> SpiffeSupplier:
    return SpiffeSupplier(surroundings(home, {SOCKET: agent.address}, audience=AUDIENCE, deadline=20))


def test_the_default_identity_is_asked_for_each_time_for_the_audience_that_is_wanted(
    supplier: SpiffeSupplier, agent: WorkloadApi, made: list[str]
) -> None:
    supplier.check(NOW)
    assert agent.asked == []
    for number in range(2):
        offered = supplier.offer(NOW).parameters
        assert offered == {"subject_token": made[number], "subject_token_type": TokenType.JWT.value}
    assert agent.asked == [[AUDIENCE], [AUDIENCE]]


def test_an_address_with_one_slash_is_the_same(agent: WorkloadApi, home: Path) -> None:
    address = agent.address.replace("unix://", "unix:")
    SpiffeSupplier(surroundings(home, {SOCKET: address}, deadline=20)).offer(NOW)
    assert agent.asked == [[ISSUER]]


def test_the_agent_serves_nobody_without_the_header(agent: WorkloadApi) -> None:
    """SPIFFE Workload Endpoint section 3; so the test above shows that the header is sent."""
    with grpc.insecure_channel(agent.address.replace("unix://", "unix:")) as channel:
        call = channel.unary_unary("/SpiffeWorkloadAPI/FetchJWTSVID")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"\x0a\x01a", timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined, unused-ignore]


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, IdentityUnusable, "Register the workload"),
        (grpc.StatusCode.UNAVAILABLE, NoAnswer, "does not answer"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, NoAnswer, "does not answer"),
        (grpc.StatusCode.INVALID_ARGUMENT, IdentityUnusable, "the gRPC status INVALID_ARGUMENT"),
        (grpc.StatusCode.UNIMPLEMENTED, IdentityUnusable, "the gRPC status UNIMPLEMENTED"),
    ],
)
def test_an_agent_that_says_no_is_told_from_one_that_is_away(
    status: grpc.StatusCode, kind: type[CallFailed], said: str, supplier: SpiffeSupplier, agent: WorkloadApi
) -> None:
    agent.status = status
    with pytest.raises(kind, match=said) as failed:
        supplier.offer(NOW)
    assert "colours" not in str(failed.value)


def test_an_agent_that_hangs_is_given_up(agent: WorkloadApi, home: Path) -> None:
    agent.gate.clear()
    hurried = SpiffeSupplier(surroundings(home, {SOCKET: agent.address}, deadline=0.1))
    with pytest.raises(NoAnswer, match="does not answer"):
        hurried.offer(NOW)


@pytest.mark.parametrize("svids", [[], [""], ["not a token"], ["a.b.c"]], ids=["none", "empty", "no JWT", "garbage"])
def test_an_answer_that_holds_no_jwt_svid_is_refused(svids: list[str], home: Path) -> None:
    with serving(lambda _: svids) as agent, pytest.raises(IdentityUnusable, match="no JWT-SVID for this audience"):
        SpiffeSupplier(surroundings(home, {SOCKET: agent.address}, deadline=20)).offer(NOW)


def test_a_jwt_svid_for_somebody_else_is_not_shown(trust_domain: FakeIssuer, home: Path) -> None:
    with serving(lambda _: [trust_domain.spiffe_token(THUMBNAILER, "https://elsewhere.example")]) as agent:
        supplier = SpiffeSupplier(surroundings(home, {SOCKET: agent.address}, deadline=20))
        with pytest.raises(IdentityUnusable, match="no JWT-SVID for this audience"):
            supplier.offer(NOW)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "agent.sock",
        "/run/agent.sock",
        "unix:agent.sock",
        "unix://host/agent.sock",
        "unix:",
        "unix:///",
        "unix:////agent.sock",
        "unix:/a\0b",
        "tcp://127.0.0.1:8000",
        "http://127.0.0.1",
    ],
)
def test_an_address_that_is_no_socket_says_so(address: str, home: Path) -> None:
    supplier = SpiffeSupplier(surroundings(home, {SOCKET: address}))
    assert supplier.present()
    for asked in (supplier.check, supplier.offer):
        with pytest.raises(IdentityUnusable, match="is not the address of a socket"):
            asked(NOW)


def test_an_agent_that_is_not_there_says_so_without_being_asked(tmp_path: Path, home: Path) -> None:
    supplier = SpiffeSupplier(surroundings(home, {SOCKET: f"unix://{tmp_path}/agent.sock"}))
    with pytest.raises(IdentityUnusable, match="where nothing is"):
        supplier.check(NOW)


def test_what_is_there_and_is_no_socket_is_an_agent_that_is_away(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "agent.sock"
    file.touch()
    with pytest.raises(NoAnswer):
        SpiffeSupplier(surroundings(home, {SOCKET: f"unix://{file}"}, deadline=5)).offer(NOW)


def test_the_marker_is_the_variable_alone(home: Path) -> None:
    with asked_of_the_system() as events:
        assert not SpiffeSupplier(surroundings(home)).present()
        assert SpiffeSupplier(surroundings(home, {SOCKET: "unix:///nowhere"})).present()
    assert events == []


def test_without_the_extra_it_says_what_to_install(
    supplier: SpiffeSupplier, agent: WorkloadApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spiffe", None)
    for asked in (supplier.check, supplier.offer):
        with pytest.raises(IdentityUnusable, match=r'pip install "authserver\[spiffe\]"'):
            asked(NOW)
    assert agent.asked == []


@pytest.mark.slow
def test_a_workload_trades_its_jwt_svid_for_a_token(
    supplier: SpiffeSupplier, trust_domain: FakeIssuer, tmp_path: Path
) -> None:
    more = mesh.at(trust_domain.bundle_url)
    with authorization_server(tmp_path / "server", cluster=trust_domain.issuer, more=more) as server:
        token = request_token(AuthorizationServer(server.url), supplier, resource=IMAGES, scope="images:read")
    assert parse(token.value).unverified_claims["sub"] == f"mesh:{THUMBNAILER}"
