"""Client certificates at our own endpoints: who is known by one, from where it is believed, and what it is bound to."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from authserver.certificate import ClientCertificate
from authserver.jose.compact import parse
from authserver.testing import FrozenClock
from tests.authority import Authority, Certified, dns, uri
from tests.devices import DeviceKey
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import ASSERTION_TYPE, AUDIENCE, IMAGES, Answer, exchange_form

BOUND = "https://bound.example.com"
PROXY, STRANGER = "10.1.2.3", "192.0.2.7"
MORE = """
[sources.hosts]
type = "x509"
ca_file = "ca.pem"

[sources.mesh]
type = "spiffe"
trust_domain = "example.org"
bundle = { file = "bundle.json" }
audience = "https://mesh.auth.example.com"

[[allow]]
name = "backup-reads-images"
source = "hosts"
match = { dns = "backup.example.com" }
resource = "https://images.example.com"
scope = ["images:read"]

[[allow]]
name = "backup-reads-what-is-bound"
source = "hosts"
match = { dns = "backup.example.com" }
resource = "https://bound.example.com"
scope = ["bound:read"]

[[allow]]
name = "backup-asks"
source = "hosts"
match = { dns = "backup.example.com" }
resource = "https://auth.example.com"
scope = ["introspect:images"]

[[allow]]
name = "mesh-reads-images"
source = "mesh"
match = { spiffe_id = "spiffe://example.org/thumbnailer" }
resource = "https://images.example.com"
scope = ["images:read"]
"""


@pytest.fixture
def authority(clock: FrozenClock) -> Authority:
    return Authority(now=clock())


@pytest.fixture
def backup(authority: Authority) -> Certified:
    return authority.issue(dns("backup.example.com"))


@pytest.fixture
def application(make_application: MakeApplication, authority: Authority, tmp_path: Path) -> Application:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "ca.pem").write_text(authority.pem, encoding="ascii")
    der = authority.certificate.public_bytes(Encoding.DER)
    jwk = {"use": "x509-svid", "kty": "EC", "x5c": [base64.b64encode(der).decode("ascii")]}
    (folder / "bundle.json").write_text(json.dumps({"keys": [jwk]}), encoding="ascii")
    return make_application(folder="here", server=f'trusted_proxies = ["{PROXY}"]', more=MORE)


def byte_sequence(der: bytes) -> str:
    """RFC 9440 section 2.1"""
    return f":{base64.b64encode(der).decode('ascii')}:"


def headers(certified: Certified) -> list[tuple[str, str]]:
    leaf, *chain = map(byte_sequence, certified.presented)
    return [("Client-Cert", leaf), *([("Client-Cert-Chain", ", ".join(chain))] if chain else [])]


def form(**changes: str | None) -> dict[str, str]:
    values = {"grant_type": "client_credentials", "resource": IMAGES, "scope": "images:read", **changes}
    return {name: value for name, value in values.items() if value is not None}


def ask(application: Application, shown: Sequence[tuple[str, str]], peer: str = PROXY, **changes: str | None) -> Answer:
    return application.post(form(**changes), headers=shown, peer=peer)


def claims_of(token: str) -> Any:
    return parse(token).unverified_claims


def confirmation(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return claims_of(answer.json["access_token"]).get("cnf")


# Who it is


def test_readiness_names_a_source_that_lacks_a_file(
    make_application: MakeApplication, authority: Authority, tmp_path: Path
) -> None:
    source = MORE.replace('ca_file = "ca.pem"', 'ca_file = "ca.pem"\ncrl_file = "crl.pem"')
    (folder := tmp_path / "here").mkdir()
    (folder / "bundle.json").write_text('{"keys": []}', encoding="ascii")
    application = make_application(folder="here", server=f'trusted_proxies = ["{PROXY}"]', more=source)
    good, over = authority.revoke(), authority.revoke(ends=-60)
    for ca, crl, lacks in (
        (None, good, True),
        (authority.pem, None, True),
        (authority.pem, over, True),
        (authority.pem, good, False),
    ):
        for name, text in (("ca.pem", ca), ("crl.pem", crl)):
            (folder / name).unlink(missing_ok=True)
            if text is not None:
                (folder / name).write_text(text, encoding="ascii")
        answer = application.ask("GET", "/readyz")
        assert (answer.status, "source:hosts" in answer.json["degraded"]) == (200, lacks)


def test_a_certificate_gets_a_token_that_is_bound_to_it(application: Application, backup: Certified) -> None:
    """R71; RFC 8705 sections 2 and 3"""
    answer = ask(application, headers(backup))
    assert confirmation(answer) == {"x5t#S256": ClientCertificate(backup.der).thumbprint}
    assert answer.json["token_type"] == "Bearer"
    claims = claims_of(answer.json["access_token"])
    assert claims["sub"] == claims["client_id"] == "hosts:backup.example.com"
    assert application.events[-1]["source"] == "hosts"


def test_the_client_id_may_be_sent_and_must_be_the_one_we_issue(application: Application, backup: Certified) -> None:
    """R40"""
    assert ask(application, headers(backup), client_id="hosts:backup.example.com").status == 200
    answer = ask(application, headers(backup), client_id="backup")
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert application.reason == "client_id_mismatch"


def test_a_workload_gets_a_token_by_its_x509_svid(application: Application, authority: Authority) -> None:
    """R73"""
    svid = authority.between().issue(uri("spiffe://example.org/thumbnailer"))
    answer = ask(application, headers(svid))
    assert confirmation(answer) == {"x5t#S256": ClientCertificate(svid.der).thumbprint}
    assert claims_of(answer.json["access_token"])["sub"] == "mesh:spiffe://example.org/thumbnailer"


def test_what_only_takes_bound_tokens_gets_one(application: Application, backup: Certified) -> None:
    answer = ask(application, headers(backup), resource=BOUND, scope="bound:read")
    assert "x5t#S256" in confirmation(answer)


def test_a_proof_binds_to_its_key_instead(application: Application, backup: Certified, clock: FrozenClock) -> None:
    """RFC 9449: a proof that is sent is honoured or refused, and never ignored."""
    device = DeviceKey()
    proof = device.proof("POST", f"{AUDIENCE}/token", now=clock())
    answer = ask(application, [*headers(backup), ("DPoP", proof)])
    assert confirmation(answer) == {"jkt": device.thumbprint}
    assert ask(application, [*headers(backup), ("DPoP", "x")]).json["error"] == "invalid_dpop_proof"


def test_a_certificate_that_is_not_believed_is_a_client_that_is_not_known(
    application: Application, clock: FrozenClock
) -> None:
    stranger = Authority("stranger", now=clock()).issue(dns("backup.example.com"))
    answer = ask(application, headers(stranger))
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert application.reason == "certificate_untrusted"


def test_who_is_known_and_has_no_rule_is_told_so(application: Application, authority: Authority) -> None:
    answer = ask(application, headers(authority.issue(dns("other.example.com"))))
    assert (answer.status, answer.json["error"]) == (400, "unauthorized_client")


def test_one_way_to_authenticate_is_enough(application: Application, backup: Certified, identity: str) -> None:
    """A certificate that is there anyway takes nothing from an assertion, and adds nothing to a subject token."""
    asserted = ask(application, headers(backup), client_assertion=identity, client_assertion_type=ASSERTION_TYPE)
    assert confirmation(asserted) is None
    assert claims_of(asserted.json["access_token"])["sub"].startswith("cluster:")
    exchanged = application.post(exchange_form(identity), headers=headers(backup), peer=PROXY)
    assert confirmation(exchanged) is None


# From where it is believed


def test_a_certificate_in_a_header_is_believed_of_a_trusted_proxy_alone(
    application: Application, backup: Certified
) -> None:
    """R72; RFC 9440 section 4"""
    for forged in (headers(backup), [("X-Forwarded-For", PROXY), *headers(backup)]):
        answer = ask(application, forged, peer=STRANGER)
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert application.reason == "client_authentication_missing"


def test_a_header_that_is_not_as_the_rfc_has_it_is_refused(application: Application) -> None:
    """RFC 9440 section 2; what nginx writes for ``$ssl_client_escaped_cert`` is not as it has it."""
    for value in (
        "nonsense",
        ":nonsense",
        "::",
        ":====:",
        ":AAA:",
        ":MIIB*:",
        "-----BEGIN%20CERTIFICATE-----%0AMIIB",
        ":MIIB:;a=b",
        ":MIIB:, :MIIB:",
        ":" + "A" * 24_000 + ":",
    ):
        answer = ask(application, [("Client-Cert", value)])
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert application.reason == "certificate_malformed", value[:40]


def test_a_chain_without_a_certificate_or_a_broken_one_is_refused(application: Application, backup: Certified) -> None:
    good = byte_sequence(backup.der)
    for shown in (
        [("Client-Cert-Chain", good)],
        [("Client-Cert", good), ("Client-Cert-Chain", "x")],
        [("Client-Cert", good), ("Client-Cert-Chain", ", ".join([good] * 10))],
        [("Client-Cert", good), ("Client-Cert", good)],
    ):
        assert ask(application, shown).status == 401
        assert application.reason == "certificate_malformed"


def test_a_proxy_that_says_nothing_of_a_certificate_has_none_to_tell_of(application: Application) -> None:
    for shown in ([], [("Client-Cert", "")], [("Client-Cert", " "), ("Client-Cert-Chain", "")]):
        assert ask(application, shown).status == 401
        assert application.reason == "client_authentication_missing"


# What a token is bound to


def call(application: Application, path: str, token: str, body: bytes, shown: Sequence[tuple[str, str]]) -> Answer:
    return application.ask(
        "POST",
        path,
        body=body,
        headers=[("Authorization", f"Bearer {token}"), *shown] if path == "/introspect" else shown,
        content_type="application/x-www-form-urlencoded",
        peer=PROXY,
    )


def test_a_bound_token_is_good_at_our_own_endpoints_with_its_certificate_alone(
    application: Application, backup: Certified, authority: Authority
) -> None:
    """R71, R76"""
    own = ask(application, headers(backup), resource=AUDIENCE, scope="introspect:images").json["access_token"]
    about = ask(application, headers(backup)).json["access_token"]
    body = f"token={about}".encode("ascii")
    said = call(application, "/introspect", own, body, headers(backup))
    assert (said.status, said.json["active"], said.json["token_type"]) == (200, True, "Bearer")
    assert said.json["cnf"] == {"x5t#S256": ClientCertificate(backup.der).thumbprint}
    other = authority.issue(dns("backup.example.com"))
    for shown, reason in (([], "certificate_missing"), (headers(other), "certificate_wrong")):
        answer = call(application, "/introspect", own, body, shown)
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert application.reason == reason


def test_a_bound_token_is_taken_back_with_its_certificate_alone(
    application: Application, backup: Certified, clock: FrozenClock
) -> None:
    """R74"""
    token = ask(application, headers(backup)).json["access_token"]
    body = f"token={token}".encode("ascii")
    for shown in ([], [("Client-Cert", "x")], [("DPoP", DeviceKey().proof("POST", f"{AUDIENCE}/revoke", now=clock()))]):
        assert call(application, "/revoke", token, body, shown).status == 400
        assert application.reason == "sender_unproven"
    assert call(application, "/revoke", token, body, headers(backup)).status == 200
    own = ask(application, headers(backup), resource=AUDIENCE, scope="introspect:images").json["access_token"]
    assert call(application, "/introspect", own, body, headers(backup)).json == {"active": False}


# What is said of it


@pytest.mark.parametrize(
    ("server", "more", "there"), [(f'trusted_proxies = ["{PROXY}"]', MORE, True), ("", MORE, False)]
)
def test_the_metadata_says_what_is_there(
    server: str, more: str, there: bool, make_application: MakeApplication
) -> None:
    """R8; RFC 8705 sections 2.1.1, 3.3 and 5"""
    application = make_application(server=server, more=more)
    document = application.ask("GET", "/.well-known/oauth-authorization-server").json
    assert ("tls_client_auth" in document["token_endpoint_auth_methods_supported"]) is there
    assert document.get("tls_client_certificate_bound_access_tokens", False) is there
    assert "mtls_endpoint_aliases" not in document
