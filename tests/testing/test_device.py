"""The device that our users test with: what it shows, another library accepts."""

import pytest
import urllib3
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey

from authserver.errors import CredentialRejected, ProofRejected
from authserver.resource import AccessTokenVerifier, OfferedProof
from authserver.testing import FakeDevice, FakeIssuer, FrozenClock
from tests import oracle
from tests.devices import hash_of

AUDIENCE = "https://images.example.com"
URL = f"{AUDIENCE}/cats"
HTTP = urllib3.PoolManager(retries=False)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_another_library_accepts_its_token_and_its_proof(
    algorithm: str, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """R65: ``ath`` is of the token, and the key that proves is the one in ``cnf``."""
    device = FakeDevice(issuer, AUDIENCE, algorithm=algorithm)
    headers = device.headers("GET", URL + "?size=1", scope="images:read")
    scheme, _, token = headers["Authorization"].partition(" ")
    _, claims = oracle.read(token, issuer.jwks)
    assert (scheme, claims["cnf"], claims["scope"]) == ("DPoP", {"jkt": device.thumbprint}, "images:read")
    assert (claims["sub"], claims["client_id"]) == ("tests:owner", device.client_id)
    assert device.client_id.startswith("dev_")
    unverified = jws.extract_compact(headers["DPoP"].encode())
    key = (OKPKey if algorithm == "EdDSA" else ECKey).import_key(unverified.headers()["jwk"])
    assert key.thumbprint() == device.thumbprint
    _, proof = oracle.read(headers["DPoP"], {"keys": [{**unverified.headers()["jwk"], "alg": algorithm}]})
    assert (proof["htm"], proof["htu"], proof["iat"], proof["ath"]) == ("GET", URL, int(clock()), hash_of(token))


def test_a_verifier_accepts_what_it_shows_once(issuer: FakeIssuer, clock: FrozenClock) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)
    device = FakeDevice(issuer, AUDIENCE)
    headers = device.headers("GET", URL)
    token = headers["Authorization"].removeprefix("DPoP ")
    offered = OfferedProof((headers["DPoP"],), "GET", (URL,))
    assert verifier.verify_bound(token, offered)[0].thumbprint == device.thumbprint
    with pytest.raises(ProofRejected):
        verifier.verify_bound(token, offered)
    with pytest.raises(CredentialRejected):  # R68
        verifier.verify(token)


def test_another_device_cannot_use_its_token(issuer: FakeIssuer, clock: FrozenClock) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)
    token = FakeDevice(issuer, AUDIENCE).access_token("images:read")
    stolen = FakeDevice(issuer).headers("GET", URL, access_token=token)
    assert stolen["Authorization"] == f"DPoP {token}"
    with pytest.raises(CredentialRejected):
        verifier.verify_bound(token, OfferedProof((stolen["DPoP"],), "GET", (URL,)))


def test_it_puts_a_nonce_into_a_proof_and_replaces_claims(issuer: FakeIssuer) -> None:
    device = FakeDevice(issuer, subject="alice")
    token = device.access_token(audience=AUDIENCE, client_id="dev_me", expired=True)
    _, claims = oracle.read(token, issuer.jwks)
    assert (claims["sub"], claims["client_id"], claims["exp"]) == ("alice", "dev_me", int(issuer.clock()) - 3600)
    proof = jws.extract_compact(device.proof("GET", URL, token, nonce="fresh").encode())
    assert b'"nonce":"fresh"' in proof.payload


def test_it_asks_which_api_a_token_is_for(issuer: FakeIssuer) -> None:
    with pytest.raises(ValueError, match="which API is the token for"):
        FakeDevice(issuer).headers("GET", URL)


def ask(issuer: FakeIssuer, own: str | None, **fields: str) -> tuple[int, object]:
    headers = {"Connection": "close", **({"Authorization": own} if own else {})}
    answer = HTTP.request_encode_body(
        "POST", f"{issuer.issuer}/introspect", fields=fields, encode_multipart=False, headers=headers
    )
    return answer.status, answer.json()


def test_the_issuer_says_whether_a_token_is_active(issuer: FakeIssuer, clock: FrozenClock) -> None:
    own = "Bearer " + issuer.access_token(issuer.issuer, "introspect:images")
    token = issuer.access_token(AUDIENCE, "images:read")
    _, claims = oracle.read(token, issuer.jwks)
    assert ask(issuer, own, token=token) == (200, {"active": True, **claims})
    issuer.revoke(token)
    issuer.revoke("never issued")
    assert ask(issuer, own, token=token) == (200, {"active": False})
    another = issuer.access_token(AUDIENCE, "images:read", exp=int(clock()) + 1)
    clock.advance(1)
    assert ask(issuer, own, token=another) == (200, {"active": False})


def test_the_issuer_answers_only_those_who_may_ask(issuer: FakeIssuer) -> None:
    token = issuer.access_token(AUDIENCE, "images:read")
    assert ask(issuer, None, token=token)[0] == 401
    assert ask(issuer, "Bearer nonsense", token=token)[0] == 401
    assert ask(issuer, f"Bearer {token}", token=token)[0] == 401
    assert ask(issuer, "Bearer " + issuer.access_token(issuer.issuer, "other"), token=token)[0] == 403
    assert ask(issuer, "Bearer " + issuer.access_token(issuer.issuer, "introspect:images"))[0] == 400


def test_the_issuer_takes_no_other_form(issuer: FakeIssuer) -> None:
    assert HTTP.request("POST", f"{issuer.issuer}/token", headers={"Connection": "close"}).status == 404
