"""RFC 6750 as this resource server speaks it, without a framework."""

import json
import re

import pytest

from authserver.errors import (
    CredentialMissing,
    CredentialRejected,
    NonceWanted,
    ProofRejected,
    Reason,
    Refused,
    RequestMalformed,
    ScopeInsufficient,
    Unavailable,
)
from authserver.resource.challenge import Answer, answer
from authserver.resource.metadata import ProtectedResource
from authserver.resource.requirement import Requirement
from tests.resource.environment import AUDIENCE

RESOURCE = ProtectedResource(AUDIENCE, "https://auth.example.com")
ANY_TOKEN = Requirement()
READ = Requirement(("images:read",))
METADATA = 'resource_metadata="https://images.example.com/.well-known/oauth-protected-resource"'

DPOP_METADATA = f'algs="ES256 EdDSA Ed25519", {METADATA}'
ALTERNATIVE = ("WWW-Authenticate", 'DPoP algs="ES256 EdDSA Ed25519"')

ERRORS = [
    RequestMalformed(Reason.CREDENTIAL_REPEATED),
    CredentialMissing(),
    CredentialRejected(Reason.SIGNATURE_WRONG, unverified_sub='"\r\nSet-Cookie: a=b'),
    ScopeInsufficient(["images:read"]),
    ProofRejected(Reason.PROOF_ADDRESS_WRONG, wanted='"\r\nSet-Cookie: a=b'),
    NonceWanted(Reason.NONCE_MISSING, nonce="bm9uY2U"),
    Unavailable(Reason.KEYS_UNAVAILABLE),
]


def challenges(answered: Answer) -> list[str]:
    return [value for name, value in answered.headers if name == "WWW-Authenticate"]


# What is answered


def test_no_credentials_are_answered_with_a_challenge_that_has_no_error() -> None:
    """R98, R100; RFC 6750 section 3.1, RFC 9449 section 7.2, figure 17"""
    answered = answer(CredentialMissing(), RESOURCE, READ)
    assert answered.status == 401
    assert answered.body == b"{}"
    assert answered.headers == (
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("WWW-Authenticate", f'Bearer realm="{AUDIENCE}", scope="images:read", {METADATA}'),
        ALTERNATIVE,
    )


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestMalformed(Reason.CREDENTIAL_REPEATED), 400, "invalid_request"),
        (CredentialRejected(Reason.EXPIRED), 401, "invalid_token"),
        (ScopeInsufficient(["images:read"]), 403, "insufficient_scope"),
        (Refused(Reason.NO_RULE), 401, "invalid_token"),
    ],
)
def test_an_error_is_named_in_the_challenge_and_in_the_body_alike(error: Refused, status: int, code: str) -> None:
    """R98, R100"""
    answered = answer(error, RESOURCE, READ)
    body, (challenge, *alternatives) = json.loads(answered.body), challenges(answered)
    assert (answered.status, body["error"]) == (status, code)
    assert alternatives == ([ALTERNATIVE[1]] if status == 401 else [])
    scope = ', scope="images:read"' if status == 403 else ""
    description = body["error_description"]
    assert challenge == (
        f'Bearer realm="{AUDIENCE}", error="{code}", error_description="{description}"{scope}, {METADATA}'
    )


def test_of_alternatives_the_challenge_asks_for_the_first() -> None:
    requirement = Requirement(("a",), ("b", "c"))
    with_scope = answer(ScopeInsufficient(requirement.sufficient), RESOURCE, requirement)
    assert ' scope="a b"' in challenges(with_scope)[0]


def test_when_nothing_is_known_of_the_keys_it_is_503_and_never_401() -> None:
    """Contract section 5"""
    answered = answer(Unavailable(Reason.KEYS_UNAVAILABLE, retry_after=7), RESOURCE, READ)
    headers = dict(answered.headers)
    assert answered.status == 503
    assert headers["Retry-After"] == "7"
    assert "WWW-Authenticate" not in headers
    assert json.loads(answered.body)["error"] == "temporarily_unavailable"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_is_said_has_only_characters_that_the_rfc_allows(error: Refused | Unavailable) -> None:
    """R26, R100; RFC 6750 section 3: %x20-21 / %x23-5B / %x5D-7E"""
    for value in json.loads(answer(error, RESOURCE, READ).body).values():
        assert re.fullmatch(r"[ !#-\[\]-~]+", value)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "identifier", ['https://a.example/"', "https://a.example\r\nSet-Cookie: a=b", 'a"b\\c', "bücher", "a\x00\x7f", ""]
)
def test_an_identifier_cannot_break_out_of_its_quotes(error: Refused | Unavailable, identifier: str) -> None:
    """R100; RFC 9110 section 5.6.4"""
    answered = answer(error, ProtectedResource(identifier, "https://auth.example.com"), READ)
    for name, value in answered.headers:
        assert (name + value).isprintable()
        assert (name + value).isascii()
    parameter = r'[a-z_]+="(?:[^"\\]|\\.)*"'
    for challenge in challenges(answered):
        assert re.fullmatch(rf"(?:Bearer|DPoP) {parameter}(?:, {parameter})*", challenge)


def test_without_a_web_address_there_is_no_link_and_the_realm_is_enough() -> None:
    """RFC 6750 section 3: at least one parameter follows the scheme."""
    answered = answer(CredentialMissing(), ProtectedResource("images", "https://auth.example.com"), ANY_TOKEN)
    assert challenges(answered) == ['Bearer realm="images"', ALTERNATIVE[1]]


# What is answered to who tried DPoP


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProofRejected(Reason.PROOF_REPLAYED), 401, "invalid_dpop_proof"),
        (NonceWanted(Reason.NONCE_WRONG, nonce="bm9uY2U"), 401, "use_dpop_nonce"),
        (CredentialRejected(Reason.PROOF_KEY_WRONG), 401, "invalid_token"),
        (RequestMalformed(Reason.CREDENTIAL_MISSING), 400, "invalid_request"),
        (ScopeInsufficient(["images:read"]), 403, "insufficient_scope"),
    ],
)
def test_who_tried_dpop_is_challenged_with_it_alone(error: Refused, status: int, code: str) -> None:
    """R70, R67; RFC 9449 sections 7.1 and 9"""
    answered = answer(error, RESOURCE, READ, "DPoP")
    body = json.loads(answered.body)
    scope = ', scope="images:read"' if status == 403 else ""
    nonce = (("DPoP-Nonce", "bm9uY2U"),) if code == "use_dpop_nonce" else ()
    assert (answered.status, body["error"]) == (status, code)
    assert answered.headers == (
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        (
            "WWW-Authenticate",
            f'DPoP realm="{AUDIENCE}", error="{code}", error_description="{body["error_description"]}"{scope}, '
            f"{DPOP_METADATA}",
        ),
        *nonce,
    )


def test_a_proof_that_came_with_a_bearer_token_is_answered_as_a_proof() -> None:
    """R70"""
    (challenge,) = challenges(answer(ProofRejected(Reason.PROOF_UNEXPECTED), RESOURCE, READ))
    assert challenge.startswith(f'DPoP realm="{AUDIENCE}", error="invalid_dpop_proof"')


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_an_api_that_takes_no_bearer_tokens_does_not_ask_for_one(scheme: str) -> None:
    """R70; RFC 9449 section 7.1, figure 15"""
    resource = ProtectedResource(AUDIENCE, "https://auth.example.com", sender_constrained=True)
    (challenge,) = challenges(answer(CredentialMissing(), resource, READ, scheme))
    assert challenge == f'DPoP realm="{AUDIENCE}", scope="images:read", {DPOP_METADATA}'
    (challenge,) = challenges(answer(CredentialRejected(Reason.SENDER_UNPROVEN), resource, READ, scheme))
    assert challenge.startswith(f'DPoP realm="{AUDIENCE}", error="invalid_token"')
