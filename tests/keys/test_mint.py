"""Access tokens as RFC 9068 wants them, checked with joserfc."""

import json
from dataclasses import replace

import pytest

from authserver.errors import Unavailable
from authserver.keys.mint import Minter, random_token_id
from authserver.keys.rotate import KeyRing
from authserver.keys.wrapping import MasterKeys
from authserver.model import Authorization, Confirmation, Resource, Subject
from tests import oracle
from tests.keys.fixtures import ISSUER, NOW, PLAN, Clock
from tests.keys.memory import Line, SharedRing

CLOCK = Clock(NOW + 0.75)
SUBJECT = Subject("cluster", "system:serviceaccount:media:thumbnailer", {}, "credential")
RESOURCE = Resource("images", "https://images.test", frozenset({"images:read", "images:write"}), (), "ES256")
AUTHORIZATION = Authorization(SUBJECT, RESOURCE, ("images:read", "images:write"), 900, ("a-rule",))


@pytest.fixture(scope="module")
def ring() -> KeyRing:
    plan = replace(PLAN, algorithms=("ES256", "RS256", "EdDSA"))
    ring = KeyRing(Line(SharedRing()), plan, ISSUER, MasterKeys(bytes(32)), CLOCK)
    ring.refresh()
    return ring


def authorized(algorithm: str = "ES256", lifetime: int = 900) -> Authorization:
    return AUTHORIZATION._replace(resource=replace(RESOURCE, algorithm=algorithm), lifetime=lifetime)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by RFC 9864, says joserfc
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_token_has_the_header_of_an_access_token_and_a_published_key(ring: KeyRing, algorithm: str) -> None:
    """R56"""
    token = Minter(ISSUER, ring, CLOCK).mint(authorized(algorithm))
    key_set = json.loads(ring.jwks(CLOCK.now).body)
    header, _ = oracle.read(token.value, key_set)
    assert header == {"typ": "at+jwt", "alg": algorithm, "kid": token.kid}
    assert token.kid in {key["kid"] for key in key_set["keys"] if key["alg"] == algorithm}


def test_a_token_has_the_required_claims_and_no_others(ring: KeyRing) -> None:
    """R57, R59"""
    token = Minter(ISSUER, ring, CLOCK, token_id=lambda: "a-token").mint(AUTHORIZATION)
    _, claims = oracle.read(token.value, json.loads(ring.jwks(CLOCK.now).body))
    assert claims == {
        "iss": ISSUER,
        "sub": "cluster:system:serviceaccount:media:thumbnailer",
        "aud": "https://images.test",
        "client_id": "cluster:system:serviceaccount:media:thumbnailer",
        "scope": "images:read images:write",
        "iat": int(NOW),
        "exp": int(NOW) + 900,
        "jti": "a-token",
    }


@pytest.mark.parametrize(("member", "token_type"), [("jkt", "DPoP"), ("x5t#S256", "Bearer")])
def test_a_token_is_bound_to_what_was_confirmed(ring: KeyRing, member: str, token_type: str) -> None:
    """R66; RFC 9449 sections 5 and 6.1, RFC 8705 sections 3 and 3.1"""
    token = Minter(ISSUER, ring, CLOCK).mint(AUTHORIZATION, Confirmation(member, "a-thumbprint"))
    _, claims = oracle.read(token.value, json.loads(ring.jwks(CLOCK.now).body))
    assert claims["cnf"] == {member: "a-thumbprint"}
    assert token.token_type == token_type


def test_a_device_has_an_identifier_besides_whom_it_is_for(ring: KeyRing) -> None:
    """RFC 9068 section 2.2"""
    device = SUBJECT._replace(source="phones", owner_sub="phones:owner/alice", registered_id="dev_a")
    token = Minter(ISSUER, ring, CLOCK).mint(AUTHORIZATION._replace(subject=device))
    _, claims = oracle.read(token.value, json.loads(ring.jwks(CLOCK.now).body))
    assert (claims["sub"], claims["client_id"]) == ("phones:owner/alice", "dev_a")


def test_what_is_told_about_a_token_is_what_it_says(ring: KeyRing) -> None:
    token = Minter(ISSUER, ring, CLOCK, token_id=lambda: "a-token").mint(AUTHORIZATION)
    assert (token.jti, token.scope, token.token_type) == ("a-token", AUTHORIZATION.scope, "Bearer")
    assert (token.issued_at, token.expires_in) == (int(NOW), 900)
    assert token.value not in repr(token)


@pytest.mark.parametrize(("lifetime", "granted"), [(1, 1), (3600, 3600), (3601, 3600), (10**9, 3600)])
def test_no_token_lives_longer_than_an_hour_whatever_was_authorized(ring: KeyRing, lifetime: int, granted: int) -> None:
    """R58"""
    token = Minter(ISSUER, ring, CLOCK).mint(authorized(lifetime=lifetime))
    _, claims = oracle.read(token.value, json.loads(ring.jwks(CLOCK.now).body))
    assert claims["exp"] - claims["iat"] == token.expires_in == granted


def test_names_outside_ascii_are_utf_8(ring: KeyRing) -> None:
    """R59"""
    subject = SUBJECT._replace(subject="zoë/\U0001f511")
    token = Minter(ISSUER, ring, CLOCK).mint(AUTHORIZATION._replace(subject=subject))
    _, claims = oracle.read(token.value, json.loads(ring.jwks(CLOCK.now).body))
    assert claims["sub"] == "cluster:zoë/\U0001f511"


def test_token_identifiers_have_128_bits_and_never_repeat() -> None:
    """R32"""
    identifiers = {random_token_id() for _ in range(1000)}
    assert len(identifiers) == 1000
    assert {len(identifier) for identifier in identifiers} == {22}


def test_without_an_active_key_there_is_no_token(ring: KeyRing) -> None:
    with pytest.raises(Unavailable):
        Minter(ISSUER, ring, CLOCK).mint(authorized("ES384"))
