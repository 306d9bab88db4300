"""A client certificate as what vouches for a program."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from authserver.client.certificate_files import CertificateFiles
from authserver.client.failures import AnswerUnusable, CallRefused, IdentityUnusable
from authserver.client.http import Answer, Http
from authserver.client.refused import RefusedCredential
from authserver.client.server import AuthorizationServer, Outgoing
from authserver.client.suppliers.x509 import CERTIFICATE, KEY, X509Supplier
from authserver.oauth import Grant
from tests.authority import Authority, Certified, dns
from tests.client.identities import ISSUER, NOW, surroundings


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(now=NOW)


@pytest.fixture
def mine(authority: Authority) -> Certified:
    return authority.issue(dns("backup.example.com"))


def supplier(home: Path, **environ: str) -> X509Supplier:
    return X509Supplier(surroundings(home, environ))


def test_a_certificate_is_all_that_is_shown(home: Path, tmp_path: Path, mine: Certified) -> None:
    cert, key = mine.write(tmp_path, "mine")
    vouching = supplier(home, **{CERTIFICATE: cert, KEY: key})
    offer = vouching.offer(NOW)
    assert (offer.grant, dict(offer.parameters), offer.key) == (Grant.CLIENT_CREDENTIALS, {}, None)
    assert offer.certificate == CertificateFiles(Path(cert), Path(key))
    assert vouching.present()
    assert vouching.absence() is None
    assert vouching.marker == f"{CERTIFICATE} names {cert}"
    vouching.check(NOW)


def test_the_key_may_be_in_the_same_file(home: Path, tmp_path: Path, mine: Certified) -> None:
    cert, key = mine.write(tmp_path, "mine")
    with Path(cert).open("a", encoding="ascii") as file:
        file.write(Path(key).read_text(encoding="ascii"))
    supplier(home, **{CERTIFICATE: cert}).check(NOW)


def test_without_the_variables_there_is_none(home: Path) -> None:
    vouching = supplier(home)
    assert not vouching.present()
    assert vouching.absence() == f"{CERTIFICATE} is not set"


def test_what_cannot_be_used_is_told_with_what_to_do(
    home: Path, tmp_path: Path, mine: Certified, authority: Authority
) -> None:
    cert, key = mine.write(tmp_path, "mine")
    old, old_key = authority.issue(dns("a.example.com"), begins=-100, ends=-50).write(tmp_path, "old")
    _, another_key = authority.issue(dns("a.example.com")).write(tmp_path, "another")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(mine.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    (tmp_path / "text").write_text("text", encoding="ascii")
    odd = tmp_path / "odd.pem"  # of a version that there is not, which OpenSSL does not mind
    der = mine.der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"), 1)
    odd.write_text(ssl.DER_cert_to_PEM_cert(der), encoding="ascii")
    cases: list[tuple[dict[str, str], str]] = [
        ({CERTIFICATE: ""}, f"{CERTIFICATE} is empty"),
        ({KEY: key}, f"{CERTIFICATE} is empty or not set"),
        ({CERTIFICATE: cert, KEY: ""}, f"{KEY} is empty"),
        ({CERTIFICATE: str(tmp_path / "none"), KEY: key}, "No such file"),
        ({CERTIFICATE: cert, KEY: str(tmp_path / "text")}, "cannot be used"),
        ({CERTIFICATE: cert, KEY: another_key}, "cannot be used: KEY_VALUES_MISMATCH"),
        ({CERTIFICATE: cert, KEY: str(encrypted)}, "is encrypted"),
        ({CERTIFICATE: str(odd), KEY: key}, "is not a certificate in PEM"),
        ({CERTIFICATE: old, KEY: old_key}, "has expired"),
    ]
    for environ, said in cases:
        vouching = supplier(home, **environ)
        assert vouching.present()
        for what in (vouching.check, vouching.offer):
            with pytest.raises(IdentityUnusable, match=said):
                what(NOW)
    assert supplier(home, **{KEY: key}).marker == f"{KEY} is set"


def test_a_certificate_that_is_taken_away_meanwhile_is_told_of(
    tmp_path: Path, mine: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = mine.write(tmp_path, "mine")
    files = CertificateFiles(Path(cert), Path(key))
    monkeypatch.setattr(CertificateFiles, "load_into", lambda *_: Path(cert).unlink())
    with pytest.raises(IdentityUnusable, match="No such file"):
        files.check(NOW)


def test_one_that_was_refused_is_not_shown_again_until_it_is_another(
    home: Path, tmp_path: Path, mine: Certified, authority: Authority
) -> None:
    cert, key = mine.write(tmp_path, "mine")
    vouching, guard = supplier(home, **{CERTIFICATE: cert, KEY: key}), RefusedCredential(lambda: NOW)
    asked = []

    def request(known: Any) -> Any:
        asked.append(known.offer(NOW))
        raise CallRefused(401, "invalid_client")

    for _ in range(2):
        with pytest.raises(CallRefused):
            guard.guard(vouching, request)
    assert len(asked) == 1
    authority.issue(dns("backup.example.com")).write(tmp_path, "mine")
    with pytest.raises(CallRefused):
        guard.guard(vouching, request)
    assert len(asked) == 2


class Recorded(Http):
    """Answers the metadata, and remembers where everything else went, and with what."""

    def __init__(self, **metadata: Any) -> None:
        super().__init__()
        self.metadata = metadata
        self.sent: list[tuple[str, CertificateFiles | None]] = []

    def send(self, _method: str, url: str, **options: Any) -> Answer:  # type: ignore[override]
        if ".well-known" in url:
            return Answer(200, {}, json.dumps({"issuer": ISSUER, **self.metadata}).encode("ascii"))
        self.sent.append((url, options.get("certificate")))
        return Answer(200, {}, b"{}")


@pytest.mark.parametrize(
    ("aliases", "there"),
    [
        ({"token_endpoint": "https://mtls.example.com/token"}, "https://mtls.example.com/token"),
        ({"introspection_endpoint": "https://mtls.example.com/introspect"}, f"{ISSUER}/token"),
        ({"token_endpoint": 7}, f"{ISSUER}/token"),
        ("https://mtls.example.com", f"{ISSUER}/token"),
        (None, f"{ISSUER}/token"),
    ],
)
def test_a_server_that_asks_for_certificates_elsewhere_is_asked_there(
    aliases: object, there: str, tmp_path: Path, mine: Certified
) -> None:
    """RFC 8705 section 5"""
    http = Recorded(token_endpoint=f"{ISSUER}/token", mtls_endpoint_aliases=aliases)
    server = AuthorizationServer(ISSUER, http=http)
    cert, key = mine.write(tmp_path, "mine")
    files = CertificateFiles(Path(cert), Path(key))
    server.ask("POST", server.token_endpoint, lambda _: Outgoing(certificate=files))
    server.ask("POST", server.token_endpoint, lambda _: Outgoing())
    assert http.sent == [(there, files), (f"{ISSUER}/token", None)]


def test_a_certificate_is_shown_over_tls_alone(tmp_path: Path, mine: Certified) -> None:
    cert, key = mine.write(tmp_path, "mine")
    with pytest.raises(AnswerUnusable, match="not asked over TLS"):
        Http().send("POST", "http://127.0.0.1:9/token", certificate=CertificateFiles(Path(cert), Path(key)))
