"""RFC 9068 section 4: what an access token must be to be believed. Good tokens are made by joserfc."""

from typing import Any

import pytest

from authserver.errors import Reason
from authserver.jose.key_set import StaticKeySet
from authserver.resource import AccessTokenVerifier
from authserver.testing import FakeIssuer, FrozenClock
from tests import oracle
from tests.resource.environment import AUDIENCE, REQUIRED, claims, refusal

ISSUER = "https://auth.example.com"
ALGORITHMS = ("ES256", "RS256", "EdDSA")


@pytest.fixture(scope="module", params=ALGORITHMS)
def key(request: pytest.FixtureRequest) -> oracle.Key:
    return oracle.make_key(request.param)


@pytest.fixture(scope="module")
def elliptic() -> oracle.Key:
    return oracle.make_key("ES256")


def verifier_of(key: oracle.Key, clock: FrozenClock, **options: Any) -> AccessTokenVerifier:
    keys = StaticKeySet(oracle.jwks(key), ALGORITHMS)
    return AccessTokenVerifier(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": keys, "clock": clock, **options})


def sign(key: oracle.Key, clock: FrozenClock, *, typ: Any = "at+jwt", **changes: Any) -> str:
    return oracle.sign(key, claims(ISSUER, clock, **changes), typ=typ)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # joserfc follows RFC 9864, which has other names
def test_a_token_made_by_another_library_is_believed(key: oracle.Key, clock: FrozenClock) -> None:
    """R99"""
    token = verifier_of(key, clock).verify(sign(key, clock, scope="images:read images:write", team="media"))
    assert token.subject == token.client_id == "prod:thumbnailer"
    assert token.scope == {"images:read", "images:write"}
    assert (token.issuer, token.audience, token.kid, token.jti) == (ISSUER, AUDIENCE, key.kid, "one")
    assert (token.issued_at, token.expires_at) == (clock(), clock() + 600)
    assert token.claims["team"] == "media"
    assert token.has_scope("images:read", "images:write")
    assert not token.has_scope("images:read", "images:delete")


def test_a_verified_token_cannot_be_changed(elliptic: oracle.Key, clock: FrozenClock) -> None:
    token = verifier_of(elliptic, clock).verify(sign(elliptic, clock))
    with pytest.raises(AttributeError):
        token.subject = "somebody else"  # type: ignore[misc]
    with pytest.raises(TypeError):
        token.claims["sub"] = "somebody else"  # type: ignore[index]


def test_a_verified_token_does_not_print_its_claims(elliptic: oracle.Key, clock: FrozenClock) -> None:
    assert "secret" not in repr(verifier_of(elliptic, clock).verify(sign(elliptic, clock, note="secret")))


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "Application/At+Jwt"])
def test_the_type_is_a_media_type_and_its_prefix_may_be_left_out(
    elliptic: oracle.Key, clock: FrozenClock, typ: str
) -> None:
    """R99; RFC 7515 section 4.1.9"""
    verifier_of(elliptic, clock).verify(sign(elliptic, clock, typ=typ))


@pytest.mark.parametrize("typ", [None, "", "JWT", "dpop+jwt", "text/at+jwt", "application/application/at+jwt"])
def test_another_type_is_refused(elliptic: oracle.Key, clock: FrozenClock, typ: str | None) -> None:
    """R99, R60: an identity token is not an access token."""
    token = sign(elliptic, clock, typ=typ)
    assert refusal(verifier_of(elliptic, clock), token) is Reason.TOKEN_TYPE_WRONG


def test_an_audience_may_be_a_list_of_one(elliptic: oracle.Key, clock: FrozenClock) -> None:
    """RFC 7519 section 4.1.3"""
    verifier_of(elliptic, clock).verify(sign(elliptic, clock, aud=[AUDIENCE]))


@pytest.mark.parametrize("audience", [[AUDIENCE, "https://b.example"], AUDIENCE + "/", AUDIENCE.upper(), []])
def test_a_token_for_others_too_is_refused(elliptic: oracle.Key, clock: FrozenClock, audience: object) -> None:
    """R99"""
    assert refusal(verifier_of(elliptic, clock), sign(elliptic, clock, aud=audience)) is Reason.AUDIENCE_WRONG


@pytest.mark.parametrize("name", REQUIRED)
def test_every_claim_of_the_profile_is_required(elliptic: oracle.Key, clock: FrozenClock, name: str) -> None:
    """R57; RFC 9068 section 2.2"""
    assert refusal(verifier_of(elliptic, clock), sign(elliptic, clock, **{name: None})) is Reason.CLAIM_MISSING


@pytest.mark.parametrize("name", ["sub", "client_id", "jti", "scope"])
@pytest.mark.parametrize("value", ["", 7, ["a"], {"a": 1}, "a\r\nb", True])
def test_a_claim_of_another_shape_is_refused(
    elliptic: oracle.Key, clock: FrozenClock, name: str, value: object
) -> None:
    assert refusal(verifier_of(elliptic, clock), sign(elliptic, clock, **{name: value})) is Reason.CLAIM_MALFORMED


def test_a_token_without_scope_has_none(elliptic: oracle.Key, clock: FrozenClock) -> None:
    assert verifier_of(elliptic, clock).verify(sign(elliptic, clock, scope=None)).scope == frozenset()


@pytest.mark.parametrize("leeway", [0, 30, 60])
def test_the_end_is_exact_to_the_second(elliptic: oracle.Key, clock: FrozenClock, leeway: int) -> None:
    """R99: accepted iff now < exp + leeway."""
    verifier = verifier_of(elliptic, clock, leeway=leeway)
    verifier.verify(sign(elliptic, clock, exp=int(clock()) - leeway + 1, iat=int(clock()) - 100))
    late = sign(elliptic, clock, exp=int(clock()) - leeway, iat=int(clock()) - 100)
    assert refusal(verifier, late) is Reason.EXPIRED


@pytest.mark.parametrize(("name", "reason"), [("iat", Reason.ISSUED_IN_FUTURE), ("nbf", Reason.NOT_YET_VALID)])
def test_the_beginning_is_exact_to_the_second(
    elliptic: oracle.Key, clock: FrozenClock, name: str, reason: Reason
) -> None:
    verifier = verifier_of(elliptic, clock)
    verifier.verify(sign(elliptic, clock, **{name: int(clock()) + 30}))
    assert refusal(verifier, sign(elliptic, clock, **{name: int(clock()) + 31})) is reason


def test_no_token_is_believed_that_was_made_to_live_longer_than_an_hour(
    elliptic: oracle.Key, clock: FrozenClock
) -> None:
    """R58"""
    verifier = verifier_of(elliptic, clock)
    verifier.verify(sign(elliptic, clock, exp=int(clock()) + 3600))
    assert refusal(verifier, sign(elliptic, clock, exp=int(clock()) + 3601)) is Reason.LIVES_TOO_LONG


@pytest.mark.parametrize("confirmation", [{"jkt": "a"}, {"x5t#S256": 7}, {}, None, "a"])
def test_a_bound_token_is_no_bearer_token(elliptic: oracle.Key, clock: FrozenClock, confirmation: object) -> None:
    """R68: not even with a confirmation that says nothing."""
    token = oracle.sign(elliptic, {**claims(ISSUER, clock), "cnf": confirmation}, typ="at+jwt")
    assert refusal(verifier_of(elliptic, clock), token) is Reason.SENDER_UNPROVEN


def test_an_algorithm_that_is_not_listed_is_refused(elliptic: oracle.Key, clock: FrozenClock) -> None:
    verifier = verifier_of(elliptic, clock, algorithms=["RS256"])
    assert refusal(verifier, sign(elliptic, clock)) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"issuer": "http://auth.example.com"}, "issuer"),
        ({"issuer": "https://auth.example.com?tenant=a"}, "issuer"),
        ({"issuer": "https://auth.example.com#a"}, "issuer"),
        ({"issuer": "https://somebody@auth.example.com"}, "issuer"),
        ({"issuer": ""}, "issuer"),
        ({"audience": ""}, "audience"),
        ({"audience": "a\r\nb"}, "audience"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"leeway": 61}, "leeway"),
        ({"leeway": -1}, "leeway"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    elliptic: oracle.Key, clock: FrozenClock, options: dict[str, Any], setting: str
) -> None:
    """R1, R99"""
    with pytest.raises(ValueError, match=setting):
        verifier_of(elliptic, clock, **options)


def test_two_environments_do_not_accept_each_others_tokens(clock: FrozenClock) -> None:
    """R93: the same audience and claims, once from the other issuer and once signed by its key alone."""
    with FakeIssuer(clock=clock) as staging, FakeIssuer(clock=clock) as production:
        verifier = AccessTokenVerifier(issuer=production.issuer, audience=AUDIENCE, clock=clock)
        verifier.verify(production.access_token(AUDIENCE))
        assert refusal(verifier, staging.access_token(AUDIENCE)) is Reason.ISSUER_WRONG
        assert refusal(verifier, staging.access_token(AUDIENCE, iss=production.issuer)) is Reason.KEY_UNKNOWN
