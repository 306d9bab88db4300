"""SPIFFE workloads, by JWT-SVID."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.authenticate import Identity
from authserver.identity.source import JwtSource
from authserver.identity.sources.spiffe import SpiffeTable
from authserver.identity.spiffe_bundle import BundleKeys
from authserver.model import Credential, Subject
from authserver.testing import FakeIssuer, FrozenClock
from tests import oracle
from tests.identity.conftest import AUDIENCE, SKEW, Remembered
from tests.mesh import THUMBNAILER

SETTINGS = {"type": "spiffe", "trust_domain": "example.org", "audience": AUDIENCE, "bundle": {"file": "b.json"}}


def trusting(bundle: Mapping[str, Any], *, name: str = "mesh", **settings: Any) -> JwtSource:
    """A source that believes the keys of a bundle."""
    table = SpiffeTable.model_validate({**SETTINGS, **settings})
    return JwtSource(name, table, BundleKeys(bundle, table.allowed_algorithms), SKEW)


@pytest.fixture
def believe(issuer: FakeIssuer, clock: FrozenClock) -> Callable[..., Subject]:
    """Authenticate a JWT-SVID at a source that trusts the bundle of the issuer."""

    def believe(token: str, **settings: Any) -> Subject:
        return Identity([trusting(issuer.bundle, **settings)], Remembered()).authenticate(Credential(token), clock())

    return believe


def reason(believe: Callable[..., Subject], token: str, **settings: Any) -> Reason:
    with pytest.raises(CredentialRejected) as refused:
        believe(token, **settings)
    return refused.value.reason


def test_a_jwt_svid_gives_the_spiffe_id(issuer: FakeIssuer, believe: Callable[..., Subject]) -> None:
    subject = believe(issuer.spiffe_token(THUMBNAILER, AUDIENCE))
    assert subject.sub == f"mesh:{THUMBNAILER}"
    assert subject.client_id == subject.sub
    assert subject.attributes == {
        "trust_domain": ("example.org",),
        "path": ("/ns/media/sa/thumbnailer",),
        "spiffe_id": (THUMBNAILER,),
    }


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"])
def test_every_algorithm_of_the_standard_is_verified(algorithm: str, clock: FrozenClock) -> None:
    """R97, RFC 7518 sections 3.3 to 3.5; the tokens are made by another library."""
    key = oracle.make_key(algorithm)
    bundle = {"keys": [{**oracle.public_jwk(key), "use": "jwt-svid"}]}
    token = oracle.sign(key, {"sub": THUMBNAILER, "aud": [AUDIENCE], "iat": int(clock()), "exp": int(clock()) + 300})
    identity = Identity([trusting(bundle)], Remembered())
    assert identity.authenticate(Credential(token), clock()).subject == THUMBNAILER


def test_no_other_algorithm_can_be_allowed() -> None:
    """R97"""
    for algorithms in (["EdDSA"], ["ES256", "Ed25519"]):
        with pytest.raises(ValueError, match="no JWT-SVID may have"):
            SpiffeTable.model_validate({**SETTINGS, "algorithms": algorithms})
    assert SpiffeTable.model_validate({**SETTINGS, "algorithms": ["PS256"]}).allowed_algorithms == ("PS256",)


def test_the_type_is_absent_or_one_of_two(issuer: FakeIssuer, believe: Callable[..., Subject]) -> None:
    """R97; a WIT-SVID is no bearer token, whoever signed it."""
    claims = {"sub": THUMBNAILER, "aud": AUDIENCE}
    for typ in (None, "JWT", "JOSE", "jose"):
        assert believe(issuer.token(claims, header={"typ": typ})).subject == THUMBNAILER
    for wrong in ("wit+jwt", "application/wit+jwt", "at+jwt", "wpt+jwt", "jwt-svid", "", 7):
        assert reason(believe, issuer.token(claims, header={"typ": wrong})) is Reason.TOKEN_TYPE_WRONG
    for name in ("wit+jwt", "JWT"):
        wit = issuer.token({**claims, "cnf": {"jwk": {"alg": "ES256"}}}, header={"typ": name})
        assert reason(believe, wit) in (Reason.TOKEN_TYPE_WRONG, Reason.CONFIRMATION_UNSUPPORTED)


def test_what_signs_wit_svids_or_plain_tokens_signs_no_jwt_svid(issuer: FakeIssuer, clock: FrozenClock) -> None:
    """R97"""
    token = issuer.spiffe_token(THUMBNAILER, AUDIENCE)
    for use in ("wit-svid", "sig", "x509-svid"):
        bundle = {"keys": [{**key, "use": use} for key in issuer.bundle["keys"]]}
        with pytest.raises(CredentialRejected) as refused:
            Identity([trusting(bundle)], Remembered()).authenticate(Credential(token), clock())
        assert refused.value.reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"aud": None}, Reason.CLAIM_MISSING),
        ({"exp": None}, Reason.CLAIM_MISSING),
        ({"iat": None}, Reason.CLAIM_MISSING),
        ({"aud": [AUDIENCE, "https://elsewhere.example"]}, Reason.AUDIENCE_WRONG),
        ({"aud": []}, Reason.AUDIENCE_WRONG),
        ({"sub": None}, Reason.CLAIM_MISSING),
        ({"sub": 7}, Reason.CLAIM_MISSING),
        ({"sub": "somebody"}, Reason.CLAIM_MISSING),
        ({"sub": "SPIFFE://example.org/a"}, Reason.CLAIM_MISSING),
        ({"sub": "spiffe://example.org"}, Reason.SPIFFE_ID_MALFORMED),
        ({"sub": "spiffe://example.org/"}, Reason.SPIFFE_ID_MALFORMED),
        ({"sub": "spiffe://example.org/a/"}, Reason.SPIFFE_ID_MALFORMED),
        ({"sub": "spiffe://example.org/a/../b"}, Reason.SPIFFE_ID_MALFORMED),
        ({"sub": "spiffe://example.org/%61"}, Reason.SPIFFE_ID_MALFORMED),
        ({"sub": "spiffe://example.org/a?b"}, Reason.SPIFFE_ID_MALFORMED),
        ({"sub": f"spiffe://example.org/{'p' * 2048}"}, Reason.SPIFFE_ID_MALFORMED),
        ({"sub": "spiffe://Example.org/a"}, Reason.ISSUER_UNKNOWN),
        ({"sub": "spiffe://example.org:443/a"}, Reason.ISSUER_UNKNOWN),
        ({"sub": "spiffe://user@example.org/a"}, Reason.ISSUER_UNKNOWN),
        ({"sub": "spiffe://example%2eorg/a"}, Reason.ISSUER_UNKNOWN),
        ({"sub": "spiffe://other.example/a"}, Reason.ISSUER_UNKNOWN),
        ({"sub": "spiffe://other.example/a", "iss": "spiffe://example.org"}, Reason.TRUST_DOMAIN_WRONG),
        ({"sub": "spiffe://Example.org/a", "iss": "spiffe://example.org"}, Reason.SPIFFE_ID_MALFORMED),
    ],
)
def test_what_the_standard_has_a_validator_refuse_is_refused(
    changes: dict[str, Any], expected: Reason, issuer: FakeIssuer, believe: Callable[..., Subject]
) -> None:
    """R97"""
    assert reason(believe, issuer.spiffe_token(THUMBNAILER, AUDIENCE, **changes)) is expected


def test_an_issuer_says_nothing_unless_the_source_names_one(
    issuer: FakeIssuer, believe: Callable[..., Subject]
) -> None:
    """SPIRE writes one where ``jwt_issuer`` is set; the trust domain is in ``sub`` all the same."""
    plain = issuer.spiffe_token(THUMBNAILER, AUDIENCE)
    written = issuer.spiffe_token(THUMBNAILER, AUDIENCE, iss="https://oidc.example.org")
    for token in (plain, written):
        assert believe(token).subject == THUMBNAILER
    assert believe(written, issuer="https://oidc.example.org").subject == THUMBNAILER
    assert reason(believe, plain, issuer="https://oidc.example.org") is Reason.CLAIM_MISSING
    assert reason(believe, written, issuer="https://other.example") is Reason.ISSUER_WRONG


def test_trust_domains_cannot_speak_for_each_other(issuer: FakeIssuer, clock: FrozenClock) -> None:
    """R93, R97"""
    with FakeIssuer(clock=clock) as other:
        sources = [
            trusting(issuer.bundle, name="one"),
            trusting(other.bundle, name="two", trust_domain="other.example"),
        ]
        identity = Identity(sources, Remembered())
        for domain, own, name in (("example.org", issuer, "one"), ("other.example", other, "two")):
            token = own.spiffe_token(f"spiffe://{domain}/a", AUDIENCE)
            assert identity.authenticate(Credential(token), clock()).source == name
        for iss in (None, "spiffe://other.example", other.issuer):
            forged = other.spiffe_token(THUMBNAILER, AUDIENCE, iss=iss)
            with pytest.raises(CredentialRejected) as refused:
                identity.authenticate(Credential(forged), clock())
            assert refused.value.reason in (Reason.KEY_UNKNOWN, Reason.TRUST_DOMAIN_WRONG)


def test_an_oidc_source_of_the_same_issuer_and_audience_comes_first(
    issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    """Who federates with the issuer of a trust domain has said how its tokens are to be read."""
    identity = Identity([trusting(issuer.bundle), source("oidc", name="federated")], Remembered())
    token = issuer.spiffe_token(THUMBNAILER, AUDIENCE, iss=issuer.issuer)
    assert identity.authenticate(Credential(token), clock()).source == "federated"
    elsewhere = Identity([trusting(issuer.bundle), source("oidc", name="federated", audience="a")], Remembered())
    assert elsewhere.authenticate(Credential(token), clock()).source == "mesh"


def test_a_credential_that_is_to_be_a_jwt_svid_is_read_as_nothing_else(
    issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    """R41"""
    identity = Identity([trusting(issuer.bundle), source("oidc", name="federated")], Remembered())
    token = issuer.spiffe_token(THUMBNAILER, AUDIENCE, iss=issuer.issuer)
    assert identity.authenticate(Credential(token, is_svid=True), clock()).source == "mesh"
    with pytest.raises(CredentialRejected) as refused:
        identity.authenticate(Credential(issuer.identity_token(AUDIENCE), is_svid=True), clock())
    assert refused.value.reason is Reason.CLAIM_MISSING


@pytest.mark.parametrize("name", ["", "Example.org", "spiffe://example.org", "example.org/a", "a:1", "a@b", "d" * 256])
def test_a_trust_domain_is_named_as_its_ids_name_it(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a trust domain"):
        SpiffeTable.model_validate({**SETTINGS, "trust_domain": name})


def test_a_bundle_has_to_be_named_and_is_not_called_anything_else() -> None:
    without = {key: value for key, value in SETTINGS.items() if key != "bundle"}
    for settings in (without, {**without, "jwks": {"file": "b.json"}}, {**SETTINGS, "bundle": {}}):
        with pytest.raises(ValueError, match="bundle"):
            SpiffeTable.model_validate(settings)
