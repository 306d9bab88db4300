"""A bound token and its proof, at the verifier (RFC 9449 sections 4.3 and 7)."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from authserver.errors import (
    CredentialRejected,
    ProofRejected,
    Reason,
    RequestMalformed,
)
from authserver.resource import OfferedProof
from authserver.resource.credential import ApiRequest
from authserver.resource.protection import Protection
from authserver.resource.requirement import Requirement
from authserver.resource.token import Accepted
from authserver.testing import FakeIssuer, FrozenClock
from tests import oracle
from tests.devices import DeviceKey, hash_of
from tests.resource.api import URL, Api
from tests.resource.environment import AUDIENCE, bound_token, refusal

# Whose token it is


def test_a_token_is_accepted_with_a_proof_of_its_key(api: Api) -> None:
    """R65"""
    assert api.call(api.proof()).subject == "tests:somebody"


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
def test_a_device_with_an_ed25519_key_is_as_good(issuer: FakeIssuer, clock: FrozenClock) -> None:
    """R62"""
    api = Api(issuer, clock, DeviceKey("EdDSA"))
    assert api.call(api.proof()).thumbprint == api.device.thumbprint


def test_the_view_can_tell_devices_apart_by_their_keys(api: Api) -> None:
    assert api.call(api.proof()).thumbprint == api.device.thumbprint
    assert api.verifier.verify(api.issuer.access_token(AUDIENCE)).thumbprint is None


def test_a_bound_token_is_no_bearer_token(api: Api) -> None:
    """R68; RFC 9449 section 7.2: not even when it was accepted with a proof a moment ago."""
    assert refusal(api.verifier, api.token) is Reason.SENDER_UNPROVEN
    api.call(api.proof())
    assert refusal(api.verifier, api.token) is Reason.SENDER_UNPROVEN


def test_a_token_that_is_bound_to_no_key_needs_no_proof_and_gets_none_accepted(api: Api) -> None:
    token = api.issuer.access_token(AUDIENCE)
    assert api.refusal(api.proof(access_token=token), token=token) == (CredentialRejected, Reason.SENDER_UNPROVEN)


@pytest.mark.parametrize("confirmation", [{"x5t#S256": "a"}, {"jkt": 7}, {}, "jkt", ["jkt"]])
def test_a_token_that_is_bound_in_another_way_is_refused(api: Api, confirmation: object) -> None:
    token = bound_token(api.issuer, api.device, cnf=confirmation)
    assert api.refusal(api.proof(access_token=token), token=token) == (
        CredentialRejected,
        Reason.CONFIRMATION_UNSUPPORTED,
    )


def test_a_token_that_is_bound_to_a_certificate_as_well_is_refused(api: Api) -> None:
    """R65, R71: half a confirmation is none."""
    token = bound_token(api.issuer, api.device, cnf={"jkt": api.device.thumbprint, "x5t#S256": "a"})
    assert api.refusal(api.proof(access_token=token), token=token)[1] is Reason.CONFIRMATION_UNSUPPORTED


def test_a_token_that_was_copied_to_another_key_is_refused(api: Api) -> None:
    """R65; RFC 9449 section 7.1, figure 16: the token is wrong for this key, so the code is invalid_token."""
    thief = Api(api.issuer, api.clock, DeviceKey())
    thief.token = api.token
    assert api.refusal(thief.proof()) == (CredentialRejected, Reason.PROOF_KEY_WRONG)


def test_a_proof_does_not_make_up_for_a_bad_token(api: Api) -> None:
    token = bound_token(api.issuer, api.device, exp=int(api.clock()) - 100)
    assert api.refusal(api.proof(access_token=token), token=token) == (CredentialRejected, Reason.EXPIRED)


def test_the_signature_of_the_token_is_checked_once_and_the_proof_each_time(api: Api) -> None:
    api.call(api.proof())
    assert api.call(api.proof()) is api.call(api.proof())
    assert api.refusal(api.proof(htm="PUT"))[1] is Reason.PROOF_METHOD_WRONG


# The hostile table of proofs


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"htm": "POST"}, Reason.PROOF_METHOD_WRONG),
        ({"htm": "get"}, Reason.PROOF_METHOD_WRONG),
        ({"htm": None}, Reason.PROOF_MALFORMED),
        ({"htu": f"{AUDIENCE}/other"}, Reason.PROOF_ADDRESS_WRONG),
        ({"htu": f"{AUDIENCE}/images/"}, Reason.PROOF_ADDRESS_WRONG),
        ({"htu": "https://attacker.example/images"}, Reason.PROOF_ADDRESS_WRONG),
        ({"htu": "http://images.example.com/images"}, Reason.PROOF_ADDRESS_WRONG),
        ({"htu": "https://images.example.com:8443/images"}, Reason.PROOF_ADDRESS_WRONG),
        ({"htu": "/images"}, Reason.PROOF_ADDRESS_WRONG),
        ({"htu": None}, Reason.PROOF_MALFORMED),
        ({"ath": hash_of("another token")}, Reason.PROOF_TOKEN_WRONG),
        ({"access_token": None}, Reason.PROOF_TOKEN_WRONG),
        ({"ath": ["a"]}, Reason.PROOF_TOKEN_WRONG),
        ({"jti": None}, Reason.PROOF_MALFORMED),
        ({"jti": ""}, Reason.PROOF_MALFORMED),
        ({"jti": "a" * 513}, Reason.PROOF_MALFORMED),
        ({"iat": None}, Reason.PROOF_MALFORMED),
        ({"iat": "1800000000"}, Reason.PROOF_MALFORMED),
        ({"nonce": 7}, Reason.PROOF_MALFORMED),
        ({"header": {"typ": "JWT"}}, Reason.PROOF_MALFORMED),
        ({"header": {"typ": None}}, Reason.PROOF_MALFORMED),
        ({"header": {"jwk": None}}, Reason.PROOF_MALFORMED),
        ({"header": {"crit": ["kid"], "kid": "a"}}, Reason.PROOF_MALFORMED),
        ({"header": {"jwk": DeviceKey().jwk}}, None),
    ],
)
def test_a_proof_that_is_wrong_in_one_thing_is_refused(
    api: Api, changes: dict[str, Any], reason: Reason | None
) -> None:
    """R61, R62, R63, R65"""
    kind, found = api.refusal(api.proof(**changes))
    assert kind is ProofRejected
    assert found is reason or (reason is None and found in (Reason.PROOF_SIGNATURE_WRONG, Reason.PROOF_MALFORMED))


def test_a_private_key_in_the_header_is_refused(api: Api) -> None:
    """R62"""
    private = api.device.key.as_dict(private=True)
    assert api.refusal(api.proof(header={"jwk": {**api.device.jwk, "d": private["d"]}}))[1] is Reason.PROOF_MALFORMED


def test_what_is_signed_by_an_algorithm_for_tokens_only_is_refused(api: Api) -> None:
    """R62"""
    other = oracle.make_key("RS256")
    claims = {"jti": "a", "htm": "GET", "htu": URL, "iat": int(api.clock()), "ath": hash_of(api.token)}
    proof = oracle.sign(other, claims, typ="dpop+jwt", kid=None, jwk=oracle.public_jwk(other, kid=None, use=None))
    assert api.refusal(proof) == (ProofRejected, Reason.PROOF_MALFORMED)


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "é", "\ud800", "a" * 20_000, "."])
def test_what_is_no_proof_at_all_is_refused(api: Api, text: str) -> None:
    assert api.refusal(text) == (ProofRejected, Reason.PROOF_MALFORMED)


def test_an_access_token_is_no_proof(api: Api) -> None:
    """R60"""
    assert api.refusal(api.token) == (ProofRejected, Reason.PROOF_MALFORMED)


def test_no_proof_and_two_proofs_are_refused_whether_or_not_the_server_joined_them(api: Api) -> None:
    """R61"""
    assert api.refusal() == (ProofRejected, Reason.PROOF_MISSING)
    one, other = api.proof(), api.proof()
    for headers in ((one, other), (one, one), (f"{one},{other}",), (f"{one}, {one}",)):
        assert api.refusal(*headers) == (ProofRejected, Reason.PROOF_REPEATED)
    api.call(one)


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        (f"{URL}?size=2#top", URL),
        ("HTTPS://Images.Example.com:443/images", URL),
        (f"{AUDIENCE}/%69mages", URL),
        (f"{AUDIENCE}/caf%c3%a9", f"{AUDIENCE}/caf%C3%A9"),
        (AUDIENCE, f"{AUDIENCE}/"),
    ],
)
def test_addresses_that_mean_the_same_are_the_same(api: Api, htu: str, url: str) -> None:
    """R63; RFC 9449 section 4.3: after normalization, and without query and fragment."""
    api.call(api.proof(htu=htu), url=url)


# Bearer tokens, or none of them


def test_an_api_may_refuse_bearer_tokens(api: Api) -> None:
    """R68"""
    api.verifier = api.make(sender_constrained=True)
    assert refusal(api.verifier, api.issuer.access_token(AUDIENCE)) is Reason.SENDER_UNPROVEN
    api.call(api.proof())


# The whole request


def request_of(api: Api, authorization: Sequence[str], proof: OfferedProof | None) -> Accepted:
    protection = Protection(issuer=api.issuer.issuer, audience=AUDIENCE, clock=api.clock)
    accepted = protection.check(ApiRequest(authorization, proof=proof), Requirement(("images:read",)))
    assert accepted is not None
    return accepted


def test_a_request_with_the_scheme_dpop_and_no_proof_is_refused(api: Api) -> None:
    """R61"""
    with pytest.raises(ProofRejected) as caught:
        request_of(api, (f"DPoP {api.token}",), None)
    assert caught.value.reason is Reason.PROOF_MISSING


def test_a_request_is_accepted_by_its_scheme(api: Api) -> None:
    """R65, R68"""
    offered = OfferedProof((api.proof(),), "GET", (URL,))
    assert request_of(api, (f"dpop {api.token}",), offered).token.thumbprint == api.device.thumbprint
    with pytest.raises(CredentialRejected) as caught:
        request_of(api, (f"Bearer {api.token}",), OfferedProof((api.proof(),), "GET", (URL,)))
    assert caught.value.reason is Reason.SENDER_UNPROVEN
    with pytest.raises(RequestMalformed):
        request_of(api, (f"Bearer {api.token}", f"DPoP {api.token}"), offered)


def test_neither_token_nor_proof_is_written_to_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    proof = api.proof(htm="POST")
    with caplog.at_level(logging.INFO, "authserver.resource"), pytest.raises(ProofRejected):
        request_of(api, (f"DPoP {api.token}",), OfferedProof((proof,), "GET", (URL,)))
    (record,) = caplog.records
    assert record.getMessage() == "refused: proof_method_wrong"
    assert not {part for part in (*api.token.split("."), *proof.split(".")) if part in str(record.__dict__)}


def test_an_api_that_does_not_know_its_address_says_what_to_set(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """R63: nothing is guessed."""
    with caplog.at_level(logging.INFO, "authserver.resource"), pytest.raises(ProofRejected) as caught:
        request_of(api, (f"DPoP {api.token}",), OfferedProof((api.proof(),), "GET", ()))
    assert (caught.value.reason, caught.value.facts) == (Reason.PROOF_ADDRESS_WRONG, {"remedy": "set url"})
    assert "set url to the external address" in caplog.text


def test_a_bound_token_is_verified_on_a_loop_too(api: Api) -> None:
    """R65"""
    offered = OfferedProof((api.proof(),), "GET", (URL,))
    verified, nonce = asyncio.run(api.verifier.verify_bound_async(api.token, offered))
    assert (verified.thumbprint, nonce) == (api.device.thumbprint, None)
    with pytest.raises(ProofRejected):
        asyncio.run(api.verifier.verify_bound_async(api.token, offered))


def test_each_address_that_an_api_believes_itself_to_be_at_is_one(api: Api) -> None:
    urls = (URL, "http://localhost:5000/images")
    for htu in urls:
        assert api.verifier.verify_bound(api.token, OfferedProof((api.proof(htu=htu),), "GET", urls))
    for changes, reason in (
        ({"htu": AUDIENCE}, Reason.PROOF_ADDRESS_WRONG),
        ({"htm": "PUT"}, Reason.PROOF_METHOD_WRONG),
    ):
        with pytest.raises(ProofRejected) as caught:
            api.verifier.verify_bound(api.token, OfferedProof((api.proof(**changes),), "GET", urls))
        assert caught.value.reason is reason
