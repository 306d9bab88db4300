"""Client certificates over real TLS: our own gunicorn asks for them, and the client library shows them."""

import base64
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from authserver.certificate import ClientCertificate
from authserver.client import AuthorizationServer, TokenClient, request_token
from authserver.client.supplier import Surroundings
from authserver.client.suppliers.x509 import CERTIFICATE, KEY, X509Supplier
from authserver.jose.compact import parse
from authserver.testing import FakeIssuer
from tests import leaks
from tests.authority import SERVER, Authority, Certified, dns
from tests.served import IMAGES, Server, free_port, write_configuration

pytestmark = pytest.mark.slow

MORE = """
[sources.hosts]
type = "x509"
ca_file = "ca.pem"
crl_file = "crl.pem"

[[allow]]
name = "backup-reads-images"
source = "hosts"
match = { dns = "backup.example.com" }
resource = "https://images.example.com"
scope = ["images:read"]

[[allow]]
name = "backup-asks"
source = "hosts"
match = { dns = "backup.example.com" }
resource = "https://localhost:PORT"
scope = ["introspect:images"]
"""


@dataclass
class Site:
    """A server that speaks TLS, and the authority of its callers."""

    server: Server
    folder: Path
    callers: Authority
    trust_file: str
    url: str

    def ask(
        self, method: str, path: str, certified: Certified | None = None, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """One request over a connection of its own."""
        context = ssl.create_default_context(cafile=self.trust_file)
        if certified is not None:
            context.load_cert_chain(*certified.write(self.folder, f"shown-{free_port()}"))
        with urllib3.PoolManager(ssl_context=context, retries=False, timeout=10.0) as pool:
            return pool.request(method, self.url + path, **options)

    def token(
        self, certified: Certified | None = None, headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        form = {"grant_type": "client_credentials", "resource": IMAGES, "scope": "images:read"}
        answer = self.ask("POST", "/token", certified, fields=form, encode_multipart=False, headers=headers)
        if answer.status == 200:
            leaks.handled(answer.json()["access_token"])
        return answer

    @property
    def reason(self) -> str | None:
        return self.server.events()[-1].get("reason")


@pytest.fixture(scope="module")
def cluster() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, cluster: FakeIssuer) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    servers, callers = Authority("servers", now=time.time()), Authority("callers", now=time.time())
    servers.issue(dns("localhost"), purposes=(SERVER,)).write(folder, "server")
    for name, text in (("trust", servers.pem), ("ca", callers.pem), ("crl", callers.revoke())):
        (folder / f"{name}.pem").write_text(text, encoding="ascii")
    url = f"https://localhost:{port}"
    configuration = write_configuration(
        folder,
        cluster=cluster.issuer,
        port=port,
        issuer=url,
        server='tls = { cert_file = "server.pem", key_file = "server.key" }',
        keys='algorithms = ["ES256"]',
        reports="",
        more=MORE.replace("PORT", str(port)),
    )
    server = Server(configuration)
    server.url = url
    site = Site(server, folder, callers, str(folder / "trust.pem"), url)
    server.wait_until_live = partial(wait_for, site)  # type: ignore[method-assign]
    with server:
        yield site


def wait_for(site: Site, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if site.ask("GET", "/livez").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            assert time.monotonic() < deadline, site.server.read_output()
            assert site.server.process is not None
            assert site.server.process.poll() is None, site.server.read_output()
            time.sleep(0.05)


def test_a_certificate_gets_a_token_that_is_bound_to_it(site: Site) -> None:
    """R71; RFC 8705 section 3"""
    for authority in (site.callers, site.callers.between()):
        certified = authority.issue(dns("backup.example.com"))
        (site.folder / "crl.pem").write_text(site.callers.revoke() + authority.revoke(), encoding="ascii")
        answer = site.token(certified)
        assert answer.status == 200, answer.data
        claims = parse(answer.json()["access_token"]).unverified_claims
        assert claims["cnf"] == {"x5t#S256": ClientCertificate(certified.der).thumbprint}
        assert claims["sub"] == "hosts:backup.example.com"


def test_without_one_everything_else_works_and_a_header_is_no_certificate(site: Site) -> None:
    """R72"""
    document = site.ask("GET", "/.well-known/oauth-authorization-server").json()
    assert "tls_client_auth" in document["token_endpoint_auth_methods_supported"]
    assert document["tls_client_certificate_bound_access_tokens"] is True
    certified = site.callers.issue(dns("backup.example.com"))
    forged = f":{base64.b64encode(certified.der).decode('ascii')}:"
    assert site.token(headers={"Client-Cert": forged}).status == 401
    assert site.reason == "client_authentication_missing"


def test_a_certificate_of_somebody_else_ends_the_connection(site: Site) -> None:
    """There is no system store: nobody but the authorities of the sources is known."""
    for stranger in (Authority("strangers", now=time.time()), Authority("callers", now=time.time())):
        with pytest.raises(urllib3.exceptions.HTTPError):
            site.token(stranger.issue(dns("backup.example.com")))


def test_one_that_is_over_or_revoked_is_refused_with_its_reason_on_record(site: Site) -> None:
    over = site.callers.issue(dns("backup.example.com"), begins=-3600, ends=-600)
    assert site.token(over).status == 401
    assert site.reason == "expired"
    revoked = site.callers.issue(dns("backup.example.com"))
    assert site.token(revoked).status == 200
    (site.folder / "crl.pem").write_text(site.callers.revoke(revoked), encoding="ascii")
    assert site.token(revoked).status == 401
    assert site.reason == "certificate_revoked"
    (site.folder / "crl.pem").unlink()
    assert site.token(revoked).status == 503
    assert site.reason == "revocation_list_unavailable"
    (site.folder / "crl.pem").write_text(site.callers.revoke(), encoding="ascii")


def test_while_its_authorities_cannot_be_known_a_caller_is_told_to_come_again(site: Site) -> None:
    """It is still asked for its certificate. Otherwise it would be told that it has none."""
    certified, path = site.callers.issue(dns("backup.example.com")), site.folder / "ca.pem"
    assert site.token(certified).status == 200
    path.unlink()
    try:
        assert site.token(certified).status == 503
        assert site.reason == "authorities_unavailable"
    finally:
        path.write_text(site.callers.pem, encoding="ascii")
    assert site.token(certified).status == 200


def test_the_servers_own_certificate_is_read_again_when_it_is_renewed(site: Site) -> None:
    before = site.ask("GET", "/livez")
    assert before.status == 200
    servers = Authority("other servers", now=time.time())
    (site.folder / "trust-2.pem").write_text(servers.pem, encoding="ascii")
    kept = [(site.folder / name, (site.folder / name).read_bytes()) for name in ("server.pem", "server.key")]
    try:
        (site.folder / "server.pem").write_text("half a file", encoding="ascii")
        assert site.ask("GET", "/livez").status == 200
        servers.issue(dns("localhost"), purposes=(SERVER,)).write(site.folder, "server")
        with pytest.raises(urllib3.exceptions.HTTPError):
            site.ask("GET", "/livez")
        trusting = Site(site.server, site.folder, site.callers, str(site.folder / "trust-2.pem"), site.url)
        assert trusting.ask("GET", "/livez").status == 200
    finally:
        for path, content in kept:
            path.write_bytes(content)
    assert site.ask("GET", "/livez").status == 200


def test_who_sends_slowly_holds_up_nobody_for_ever_and_is_told_nothing_in_the_clear(site: Site) -> None:
    """A handshake that never ends, and a request that never does: each is given up after ten seconds."""
    context = ssl.create_default_context(cafile=site.trust_file)
    connections = [
        socket.create_connection(("localhost", int(site.url.rpartition(":")[2])), timeout=60) for _ in range(8)
    ]
    slow, *stuck = connections
    try:
        begin_a_request(slow, context)
        for each in stuck:
            each.sendall(b"\x16\x03\x01\x02\x00")  # a record that never comes whole
        with urllib3.PoolManager(ssl_context=context, retries=False, timeout=60.0) as pool:
            assert pool.request("GET", f"{site.url}/livez").status == 200
        assert b"HTTP" not in b"".join(iter(lambda: slow.recv(65536), b""))
    finally:
        for each in connections:
            each.close()


def begin_a_request(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Send some of a request over TLS, and leave the connection as it is, so that raw bytes can be read from it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65536))
    tls.write(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    connection.sendall(outgoing.read())


def test_the_client_library_shows_the_certificate_and_the_one_that_replaces_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", site.trust_file)
    first = site.callers.issue(dns("backup.example.com"))
    cert, key = first.write(site.folder, "mine")
    server = AuthorizationServer(site.url)
    supplier = X509Supplier(Surroundings(server, site.url, {CERTIFICATE: cert, KEY: key}))
    for certified in (first, site.callers.issue(dns("backup.example.com"))):
        certified.write(site.folder, "mine")
        token = request_token(server, supplier, resource=IMAGES, scope="images:read")
        claims = parse(leaks.handled(token.value)).unverified_claims
        assert claims["cnf"] == {"x5t#S256": ClientCertificate(certified.der).thumbprint}
        assert token.token_type == "Bearer"


def test_the_chain_of_a_program_finds_its_certificate(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = site.callers.issue(dns("backup.example.com")).write(site.folder, "chain")
    for name, value in (("SSL_CERT_FILE", site.trust_file), (CERTIFICATE, cert), (KEY, key)):
        monkeypatch.setenv(name, value)
    client = TokenClient(issuer=site.url, resource=IMAGES, scope="images:read")
    assert leaks.handled(client.get_token())
