"""DPoP proofs, everything about one that needs no memory (RFC 9449 section 4). joserfc makes them and reads ours."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwk as joserfc_jwk
from joserfc import jwt

from authserver.errors import ProofRejected, Reason
from authserver.jose.dpop import (
    MAX_ID,
    Proof,
    check_key,
    check_time,
    check_token,
    make_proof,
    read_proof,
    same_address,
    sole_proof,
    token_hash,
)
from authserver.jose.jwk import SigningKey, export_public, generate, thumbprint
from tests import oracle
from tests.devices import DeviceKey
from tests.jose.hostile_proofs import IDENTITY_POINT, hostile_proofs, other_addresses
from tests.vectors import load

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

TOKEN = "https://auth.test/base/token"
NOW = 1_800_000_000
KEY = DeviceKey()


def read(proof: str, *, method: str = "POST", url: str = TOKEN) -> Proof:
    """A proof for the token endpoint, read."""
    return read_proof(proof, method=method, url=url)


def refusal(proof: str, *, method: str = "POST", url: str = TOKEN) -> Reason:
    """Why a proof is refused."""
    with pytest.raises(ProofRejected) as refused:
        read(proof, method=method, url=url)
    return refused.value.reason


def test_the_token_request_of_rfc_9449_section_5() -> None:
    """R62, R63"""
    vectors = load("rfc/vectors.json")["rfc9449"]
    example = vectors["token_request"]
    proof = read_proof(example["proof"], method=example["htm"], url=example["htu"])
    assert proof.thumbprint == vectors["jkt"]
    assert proof.jwk == vectors["jwk"]
    assert proof.issued_at == example["iat"]
    assert proof.claims["jti"] == example["jti"]
    assert proof.nonce is None
    check_key(proof, vectors["jkt"])
    assert check_time(proof, max_age=60, now=example["iat"], skew=0) == example["iat"] + 60


def test_the_resource_request_of_rfc_9449_section_7_1() -> None:
    """R62, R63, R65"""
    vectors = load("rfc/vectors.json")["rfc9449"]
    example, access_token = vectors["resource_request"], vectors["access_token"]
    proof = read_proof(example["proof"], method=example["htm"], url=example["htu"])
    assert token_hash(access_token) == vectors["ath"]
    check_token(proof, access_token)
    with pytest.raises(ProofRejected) as refused:
        check_token(proof, access_token + "x")
    assert refused.value.reason is Reason.PROOF_TOKEN_WRONG


def test_the_examples_of_rfc_9449_are_proofs_for_nothing_else() -> None:
    """R63"""
    vectors = load("rfc/vectors.json")["rfc9449"]
    token, resource = vectors["token_request"], vectors["resource_request"]
    assert refusal(token["proof"], url=resource["htu"]) is Reason.PROOF_ADDRESS_WRONG
    assert refusal(resource["proof"], url=resource["htu"]) is Reason.PROOF_METHOD_WRONG


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "Ed25519"])
def test_a_proof_of_every_algorithm_that_we_name_is_read(algorithm: str) -> None:
    """R62; RFC 9864 section 2.2 gives EdDSA its second name."""
    key = DeviceKey("ES256" if algorithm == "ES256" else "EdDSA")
    proof = read(make_proof(signing_key(key, algorithm), method="POST", url=TOKEN, identifier="a", now=NOW))
    assert (proof.thumbprint, proof.jwk) == (key.thumbprint, key.jwk)


def signing_key(key: DeviceKey, algorithm: str) -> SigningKey:
    """The same private key as ours."""
    private: Any = key.key.private_key
    return SigningKey("", algorithm, private)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_proof_of_another_library_is_read_in_every_claim(algorithm: str) -> None:
    """R62"""
    key = DeviceKey(algorithm)
    proof = read(key.proof("POST", TOKEN, now=NOW, access_token="abc", nonce="n", jti="one", other=[1]))
    assert (proof.thumbprint, proof.issued_at, proof.nonce) == (key.thumbprint, NOW, "n")
    assert proof.claims["other"] == [1]
    check_token(proof, "abc")
    check_key(proof, key.thumbprint)
    with pytest.raises(ProofRejected) as refused:
        check_key(proof, KEY.thumbprint)
    assert refused.value.reason is Reason.PROOF_KEY_WRONG


def test_what_a_header_says_beside_what_we_read_changes_nothing() -> None:
    """R91; RFC 9449 section 4.2: a proof may have other header parameters; none of them selects a key."""
    more = {"kid": "../../etc/passwd", "jku": "https://attacker.example", "x5u": "https://attacker.example", "cty": "x"}
    members = {**KEY.jwk, "kid": "k", "use": "sig", "key_ops": ["verify"], "alg": "ES256", "ext": True, "note": "x"}
    proof = read(KEY.proof("POST", TOKEN, now=NOW, header={**more, "jwk": members, "typ": "application/DPoP+JWT"}))
    assert (proof.thumbprint, proof.jwk) == (KEY.thumbprint, KEY.jwk)


HOSTILE = {hostile.name: hostile for hostile in hostile_proofs("POST", TOKEN, NOW)}


@pytest.mark.parametrize("name", HOSTILE)
def test_every_row_of_the_hostile_table_is_refused(name: str) -> None:
    """R62, R63, R91, R92, R95"""
    assert refusal(HOSTILE[name].proof) is HOSTILE[name].reason


def test_a_private_key_in_the_header_is_refused_and_not_shown() -> None:
    """R62; RFC 9449 section 4.3, check 7"""
    for member in ("d", "p", "q", "dp", "dq", "qi", "oth", "k"):
        proof = KEY.proof("POST", TOKEN, now=NOW, header={"jwk": {**KEY.jwk, member: "s3cret"}})
        with pytest.raises(ProofRejected) as refused:
            read(proof)
        assert dict(refused.value.facts) == {"part": "jwk"}
        assert "s3cret" not in repr(refused.value.__cause__)


def test_the_library_underneath_believes_signatures_that_no_key_made() -> None:
    """Why keys of small order are refused: one signature fits every message."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(IDENTITY_POINT)
    for message in (b"one", b"another"):
        key.verify(IDENTITY_POINT + bytes(32), message)


def test_a_proof_with_a_negated_s_is_the_same_proof_and_not_another_one() -> None:
    """R64: (r, n - s) is as valid as (r, s), so what counts as used is the jti and the key."""
    proof = KEY.proof("POST", TOKEN, now=NOW)
    assert read(oracle.with_negated_s(proof)).use_id == read(proof).use_id


def test_nobody_can_use_up_the_identifiers_of_another_key() -> None:
    """R64"""
    uses = {read(key.proof("POST", TOKEN, now=NOW, jti=jti)).use_id for key in (KEY, DeviceKey()) for jti in "ab"}
    assert len(uses) == 4


def test_an_identifier_is_kept_as_a_hash_and_no_longer_than_it_may_be() -> None:
    """R64; RFC 9449 section 11.1"""
    longest = "\u00e9" * MAX_ID
    uses = [read(KEY.proof("POST", TOKEN, now=NOW, jti=jti)).use_id for jti in ("a", longest)]
    assert all(len(use) == 64 and int(use, 16) for use in uses)
    assert uses[0] == hashlib.sha256(f"{KEY.thumbprint}.a".encode()).hexdigest()
    assert refusal(KEY.proof("POST", TOKEN, now=NOW, jti=longest + "x")) is Reason.PROOF_MALFORMED


def test_neither_the_claims_nor_a_refusal_show_what_was_sent() -> None:
    proof = read(KEY.proof("POST", TOKEN, now=NOW, jti="MARKER"))
    assert "MARKER" not in repr(proof)
    for bad in (KEY.proof("MARKER", TOKEN), KEY.proof("POST", "https://MARKER"), "MARKER"):
        with pytest.raises(ProofRejected) as refused:
            read(bad)
        assert "MARKER" not in f"{refused.value} {refused.value.facts}"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], Reason.PROOF_MISSING),
        (["a.b.c", "a.b.c"], Reason.PROOF_REPEATED),
        (["a.b.c,d.e.f"], Reason.PROOF_REPEATED),
        (["a.b.c, "], Reason.PROOF_REPEATED),
        (["", ""], Reason.PROOF_REPEATED),
    ],
    ids=["none", "two", "joined", "half-joined", "empty"],
)
def test_there_must_be_exactly_one_header(headers: list[str], reason: Reason) -> None:
    """R61; RFC 9449 section 4.3, check 1"""
    with pytest.raises(ProofRejected) as refused:
        sole_proof(headers)
    assert refused.value.reason is reason
    assert sole_proof(["a.b.c"]) == "a.b.c"


def test_the_edges_of_time_are_exact() -> None:
    """R64: accepted iff now < iat + max_age + skew and iat <= now + skew."""
    for iat, good in ((NOW - 90, False), (NOW - 89.75, True), (NOW, True), (NOW + 30, True), (NOW + 30.25, False)):
        proof = read(KEY.proof("POST", TOKEN, iat=iat))
        if good:
            assert check_time(proof, max_age=60, now=NOW, skew=30) == iat + 90
            continue
        with pytest.raises(ProofRejected) as refused:
            check_time(proof, max_age=60, now=NOW, skew=30)
        assert refused.value.reason is Reason.PROOF_TIME_WRONG


@settings(deadline=None)
@given(iat=st.integers(0, 2**40), later=st.integers(0, 10_000), max_age=st.integers(0, 300), skew=st.integers(0, 60))
def test_a_proof_is_remembered_for_just_as_long_as_it_would_be_accepted(
    iat: int, later: int, max_age: int, skew: int
) -> None:
    """R64"""
    proof = Proof("", {}, "", iat, None, {})
    now = iat - skew + later
    try:
        until = check_time(proof, max_age=max_age, now=now, skew=skew)
    except ProofRejected:
        assert later >= max_age + 2 * skew
    else:
        assert now < until == iat + max_age + skew


SAME = {
    "itself": "https://auth.test/base/token",
    "scheme-in-upper-case": "HTTPS://auth.test/base/token",
    "host-in-upper-case": "https://AUTH.Test/base/token",
    "default-port": "https://auth.test:443/base/token",
    "empty-port": "https://auth.test:/base/token",
    "unreserved-escaped": "https://auth.test/b%61se/%74oken",
    "host-escaped": "https://%61uth.test/base/token",
    "query": "https://auth.test/base/token?a=b&c=/d",
    "fragment": "https://auth.test/base/token#a?b",
    "empty-query-and-fragment": "https://auth.test/base/token?#",
    "dot-segments": "https://auth.test/./other/../base/./token",
    "escaped-dot-segments": "https://auth.test/other/%2E%2e/base/%2e/token",
    "above-the-root": "https://auth.test/../../base/token",
}


@pytest.mark.parametrize("url", SAME.values(), ids=SAME.keys())
def test_an_address_is_the_same_however_it_is_spelled(url: str) -> None:
    """R63; RFC 3986 sections 6.2.2 and 6.2.3"""
    assert same_address(url, TOKEN)
    assert same_address(TOKEN, url)
    read(KEY.proof("POST", url, now=NOW))
    read(KEY.proof("POST", TOKEN, now=NOW), url=url)


@pytest.mark.parametrize("url", [TOKEN, "https://[::1]/token", "http://127.0.0.1:8400/token"])
def test_an_address_that_is_almost_the_same_is_another_one(url: str) -> None:
    """R63"""
    for name, other in other_addresses(url).items():
        assert not same_address(other, url), name
        assert not same_address(url, other), name


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://auth.test", "https://auth.test/", True),
        ("https://auth.test?a", "https://auth.test/#b", True),
        ("http://auth.test:80/x", "http://auth.test/x", True),
        ("http://auth.test:443/x", "https://auth.test/x", False),
        ("http://auth.test:443/x", "http://auth.test/x", False),
        ("https://[2001:DB8::1]/x", "https://[2001:db8::1]:443/x", True),
        ("https://[2001:db8::2]/x", "https://[2001:db8::1]/x", False),
        ("https://auth.test/%c3%a9", "https://auth.test/%C3%A9", True),
        ("https://auth.test/a%2fb", "https://auth.test/a/b", False),
        ("https://auth.test/a%2Fb", "https://auth.test/a%2fb", True),
        ("https://auth.test/%", "https://auth.test/%25", False),
        ("https://auth.test/a/.", "https://auth.test/a/", True),
        ("https://auth.test/a/..", "https://auth.test/", True),
        ("https://auth.test/a/.", "https://auth.test/a", False),
        ("https://auth.test/a//b", "https://auth.test/a/b", False),
        ("https://auth.test/~a", "https://auth.test/%7Ea", True),
        ("https://", "https://", False),
        ("", "", False),
    ],
)
def test_what_counts_as_the_same_address(one: str, other: str, same: bool) -> None:
    """R63; RFC 3986 sections 6.2.2.1 to 6.2.3"""
    assert same_address(one, other) is same
    assert same_address(other, one) is same


_TEXT = st.text("abcXYZ019-._~!$&'()*+,;=:@%/", max_size=20)


@settings(deadline=None)
@given(path=_TEXT, escape=st.lists(st.booleans(), min_size=20, max_size=20), lower=st.booleans(), query=_TEXT)
def test_escaping_what_needs_none_and_the_case_of_escapes_never_matter(
    path: str, escape: list[bool], lower: bool, query: str
) -> None:
    """R63"""
    path = path.replace("%", "%2F")
    spelled = ""
    for position, character in enumerate(path):
        unreserved = character.isalnum() or character in "-._~"
        escaped = unreserved and escape[position % 20] and "%" not in path[max(0, position - 2) : position]
        spelled += f"%{ord(character):02x}" if escaped else character
    spelled = spelled.replace("%2F", "%2f") if lower else spelled
    assert same_address(f"https://auth.test/{path}", f"HTTPS://AUTH.test:443/{spelled}?{query.replace('%', '')}")


@settings(deadline=None)
@given(one=st.text(max_size=30), other=st.text(max_size=30))
def test_no_text_makes_the_comparison_fail(one: str, other: str) -> None:
    """R63"""
    for text in (one, f"https://{one}", f"https://{one}/{other}"):
        assert same_address(text, other) == same_address(other, text)
        assert not same_address(text, "https://auth.test/token") or "auth.test" in text.lower()


@settings(deadline=None)
@given(position=st.integers(0), change=st.integers(1, 63))
def test_a_proof_with_any_character_changed_is_refused(position: int, change: int) -> None:
    """R62"""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    position %= len(_GOOD)
    if _GOOD[position] == ".":
        return
    other = alphabet[(alphabet.index(_GOOD[position]) + change) % 64]
    with pytest.raises(ProofRejected):
        read(_GOOD[:position] + other + _GOOD[position + 1 :])


_GOOD = KEY.proof("POST", TOKEN, now=NOW)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_proof_of_ours_is_read_by_another_library(algorithm: str) -> None:
    key = SigningKey("ignored", algorithm, generate(algorithm))
    jwk = export_public(key.private.public_key())
    ours = make_proof(
        key,
        method="GET",
        url="https://api.test/images?size=2#top",
        identifier="one",
        now=NOW + 0.9,
        nonce="n",
        access_token="abc",
        new_jkt="x",
    )
    read_by = jwt.decode(ours, joserfc_jwk.import_key(dict(jwk)), algorithms=oracle.ALGORITHMS)
    assert read_by.header == {"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}
    assert read_by.claims == {
        "jti": "one",
        "htm": "GET",
        "htu": "https://api.test/images",
        "iat": NOW,
        "nonce": "n",
        "ath": urlsafe_b64encode(hashlib.sha256(b"abc").digest()).rstrip(b"=").decode(),
        "new_jkt": "x",
    }
    assert read(ours, method="GET", url="https://api.test/images").thumbprint == thumbprint(jwk)


def test_a_proof_of_ours_leaves_out_what_it_was_not_given() -> None:
    key = SigningKey("", "ES256", generate("ES256"))
    proof = read(make_proof(key, method="POST", url=TOKEN, identifier="one", now=NOW))
    assert proof.claims == {"jti": "one", "htm": "POST", "htu": TOKEN, "iat": NOW}
