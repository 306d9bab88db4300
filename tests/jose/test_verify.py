"""The hostile table, as far as one token and its claims go: every row is a token that is refused.

Tokens are made by joserfc, or spliced by hand where joserfc declines to make them.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import parse
from authserver.jose.jwk import ASYMMETRIC
from authserver.jose.key_set import StaticKeySet
from authserver.jose.verify import VerifiedClaims, check_age, sole_audience, verify
from tests import oracle

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

ISSUER = "https://issuer.test"
AUDIENCE = "https://auth.test"
NOW = 1_800_000_000
SKEW = 30
N_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

KEY = oracle.make_key("ES256", kid="elliptic")
RSA = oracle.make_key("RS256", kid="rsa")
STRANGER = oracle.make_key("ES256", kid="elliptic")
JWKS = oracle.jwks(KEY, RSA)


def claims(**changes: Any) -> dict[str, Any]:
    return oracle.identity(ISSUER, AUDIENCE, now=NOW, **changes)


def check(token: str, *, now: float = NOW, key_set: Mapping[str, Any] = JWKS, **changes: Any) -> VerifiedClaims:
    arguments: dict[str, Any] = {
        "keys": StaticKeySet(key_set, ["ES256", "RS256", "EdDSA"]),
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "typ": {"jwt", None},
        "algorithms": ["ES256", "RS256", "EdDSA"],
        "skew": SKEW,
        **changes,
    }
    return verify(parse(token), now=now, **arguments)


def refused(token: str, **changes: Any) -> Reason:
    with pytest.raises(CredentialRejected) as caught:
        check(token, **changes)
    return caught.value.reason


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsegment(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def spliced(header: Any, body: Any, signature: bytes = b"x") -> str:
    return f"{segment(header)}.{segment(body)}.{segment(signature)}"


def with_signature(token: str, signature: bytes) -> str:
    return f"{token.rpartition('.')[0]}.{segment(signature)}"


GOOD = oracle.sign(KEY, claims())


# What is accepted


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_good_token_is_believed(algorithm: str) -> None:
    key = oracle.make_key(algorithm)
    verified = check(oracle.sign(key, claims()), key_set=oracle.jwks(key))
    assert verified.claims["sub"] == "somebody"
    assert verified.kid == key.kid


def test_a_list_of_one_audience_is_that_audience() -> None:
    """Vault CVE-2024-5798: a string and a list are compared alike."""
    check(oracle.sign(KEY, claims(aud=[AUDIENCE])))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/jwt", "Application/JWT", None])
def test_a_type_is_compared_as_a_media_type(typ: str | None) -> None:
    """RFC 7515 section 4.1.9"""
    check(oracle.sign(KEY, claims(), typ=typ))


# Algorithms


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "HS256", "RS1", "ES256K"])
def test_an_algorithm_that_is_not_listed_is_refused(alg: str) -> None:
    """R38, R92"""
    assert refused(spliced({"alg": alg, "kid": "elliptic"}, claims())) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("alg", [None, 7, True, ["ES256"], {"ES256": 1}])
def test_an_algorithm_that_is_no_string_is_refused(alg: Any) -> None:
    assert refused(spliced({"alg": alg, "kid": "elliptic"}, claims())) is Reason.ALGORITHM_NOT_ALLOWED
    assert refused(spliced({"kid": "elliptic"}, claims())) is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("key", [KEY, RSA], ids=["elliptic", "rsa"])
def test_hmac_with_a_public_key(key: oracle.Key) -> None:
    """CVE-2026-48526: with the PEM, the DER and the JWK as the secret, even where HS256 were listed by mistake."""
    head = f"{segment({'alg': 'HS256', 'kid': key.kid, 'typ': 'JWT'})}.{segment(claims())}"
    secrets = [key.as_pem(private=False), key.as_der(private=False), json.dumps(oracle.public_jwk(key)).encode(), b""]
    for secret in secrets:
        token = f"{head}.{segment(hmac.digest(secret, head.encode(), 'sha256'))}"
        assert refused(token) is Reason.ALGORITHM_NOT_ALLOWED
        assert refused(token, algorithms=["HS256", "ES256"]) is Reason.ALGORITHM_NOT_ALLOWED


def test_an_algorithm_that_is_known_but_not_allowed_here_is_refused() -> None:
    """R92"""
    assert refused(oracle.sign(RSA, claims()), algorithms=["ES256"]) is Reason.ALGORITHM_NOT_ALLOWED
    assert refused(GOOD, algorithms=[]) is Reason.ALGORITHM_NOT_ALLOWED


def test_a_key_of_another_algorithm_is_refused() -> None:
    """R14: the header says what the key is not."""
    for alg, kid in [("RS256", "elliptic"), ("ES256", "rsa"), ("EdDSA", "elliptic")]:
        token = spliced({"alg": alg, "kid": kid}, claims(), b"x" * 64)
        assert refused(token) is Reason.ALGORITHM_NOT_ALLOWED


def test_a_key_bound_to_pkcs1_does_not_verify_pss() -> None:
    """R14"""
    pss = oracle.make_key("PS256", kid="rsa")
    token = oracle.sign(pss, claims())
    key_set = {"keys": [oracle.public_jwk(pss, alg="RS256")]}
    everything = sorted(ASYMMETRIC)
    assert refused(token, key_set=key_set, algorithms=everything) is Reason.ALGORITHM_NOT_ALLOWED


# Key identifiers and keys in headers


@pytest.mark.parametrize("kid", [None, ""])
def test_a_token_without_a_kid_is_refused(kid: str | None) -> None:
    header = {"alg": "ES256"} if kid is None else {"alg": "ES256", "kid": kid}
    assert refused(spliced(header, claims())) is Reason.KEY_ID_MISSING


@pytest.mark.parametrize(
    "kid", ["other", "ELLIPTIC", "elliptic ", "k" * 10_240, "../../etc/passwd", "' OR 1=1", 7, True, ["elliptic"], {}]
)
def test_an_unknown_kid_is_refused(kid: Any) -> None:
    """R92"""
    assert refused(spliced({"alg": "ES256", "kid": kid}, claims())) is Reason.KEY_UNKNOWN


def test_a_kid_that_is_twice_in_the_set_is_refused() -> None:
    key_set = {"keys": [*oracle.jwks(STRANGER, KEY)["keys"], oracle.public_jwk(RSA)]}
    assert refused(GOOD, key_set=key_set) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("known", [True, False])
def test_embedded_jwk_trusted(known: bool) -> None:
    """R91; Authlib CVE-2026-27962: no header is ever a source of keys."""
    header: dict[str, Any] = {
        "jwk": oracle.public_jwk(STRANGER),
        "jku": "https://evil.test/jwks",
        "x5u": "https://evil.test/x5u",
        "x5c": ["MIIB"],
        "kid": "elliptic" if known else "theirs",
    }
    for name in ("jwk", "jku", "x5u", "x5c"):
        token = oracle.sign(STRANGER, claims(), **{name: header[name], "kid": header["kid"]})
        assert refused(token) is (Reason.SIGNATURE_WRONG if known else Reason.KEY_UNKNOWN)


def test_the_same_claims_signed_by_another_issuer_are_refused() -> None:
    """R93"""
    assert refused(oracle.sign(STRANGER, claims())) is Reason.SIGNATURE_WRONG


# Critical headers and types


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["unknown"], "unknown": 1},
        {"crit": ["exp"], "exp": NOW},
        {"crit": []},
        {"crit": None},
        {"crit": "b64"},
        {"b64": False, "crit": ["b64"]},
        {"b64": False},
        {"b64": True},
    ],
)
def test_a_critical_header_is_refused(extra: dict[str, Any]) -> None:
    """R91; RFC 7515 section 4.1.11, RFC 7797"""
    token = spliced({"alg": "ES256", "kid": "elliptic", **extra}, claims())
    assert refused(token) is Reason.CRITICAL_HEADER_UNKNOWN


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "application/at+jwt", "", "jwt ", "text/jwt", "JOSE"])
def test_a_token_of_another_type_is_refused(typ: str) -> None:
    """R60"""
    assert refused(oracle.sign(KEY, claims(), typ=typ)) is Reason.TOKEN_TYPE_WRONG


@pytest.mark.parametrize("typ", [7, True, [], ["JWT"], {"typ": "JWT"}])
def test_a_type_that_is_no_string_is_refused(typ: Any) -> None:
    header = {"alg": "ES256", "kid": "elliptic", "typ": typ}
    assert refused(spliced(header, claims())) is Reason.TOKEN_TYPE_WRONG


def test_an_id_token_is_no_access_token() -> None:
    """R60, R99"""
    for typ in ("JWT", None):
        assert refused(oracle.sign(KEY, claims(), typ=typ), typ={"at+jwt"}) is Reason.TOKEN_TYPE_WRONG


# Issuer and audience


@pytest.mark.parametrize(
    "iss", [f"{ISSUER}/", ISSUER.upper(), "https://\u0456ssuer.test", "http://issuer.test", "", 7, [ISSUER]]
)
def test_another_spelling_of_the_issuer_is_another_issuer(iss: Any) -> None:
    assert refused(oracle.sign(KEY, claims(iss=iss))) is Reason.ISSUER_WRONG


@pytest.mark.parametrize(
    "aud",
    [
        "",
        f"{AUDIENCE}/",
        AUDIENCE.upper(),
        [],
        [""],
        [AUDIENCE, "https://other.test"],
        ["https://other.test", AUDIENCE],
        [AUDIENCE, AUDIENCE],
        [[AUDIENCE]],
        {AUDIENCE: 1},
        7,
        True,
        f"{AUDIENCE} https://other.test",
    ],
)
def test_an_audience_that_is_not_exactly_ours_is_refused(aud: Any) -> None:
    """R35, R94"""
    assert refused(oracle.sign(KEY, claims(aud=aud))) is Reason.AUDIENCE_WRONG


@pytest.mark.parametrize("name", ["iss", "aud", "exp"])
def test_a_claim_that_is_left_out_is_missing(name: str) -> None:
    """R34"""
    assert refused(oracle.sign(KEY, claims(**{name: None}))) is Reason.CLAIM_MISSING


def test_a_null_is_no_value() -> None:
    for name, reason in [
        ("iss", Reason.ISSUER_WRONG),
        ("aud", Reason.AUDIENCE_WRONG),
        *((name, Reason.CLAIM_MALFORMED) for name in ("exp", "iat", "nbf")),
    ]:
        assert refused(oracle.sign(KEY, {**claims(), name: None})) is reason


def test_the_sole_audience_is_told_only_where_there_is_one() -> None:
    assert sole_audience({"aud": "a"}) == sole_audience({"aud": ["a"]}) == "a"
    assert {sole_audience({"aud": aud}) for aud in ("", [], ["a", "b"], [7], None)} == {None}
    assert sole_audience({}) is None


# Times


@pytest.mark.parametrize(
    ("name", "offset", "expected"),
    [
        ("exp", -SKEW + 1, None),
        ("exp", -SKEW, Reason.EXPIRED),
        ("exp", -SKEW - 1, Reason.EXPIRED),
        ("nbf", SKEW - 1, None),
        ("nbf", SKEW, None),
        ("nbf", SKEW + 1, Reason.NOT_YET_VALID),
        ("iat", SKEW - 1, None),
        ("iat", SKEW, None),
        ("iat", SKEW + 1, Reason.ISSUED_IN_FUTURE),
    ],
)
def test_the_edges_of_time_are_exact(name: str, offset: int, expected: Reason | None) -> None:
    """R36: accepted iff now < exp + skew, and iat, nbf <= now + skew."""
    token = oracle.sign(KEY, claims(**{name: NOW + offset}))
    if expected is None:
        check(token)
    else:
        assert refused(token) is expected


def test_the_edge_is_between_a_moment_and_the_next() -> None:
    token = oracle.sign(KEY, claims(exp=NOW))
    check(token, now=NOW + SKEW - 0.001)
    assert refused(token, now=NOW + SKEW) is Reason.EXPIRED


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [str(NOW), "soon", True, [], {}, -1, -0.5, 2**53 + 2, 1e300, 10**400])
def test_a_time_that_is_none_is_refused(name: str, value: Any) -> None:
    """R36"""
    assert refused(oracle.sign(KEY, claims(**{name: value}))) is Reason.CLAIM_MALFORMED


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400"])
def test_a_time_that_is_no_json_is_refused(value: str) -> None:
    body = json.dumps(claims()).replace(f'"exp": {NOW + 600}', f'"exp": {value}')
    assert value in body
    assert refused(spliced({"alg": "ES256", "kid": "elliptic"}, body.encode())) is Reason.TOKEN_MALFORMED


def test_a_fraction_of_a_second_is_a_time() -> None:
    assert check(oracle.sign(KEY, claims(exp=NOW + 0.5))).time("exp") == NOW + 0.5


@pytest.mark.parametrize(
    ("iat", "exp", "expected"),
    [
        (NOW - 3600 - SKEW, NOW + 60, Reason.LIVES_TOO_LONG),
        (NOW - 3600 - SKEW - 1, NOW + 60, Reason.TOO_OLD),
        (NOW, NOW + 3600, None),
        (NOW, NOW + 3601, Reason.LIVES_TOO_LONG),
        (NOW, NOW + 10 * 365 * 86400, Reason.LIVES_TOO_LONG),
        (None, NOW + 60, Reason.CLAIM_MISSING),
    ],
)
def test_the_age_and_the_life_of_a_token_are_bounded(iat: int | None, exp: int, expected: Reason | None) -> None:
    """R36"""
    verified = check(oracle.sign(KEY, claims(iat=iat, exp=exp)))
    if expected is None:
        check_age(verified, max_age=3600, now=NOW, skew=SKEW)
        return
    with pytest.raises(CredentialRejected) as caught:
        check_age(verified, max_age=3600, now=NOW, skew=SKEW)
    assert caught.value.reason is expected


# Signatures


def test_a_stripped_signature_is_refused() -> None:
    """R38"""
    head = GOOD.rpartition(".")[0]
    for token in (head, f"{head}."):
        with pytest.raises(CredentialRejected) as caught:
            parse(token)
        assert caught.value.reason is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("key", [KEY, RSA], ids=["elliptic", "rsa"])
def test_a_signature_that_was_changed_in_any_byte_or_length_is_refused(key: oracle.Key) -> None:
    """R38"""
    token = oracle.sign(key, claims())
    signature = unsegment(token.rpartition(".")[2])
    changed = [signature[:position] + bytes([signature[position] ^ 1]) + signature[position + 1 :]
               for position in range(0, len(signature), 7)]  # fmt: skip
    lengths = [
        signature[:-1],
        signature[1:],
        signature[: len(signature) // 2],
        b"\x00" + signature,
        signature + b"\x00",
    ]
    for hostile in [*changed, *lengths, b"\x00", signature * 2]:
        assert refused(with_signature(token, hostile)) is Reason.SIGNATURE_WRONG


def test_signatures_made_of_nothing_are_refused() -> None:
    """CVE-2022-21449: (0, 0) and its relatives."""
    numbers = [0, 1, N_P256 - 1, N_P256]
    for r in numbers:
        for s in numbers:
            hostile = r.to_bytes(32) + s.to_bytes(32)
            assert refused(with_signature(GOOD, hostile)) is Reason.SIGNATURE_WRONG


def test_a_signature_in_der_is_refused() -> None:
    """RFC 7518 section 3.4: raw, and always 64 bytes."""
    raw = unsegment(GOOD.rpartition(".")[2])
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    assert refused(with_signature(GOOD, der)) is Reason.SIGNATURE_WRONG


def test_the_signature_of_another_token_is_refused() -> None:
    """R38"""
    other = oracle.sign(KEY, claims(sub="somebody else"))
    assert refused(f"{GOOD.rpartition('.')[0]}.{other.rpartition('.')[2]}") is Reason.SIGNATURE_WRONG


def test_claims_that_were_changed_after_signing_are_refused() -> None:
    """R38"""
    head, _, tail = GOOD.split(".")
    assert refused(f"{head}.{segment(claims(sub='root'))}.{tail}") is Reason.SIGNATURE_WRONG


def test_the_other_signature_of_the_same_token_is_the_same_token() -> None:
    """R79: (r, n-s) verifies as well, and what identifies a token is never its signature."""
    raw = unsegment(GOOD.rpartition(".")[2])
    twin = with_signature(GOOD, raw[:32] + (N_P256 - int.from_bytes(raw[32:])).to_bytes(32))
    assert twin != GOOD
    assert check(twin).claims == check(GOOD).claims
    assert parse(twin).signing_input == parse(GOOD).signing_input


def test_time_is_looked_at_only_after_the_signature() -> None:
    """Otherwise an answer would tell a stranger which times are believed."""
    assert refused(oracle.sign(STRANGER, claims(exp=NOW - 9999))) is Reason.SIGNATURE_WRONG


# What is read out of claims


@pytest.mark.parametrize("value", ["", 7, True, [], {}, "a\nb", "a\x00", "\u202e", "a\u2028b"])
def test_a_text_that_is_empty_unprintable_or_no_text_is_refused(value: Any) -> None:
    verified = check(oracle.sign(KEY, claims(sub=value)))
    with pytest.raises(CredentialRejected) as caught:
        verified.text("sub")
    assert caught.value.reason is Reason.CLAIM_MALFORMED


def test_a_text_that_is_absent_is_missing() -> None:
    with pytest.raises(CredentialRejected) as caught:
        check(GOOD).text("absent")
    assert caught.value.reason is Reason.CLAIM_MISSING


# Against another implementation


def mutate(token: str, position: int, character: str) -> str:
    position %= len(token)
    return token[:position] + character + token[position + 1 :]


TOKENS = [GOOD, oracle.sign(RSA, claims()), oracle.sign(KEY, claims(), typ=None), oracle.sign(STRANGER, claims())]


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(TOKENS),
    st.none() | st.tuples(st.integers(0, 2000), st.sampled_from("ABCxyz019-_.=")),
)
def test_what_we_accept_joserfc_accepts_too(token: str, mutation: tuple[int, str] | None) -> None:
    """The other way round does not hold: we are the stricter one."""
    token = token if mutation is None else mutate(token, *mutation)
    try:
        verified = check(token)
    except CredentialRejected:
        return
    theirs = jws.deserialize_compact(token, KeySet.import_key_set(JWKS), algorithms=["ES256", "RS256"])  # type: ignore[arg-type]
    assert json.loads(theirs.payload) == verified.claims
