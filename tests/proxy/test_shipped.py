"""The configurations of nginx and Envoy that are in deploy/, run as they are: ``make proxy``."""

import base64
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from authserver.testing import FakeIssuer
from tests import leaks
from tests.proxy.programs import Certified, Proxy, certify, running, telling
from tests.served import AUDIENCE, exchange_form, serving

pytestmark = pytest.mark.proxy

PROXIES = ("nginx", "envoy")
FORGED = {
    "Client-Cert": ":AAAA:",
    "Client-Cert-Chain": ":AAAA:, :BBBB:",
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "http",
    "X-Request-Id": "chosen-by-the-caller",
}


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Each proxy, before a server that tells what reached it."""
    with telling() as upstream, running(request.param, tmp_path_factory.mktemp(request.param), upstream) as proxy:
        yield proxy


def byte_sequence(certified: Certified) -> str:
    """The certificate as RFC 9440 section 2.1 has it."""
    return f":{base64.b64encode(certified.der).decode('ascii')}:"


def test_nothing_that_a_caller_writes_in_a_proxys_headers_goes_on(proxy: Proxy) -> None:
    found = proxy.reached(headers=FORGED)
    assert not {"client-cert", "client-cert-chain"} & found.keys()
    (address,) = found["x-forwarded-for"]  # Envoy writes its own for a caller on the same host
    assert ipaddress.ip_address(address) != ipaddress.ip_address(FORGED["X-Forwarded-For"])
    assert found["x-forwarded-proto"] == ["https"]
    (request_id,) = found["x-request-id"]
    assert request_id != "chosen-by-the-caller"
    assert len(request_id) in (32, 36)


def test_a_name_that_only_looks_like_a_proxys_header_does_not_go_on(proxy: Proxy) -> None:
    answer = proxy.ask("POST", "/token", headers={"Client_Cert": ":AAAA:"})
    if proxy.name == "envoy":
        assert answer.status == 400
    else:
        assert not any("client" in name for name, _ in answer.json())


def test_the_certificate_of_the_caller_goes_on_as_rfc_9440_has_it(proxy: Proxy, tmp_path: Path) -> None:
    """Whatever its length, by the byte at which a line of PEM ends."""
    callers = [certify("rsa", rsa.generate_private_key(65537, 4096)), certify("long", padding=1500)]
    callers += [certify("edges", padding=padding) for padding in range(40, 92)]
    for caller in callers:
        found = proxy.reached(certificate=caller.write(tmp_path), headers=FORGED)
        assert found["client-cert"] == [byte_sequence(caller)]
        assert "client-cert-chain" not in found


def test_the_chain_goes_on_where_the_proxy_has_it(proxy: Proxy, tmp_path: Path) -> None:
    root = certify("root")
    above = certify("above", by=root)
    caller = certify("caller", by=above)
    found = proxy.reached(certificate=caller.write(tmp_path, above.certificate, root.certificate), headers=FORGED)
    assert found["client-cert"] == [byte_sequence(caller)]
    if proxy.name == "envoy":
        assert found["client-cert-chain"] == [f"{byte_sequence(above)}, {byte_sequence(root)}"]
    else:
        assert "client-cert-chain" not in found


def test_a_certificate_that_is_too_long_for_nginx_is_none(proxy: Proxy, tmp_path: Path) -> None:
    found = proxy.reached(certificate=certify("huge", padding=3000).write(tmp_path))
    assert ("client-cert" in found) == (proxy.name == "envoy")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/", "/metrics", "/tokens", "//token", "/x/token"])
def test_what_is_not_for_callers_does_not_reach_the_server(proxy: Proxy, path: str) -> None:
    assert proxy.ask("GET", path).status == 404


@pytest.mark.parametrize("path", ["/register/dev_1", "/devices", "/devices/invitations", "/introspect", "/revoke"])
def test_every_endpoint_is_reached(proxy: Proxy, path: str) -> None:
    assert proxy.reached(path=path)


def test_a_body_that_no_endpoint_reads_does_not_reach_the_server(proxy: Proxy) -> None:
    assert proxy.ask("POST", "/token", body=b"x" * 70_000).status == 413


@pytest.mark.parametrize("name", PROXIES)
def test_a_token_is_issued_through_it(name: str, tmp_path: Path) -> None:
    settings = {"keys": 'algorithms = ["ES256"]', "reports": "", "server": 'trusted_proxies = ["127.0.0.1"]'}
    with FakeIssuer() as cluster, serving(tmp_path / "server", cluster=cluster.issuer, **settings) as server:
        (tmp_path / "proxy").mkdir()
        with running(name, tmp_path / "proxy", int(server.url.rpartition(":")[2])) as proxy:
            identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
            answer = proxy.ask("POST", "/token", fields=exchange_form(identity), encode_multipart=False, headers=FORGED)
            assert answer.status == 200
            leaks.handled(answer.json()["access_token"])
            event = server.events()[-1]
            assert ipaddress.ip_address(event["address"]) != ipaddress.ip_address(FORGED["X-Forwarded-For"])
            assert event["request_id"] == answer.headers["X-Request-Id"] != "chosen-by-the-caller"
            keys = [proxy.ask("GET", "/.well-known/jwks.json") for _ in range(2)]
            assert {each.status for each in keys} == {200}
            assert "max-age" in keys[1].headers["Cache-Control"]
            same = proxy.ask("GET", "/.well-known/jwks.json", headers={"If-None-Match": keys[0].headers["ETag"]})
            assert same.status == 304
