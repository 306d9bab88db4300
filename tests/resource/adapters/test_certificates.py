"""Tokens that are bound to a client certificate, through every adapter."""

import base64
from typing import Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import create_environ

from authserver.certificate import ClientCertificate
from authserver.resource.asgi_messages import client_certificate as of_scope
from authserver.resource.certificates import CertificateFinder
from authserver.resource.wsgi import client_certificate as of_environ
from authserver.testing import FakeIssuer, FrozenClock
from tests.authority import Authority, Certified, dns
from tests.resource.adapters.views import Make
from tests.resource.adapters.wire import OUTSIDE, Call
from tests.resource.environment import AUDIENCE

TLS = CertificateFinder("tls")


@pytest.fixture(scope="module")
def mine() -> Certified:
    return Authority(now=FrozenClock()()).issue(dns("backup.example.com"))


def call(token: str, *certified: Certified, peer: str = OUTSIDE) -> Call:
    shown = [("Client-Cert", f":{base64.b64encode(each.der).decode('ascii')}:") for each in certified]
    return Call(headers=[("Authorization", f"Bearer {token}"), *shown], peer=peer)


def test_a_bound_token_opens_an_api_with_its_certificate_alone(make: Make, issuer: FakeIssuer, mine: Certified) -> None:
    """R71, R72"""
    app = make(client_certificates=[OUTSIDE])
    other = Authority(now=FrozenClock()()).issue(dns("backup.example.com"))
    token = issuer.access_token(AUDIENCE, "images:read", cnf={"x5t#S256": ClientCertificate(mine.der).thumbprint})
    assert app(call(token, mine)).status == 200
    for refused in (call(token), call(token, other), call(token, mine, mine), call(token, mine, peer="192.0.2.1")):
        answer = app(refused)
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.all("www-authenticate")[0]
    assert app(call(token, mine)).status == 200


def test_it_is_refused_where_nobody_said_how_certificates_come(make: Make, issuer: FakeIssuer, mine: Certified) -> None:
    token = issuer.access_token(AUDIENCE, "images:read", cnf={"x5t#S256": ClientCertificate(mine.der).thumbprint})
    assert make()(call(token, mine)).status == 401
    assert make(client_certificates="tls")(call(token, mine)).status == 401


def test_asgi_servers_tell_it_in_the_extension_for_tls(mine: Certified) -> None:
    def scope(**tls: Any) -> dict[str, Any]:
        return {"type": "http", "headers": [], "client": (OUTSIDE, 1), "extensions": {"tls": tls}}

    between = Authority(now=FrozenClock()()).between().issue(dns("a.example.com"))
    assert of_scope(scope(client_cert_chain=[mine.pem]), TLS) == ClientCertificate(mine.der)
    chain = [mine.pem, between.pem.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"]
    assert of_scope(scope(client_cert_chain=chain), TLS) == ClientCertificate(mine.der, (between.der,))
    for nothing in ([], ["x"], None):
        assert of_scope(scope(client_cert_chain=nothing), TLS) is None
    assert of_scope(scope(client_cert_chain=[mine.pem], client_cert_error="expired"), TLS) is None
    assert of_scope({"type": "http", "headers": [], "client": None, "extensions": None}, TLS) is None


def test_the_proxy_that_is_believed_is_the_other_end_whatever_was_put_in_its_place(mine: Certified) -> None:
    """ProxyFix, which many a Flask program behind a proxy has, believes X-Forwarded-For of everybody."""
    finder, proxy, seen = CertificateFinder(["10.0.0.5"]), "10.0.0.5", []
    shown = f":{base64.b64encode(mine.der).decode('ascii')}:"

    def application(environ: Any, _start: Any) -> list[bytes]:
        seen.append(of_environ(environ, finder))
        return []

    for peer, forwarded_for in ((proxy, OUTSIDE), (OUTSIDE, proxy)):
        about = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded_for, "HTTP_CLIENT_CERT": shown}
        ProxyFix(application)({**create_environ(), **about}, lambda *_: None)  # type: ignore[arg-type]
    assert seen == [ClientCertificate(mine.der), None]


def test_mod_wsgi_tells_it_in_the_environment_and_no_header_can(mine: Certified) -> None:
    environ = {"REMOTE_ADDR": OUTSIDE, "SSL_CLIENT_CERT": mine.pem}
    assert of_environ(environ, TLS) == ClientCertificate(mine.der)
    assert of_environ({"REMOTE_ADDR": OUTSIDE, "HTTP_SSL_CLIENT_CERT": mine.pem}, TLS) is None
    assert of_environ({**environ, "SSL_CLIENT_CERT": ""}, TLS) is None
