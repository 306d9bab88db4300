"""The catalogue of hostile tokens: every row is what it says, and is wrong in nothing else."""

import json
from collections.abc import Iterator

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import base64url_decode, parse
from authserver.jose.key_set import StaticKeySet
from authserver.jose.verify import check_age, verify
from authserver.testing import FakeIssuer, FrozenClock, Hostile, hostile_tokens

AUDIENCE = "https://auth.example.com"
ALGORITHMS = ("ES256", "RS256", "EdDSA")
TYPES: dict[str, tuple[str | None, ...]] = {"JWT": ("jwt", None), "at+jwt": ("at+jwt",)}

EXPECTED: dict[str, set[Reason]] = {
    "alg-none-with-signature": {Reason.ALGORITHM_NOT_ALLOWED},
    "alg-none": {Reason.TOKEN_MALFORMED},
    "alg-None": {Reason.TOKEN_MALFORMED},
    "alg-nOnE": {Reason.TOKEN_MALFORMED},
    "alg-": {Reason.ALGORITHM_NOT_ALLOWED},
    "kid-absent": {Reason.KEY_ID_MISSING},
    "kid-empty": {Reason.KEY_ID_MISSING},
    "kid-of-another-key": {Reason.SIGNATURE_WRONG},
    "kid-": {Reason.KEY_UNKNOWN},
    "jwk-of-the-attacker-without-kid": {Reason.KEY_ID_MISSING},
    "jwk-": {Reason.KEY_UNKNOWN},
    "jku-": {Reason.KEY_UNKNOWN},
    "x5u-": {Reason.KEY_UNKNOWN},
    "x5c-": {Reason.KEY_UNKNOWN},
    "crit-": {Reason.CRITICAL_HEADER_UNKNOWN},
    "b64-": {Reason.CRITICAL_HEADER_UNKNOWN},
    "header-": {Reason.TOKEN_MALFORMED},
    "typ-": {Reason.TOKEN_TYPE_WRONG},
    "iss-absent": {Reason.CLAIM_MISSING},
    "iss-": {Reason.ISSUER_WRONG},
    "aud-absent": {Reason.CLAIM_MISSING},
    "aud-": {Reason.AUDIENCE_WRONG},
    "exp-absent": {Reason.CLAIM_MISSING},
    "exp-past": {Reason.EXPIRED},
    "exp-nan": {Reason.TOKEN_MALFORMED},
    "exp-infinite": {Reason.TOKEN_MALFORMED},
    "exp-1e400": {Reason.TOKEN_MALFORMED},
    "exp-with-5000-digits": {Reason.TOKEN_MALFORMED},
    "exp-in-ten-years": {Reason.LIVES_TOO_LONG},
    "exp-": {Reason.CLAIM_MALFORMED},
    "nbf-in-the-future": {Reason.NOT_YET_VALID},
    "iat-in-the-future": {Reason.ISSUED_IN_FUTURE},
    "nbf-": {Reason.CLAIM_MALFORMED},
    "iat-": {Reason.CLAIM_MALFORMED},
    "payload-": {Reason.TOKEN_MALFORMED},
    "signature-stripped": {Reason.TOKEN_MALFORMED},
    "signature-": {Reason.SIGNATURE_WRONG},
    "oversize": {Reason.TOKEN_TOO_LARGE},
    "": {Reason.TOKEN_MALFORMED},
}
"""The reason for each row, by the longest beginning of its name that is here."""


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(params=ALGORITHMS)
def issuer(request: pytest.FixtureRequest, clock: FrozenClock) -> Iterator[FakeIssuer]:
    with FakeIssuer(algorithms=[request.param], clock=clock) as issuer:
        yield issuer


def judge(token: str, typ: str, issuer: FakeIssuer, clock: FrozenClock) -> None:
    """A verifier with nothing of its own: the one doorway, and the limit on age."""
    verified = verify(
        parse(token),
        keys=StaticKeySet(issuer.jwks, ALGORITHMS),
        issuer=issuer.issuer,
        audience=AUDIENCE,
        typ=TYPES[typ],
        algorithms=ALGORITHMS,
        now=clock(),
        skew=30,
    )
    check_age(verified, max_age=3600, now=clock(), skew=30)


def catalogue(issuer: FakeIssuer, clock: FrozenClock, typ: str) -> list[Hostile]:
    return list(hostile_tokens(issuer, {"aud": AUDIENCE}, now=clock(), typ=typ))


@pytest.mark.parametrize("typ", TYPES)
def test_what_every_row_deviates_from_is_accepted(issuer: FakeIssuer, clock: FrozenClock, typ: str) -> None:
    judge(issuer.token({"aud": AUDIENCE}, header={"typ": typ}), typ, issuer, clock)


@pytest.mark.parametrize("typ", TYPES)
def test_every_row_is_refused_for_its_own_reason(issuer: FakeIssuer, clock: FrozenClock, typ: str) -> None:
    """R34, R36, R38, R60, R91, R92, R94, R95"""
    wrong = {}
    for hostile in catalogue(issuer, clock, typ):
        with pytest.raises(CredentialRejected) as caught:
            judge(hostile.token, typ, issuer, clock)
        expected = EXPECTED[max((name for name in EXPECTED if hostile.name.startswith(name)), key=len)]
        if caught.value.reason not in expected:
            wrong[hostile.name] = caught.value.reason
    assert wrong == {}


def test_every_row_has_its_own_name_and_its_own_token(issuer: FakeIssuer, clock: FrozenClock) -> None:
    rows = catalogue(issuer, clock, "JWT")
    assert len({row.name for row in rows}) == len({row.token for row in rows}) == len(rows) > 80


def test_the_claims_to_be_absent_and_the_types_to_be_wrong_can_be_chosen(
    issuer: FakeIssuer, clock: FrozenClock
) -> None:
    rows = hostile_tokens(
        issuer, {"aud": AUDIENCE, "team": "a"}, now=clock(), required=("team",), wrong_types=("odd", None)
    )
    names = {row.name for row in rows}
    assert {"team-absent", "typ-odd", "typ-absent"} <= names
    assert not {"iss-absent", "typ-dpop+jwt"} & names


def test_an_audience_may_be_a_list(issuer: FakeIssuer, clock: FrozenClock) -> None:
    rows = {row.name: row.token for row in hostile_tokens(issuer, {"aud": [AUDIENCE]}, now=clock())}
    claims = json.loads(base64url_decode(rows["aud-several"].split(".")[1]))
    assert claims["aud"][0] == AUDIENCE
    assert len(claims["aud"]) == 2


def test_what_http_cannot_carry_says_so(issuer: FakeIssuer, clock: FrozenClock) -> None:
    rows = catalogue(issuer, clock, "JWT")
    assert {row.name for row in rows if not row.fits_a_header} == {
        "empty",
        "not-ascii",
        "space-before",
        "newline-after",
    }


def test_a_row_does_not_print_its_token(issuer: FakeIssuer, clock: FrozenClock) -> None:
    assert all(row.token not in repr(row) for row in catalogue(issuer, clock, "JWT") if row.token)
