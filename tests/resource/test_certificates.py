"""Tokens that are bound to a client certificate (RFC 8705 section 3), and where a certificate is found."""

import asyncio
import base64
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from authserver.certificate import ClientCertificate
from authserver.errors import CredentialRejected, Reason
from authserver.resource import AccessTokenVerifier
from authserver.resource.certificates import CertificateFinder
from authserver.resource.protection import Protection
from authserver.testing import FakeIssuer, FrozenClock
from tests.authority import Authority, Certified, dns
from tests.devices import DeviceKey
from tests.resource.environment import AUDIENCE

PROXY, STRANGER = "10.0.0.5", "203.0.113.7"


@pytest.fixture(scope="module")
def mine() -> Certified:
    return Authority(now=FrozenClock()()).issue(dns("backup.example.com"))


@pytest.fixture(scope="module")
def other() -> Certified:
    return Authority(now=FrozenClock()()).issue(dns("backup.example.com"))


@pytest.fixture
def token(issuer: FakeIssuer, mine: Certified) -> str:
    return bound(issuer, mine)


def bound(issuer: FakeIssuer, certified: Certified, **more: str) -> str:
    confirmation = {"x5t#S256": ClientCertificate(certified.der).thumbprint, **more}
    return issuer.access_token(AUDIENCE, "images:read", cnf=confirmation)


def refused(verifier: AccessTokenVerifier, token: str, certificate: bytes | None) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        verifier.verify(token, certificate)
    with pytest.raises(CredentialRejected) as again:
        asyncio.run(verifier.verify_async(token, certificate))
    assert refusal.value.reason is again.value.reason
    return refusal.value.reason


# At the verifier


def test_a_token_is_accepted_with_the_certificate_that_it_names(
    verifier: AccessTokenVerifier, token: str, mine: Certified
) -> None:
    """R71"""
    verified = verifier.verify(token, mine.der)
    assert verified.certificate_thumbprint == ClientCertificate(mine.der).thumbprint
    assert verified.thumbprint is None
    assert asyncio.run(verifier.verify_async(token, mine.der)) == verified


def test_it_is_refused_without_it_and_with_another_each_time(
    verifier: AccessTokenVerifier, token: str, mine: Certified, other: Certified
) -> None:
    """R71: also where the token is remembered."""
    for _ in range(2):
        assert refused(verifier, token, None) is Reason.CERTIFICATE_MISSING
        assert refused(verifier, token, other.der) is Reason.CERTIFICATE_WRONG
        verifier.verify(token, mine.der)


def test_a_certificate_makes_no_token_better(
    verifier: AccessTokenVerifier, issuer: FakeIssuer, mine: Certified
) -> None:
    unbound = verifier.verify(issuer.access_token(AUDIENCE), mine.der)
    assert unbound.certificate_thumbprint is None
    device = DeviceKey()
    to_a_key = issuer.access_token(AUDIENCE, cnf={"jkt": device.thumbprint})
    assert refused(verifier, to_a_key, mine.der) is Reason.SENDER_UNPROVEN
    assert refused(verifier, bound(issuer, mine, jkt=device.thumbprint), mine.der) is Reason.SENDER_UNPROVEN


def test_an_api_that_takes_bound_tokens_only_takes_these(
    issuer: FakeIssuer, clock: FrozenClock, token: str, mine: Certified
) -> None:
    strict = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock, sender_constrained=True)
    strict.verify(token, mine.der)
    assert refused(strict, issuer.access_token(AUDIENCE), mine.der) is Reason.SENDER_UNPROVEN


# Where it is from


def headers(certified: Certified) -> dict[str, str]:
    return {"client-cert": f":{base64.b64encode(certified.der).decode('ascii')}:"}


def found(where: Any, sent: Mapping[str, str], peer: str, tls: ClientCertificate | None = None) -> bytes | None:
    finder = CertificateFinder(where)
    certificate = finder.find(lambda: tls, lambda name: (sent[name],) if name in sent else (), peer)
    return None if certificate is None else certificate.leaf


def test_a_header_is_believed_of_the_proxies_that_are_named_alone(mine: Certified) -> None:
    """R72"""
    for peer in (PROXY, f"::ffff:{PROXY}"):
        assert found([PROXY], headers(mine), peer) == mine.der
    assert found(["10.0.0.0/8", "2001:db8::/32"], headers(mine), "2001:db8::1") == mine.der
    for peer in (STRANGER, "", "unix:", "10.0.0.50", "::1"):
        assert found([PROXY], headers(mine), peer) is None


def test_the_connection_and_the_proxy_are_not_mixed_up(mine: Certified, other: Certified) -> None:
    """What a proxy shows of itself is not its caller's, and what a caller writes is not its connection's."""
    of_the_proxy = ClientCertificate(other.der)
    assert found([PROXY], {}, PROXY, of_the_proxy) is None
    assert found([PROXY], headers(mine), STRANGER, of_the_proxy) is None
    assert found("tls", headers(mine), PROXY, None) is None
    assert found("tls", headers(mine), PROXY, of_the_proxy) == other.der


def test_what_a_proxy_writes_in_another_form_is_no_certificate(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "authserver.resource"):
        assert found([PROXY], {"client-cert": "-----BEGIN%20CERTIFICATE-----"}, PROXY) is None
    assert "RFC 9440" in caplog.text
    assert "BEGIN" not in caplog.text


@pytest.mark.parametrize(
    "where", ["", "header", "10.0.0.5", [], ["proxy.example"], ["0.0.0.0/0"], ["::/0"], ["10.0.0.1/8"]]
)
def test_a_place_that_is_none_is_refused(where: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some of the words are the standard library's
        Protection(issuer="https://auth.example.com", audience=AUDIENCE, client_certificates=where)


def test_the_metadata_says_what_is_taken() -> None:
    """R100; RFC 9728 section 2"""
    for where, strict, members in (
        (None, False, {}),
        (None, True, {"dpop_bound_access_tokens_required": True}),
        ("tls", False, {"tls_client_certificate_bound_access_tokens": True}),
        ([PROXY], True, {"tls_client_certificate_bound_access_tokens": True}),
    ):
        protection = Protection(
            issuer="https://auth.example.com", audience=AUDIENCE, client_certificates=where, sender_constrained=strict
        )
        body = protection.metadata.body.decode("ascii")
        for member in ("dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens"):
            assert (f'"{member}": true' in body) is (member in members)
