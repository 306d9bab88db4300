"""JSON Web Keys: what is imported, what is refused, and what is written."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import import_key

from authserver.errors import CredentialRejected, Reason
from authserver.jose.jwk import (
    ASYMMETRIC,
    MAX_RSA_BITS,
    SigningKey,
    VerificationKey,
    export_public,
    generate,
    import_public,
    thumbprint,
)
from tests import oracle

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

ALGORITHMS = sorted(ASYMMETRIC)
MADE = ["ES256", "RS256", "EdDSA"]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8 or 1)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def elliptic() -> dict[str, Any]:
    return oracle.public_jwk(oracle.make_key("ES256"))


@pytest.fixture(scope="module")
def modulus() -> int:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_numbers().n


def test_no_symmetric_algorithm_exists() -> None:
    """R92"""
    assert not any(name.startswith("HS") or name.lower() == "none" for name in ASYMMETRIC)


@pytest.mark.parametrize("algorithm", oracle.ALGORITHMS)
def test_a_key_made_by_joserfc_verifies_what_joserfc_signed(algorithm: str) -> None:
    key = oracle.make_key(algorithm)
    imported = import_public(oracle.public_jwk(key), ALGORITHMS)
    assert (imported.kid, imported.algorithm) == (key.kid, algorithm)
    signing_input, _, signature = oracle.sign(key, {"a": 1}).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    imported.verify(signing_input.encode(), raw)
    with pytest.raises(CredentialRejected) as refused:
        imported.verify(signing_input.encode() + b"x", raw)
    assert refused.value.reason is Reason.SIGNATURE_WRONG


@pytest.mark.parametrize("algorithm", oracle.ALGORITHMS)
def test_a_signature_of_any_length_or_content_is_refused_and_never_an_error(algorithm: str) -> None:
    """R38"""
    key = import_public(oracle.public_jwk(oracle.make_key(algorithm)), ALGORITHMS)
    for length in (0, 1, 63, 64, 65, 96, 132, 255, 256, 257, 1000):
        for filling in (b"\x00", b"\xff"):
            with pytest.raises(CredentialRejected):
                key.verify(b"signing input", filling * length)


@pytest.mark.parametrize("algorithm", MADE)
def test_what_we_sign_joserfc_verifies(algorithm: str) -> None:
    key = SigningKey("kid", algorithm, generate(algorithm))
    head = base64.urlsafe_b64encode(b'{"alg":"%s"}' % algorithm.encode()).rstrip(b"=")
    signing_input = head + b".e30"
    signature = base64.urlsafe_b64encode(key.sign(signing_input)).rstrip(b"=")
    public = export_public(key.private.public_key(), kid="kid", algorithm=algorithm)
    token = (signing_input + b"." + signature).decode()
    assert jws.deserialize_compact(token, import_key(dict(public)), algorithms=[algorithm]).payload == b"{}"


@pytest.mark.parametrize("algorithm", MADE)
def test_an_exported_key_is_public_complete_and_imported_again(algorithm: str) -> None:
    """R12, R13"""
    public = generate(algorithm).public_key()
    jwk = export_public(public, kid="kid", algorithm=algorithm)
    assert not PRIVATE & jwk.keys()
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == ("kid", algorithm, "sig")
    assert import_public(jwk, [algorithm]).public == public
    assert {"kid", "alg", "use"}.isdisjoint(export_public(public))


def test_coordinates_keep_their_leading_zeros() -> None:
    """RFC 7518 section 6.2.1.2: a coordinate always has its full size."""
    for scalar in range(1, 2000):
        public = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
        if public.public_numbers().x.bit_length() <= 248:
            break
    jwk = export_public(public)
    assert len(jwk["x"]) == 43
    assert import_public(jwk, ["ES256"]).public == public


@pytest.mark.parametrize("algorithm", MADE)
def test_the_thumbprint_is_the_one_that_joserfc_computes(algorithm: str) -> None:
    """R15"""
    jwk = export_public(generate(algorithm).public_key(), kid="kid", algorithm=algorithm)
    assert thumbprint(jwk) == import_key(dict(jwk)).thumbprint()


@pytest.mark.parametrize("jwk", [{}, {"kty": "oct", "k": "AA"}, {"kty": ["EC"]}, {"kty": "EC", "crv": "P-256"}])
def test_what_has_no_thumbprint_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="public key"):
        thumbprint(jwk)


@pytest.mark.parametrize("member", sorted(PRIVATE))
def test_a_private_key_is_never_imported(elliptic: dict[str, Any], member: str) -> None:
    """R12"""
    with pytest.raises(ValueError, match="not a public key"):
        import_public({**elliptic, member: "AA"}, ALGORITHMS)


def test_a_key_without_alg_is_bound_to_the_first_algorithm_that_fits() -> None:
    """R14"""
    jwk = oracle.public_jwk(oracle.make_key("RS256"), alg=None)
    assert import_public(jwk, ["ES256", "PS256", "RS256"]).algorithm == "PS256"
    assert import_public(jwk, ["RS256", "PS256"]).algorithm == "RS256"


@pytest.mark.parametrize(
    ("jwk", "allowed"), [("ES256", ["RS256"]), ("RS256", ["PS256"]), ("RS256", []), ("EdDSA", ["ES256"])]
)
def test_a_key_of_an_algorithm_that_is_not_allowed_is_refused(jwk: str, allowed: list[str]) -> None:
    """R92"""
    with pytest.raises(ValueError, match="no allowed algorithm"):
        import_public(oracle.public_jwk(oracle.make_key(jwk)), allowed)


@pytest.mark.parametrize("alg", ["es256", "ES384", "HS256", "none", "", 7, ["ES256"], {}])
def test_a_key_bound_to_another_algorithm_than_its_curve_is_refused(elliptic: dict[str, Any], alg: Any) -> None:
    """R92"""
    with pytest.raises(ValueError, match="no allowed algorithm"):
        import_public({**elliptic, "alg": alg}, [*ALGORITHMS, "HS256", "none"])


@pytest.mark.parametrize("bits", [512, 1024, 2047, MAX_RSA_BITS + 1])
def test_an_rsa_modulus_outside_the_bounds_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="modulus"):
        import_public({"kty": "RSA", "n": number((1 << bits) - 1), "e": "AQAB"}, ALGORITHMS)


@pytest.mark.parametrize("exponent", [0, 1, 2, 65536, 2**32 + 1])
def test_an_unusable_rsa_exponent_is_refused(modulus: int, exponent: int) -> None:
    with pytest.raises(ValueError, match="exponent"):
        import_public({"kty": "RSA", "n": number(modulus), "e": number(exponent)}, ALGORITHMS)


def test_a_modulus_with_the_roca_fingerprint_is_refused() -> None:
    """CVE-2017-15361: a modulus that is 1 modulo every small prime is a power of 65537 modulo each of them."""
    product = 1
    for candidate in range(2, 168):
        product *= candidate if all(candidate % smaller for smaller in range(2, candidate)) else 1
    weak = product * (2**2047 // product + 1) + 1
    with pytest.raises(ValueError, match="factored"):
        import_public({"kty": "RSA", "n": number(weak), "e": "AQAB"}, ALGORITHMS)


def test_a_point_that_is_not_on_the_curve_is_refused(elliptic: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        import_public({**elliptic, "y": elliptic["x"]}, ALGORITHMS)


def test_a_coordinate_of_another_size_is_refused(elliptic: dict[str, Any]) -> None:
    padded = base64.urlsafe_b64encode(b"\x00" + base64.urlsafe_b64decode(elliptic["x"] + "=")).rstrip(b"=").decode()
    with pytest.raises(ValueError, match="size"):
        import_public({**elliptic, "x": padded}, ALGORITHMS)


def test_an_edwards_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        import_public({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}, ALGORITHMS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=4,
)
MEMBERS = ["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid", "key_ops"]


@settings(deadline=None)
@given(
    st.sampled_from(["EC", "RSA", "OKP"]),
    st.dictionaries(st.sampled_from(MEMBERS), JSON | st.sampled_from(["P-256", "Ed25519", "sig", "AQAB"])),
    st.booleans(),
)
def test_a_malformed_key_is_a_value_error_and_nothing_else(kty: str, members: dict[str, Any], keep: bool) -> None:
    """R17"""
    jwk = {**members, "kty": kty} if keep else members
    try:
        key = import_public(jwk, ALGORITHMS)
    except ValueError:
        return
    assert isinstance(key, VerificationKey)


def test_a_key_shows_nothing_of_itself() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    assert "Ed25519" not in repr(SigningKey("kid", "EdDSA", private))
    assert "Ed25519" not in repr(VerificationKey("kid", "EdDSA", private.public_key()))


PRIME = 2**255 - 19
ORDER_EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


@pytest.mark.parametrize("sign", [0, 1 << 255], ids=["even", "odd"])
@pytest.mark.parametrize("height", [0, 1, PRIME - 1, ORDER_EIGHT, PRIME - ORDER_EIGHT], ids="abcde")
def test_an_edwards_key_for_which_anybody_can_sign_is_refused(height: int, sign: int) -> None:
    """R62: the eight points of small order; a signature under one of them needs no private key."""
    with pytest.raises(ValueError, match="anybody can sign"):
        import_public(edwards((height | sign).to_bytes(32, "little")), ["EdDSA"])


@pytest.mark.parametrize("height", [PRIME, PRIME + 1, PRIME + 3, 2**255 - 1])
def test_an_edwards_key_has_one_spelling(height: int) -> None:
    """RFC 8032 section 5.1.3: or one key would have two thumbprints."""
    with pytest.raises(ValueError, match="spelled wrongly"):
        import_public(edwards(height.to_bytes(32, "little")), ["EdDSA"])


def edwards(raw: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}


def test_the_heights_of_order_eight_are_those_of_the_curve() -> None:
    """Twice such a point has the height 0: with x * x = (y * y - 1) / (d * y * y + 1), that is y * y = -x * x."""
    d = -121665 * pow(121666, -1, PRIME)
    for height in (ORDER_EIGHT, PRIME - ORDER_EIGHT):
        square = height * height % PRIME
        assert (square + (square - 1) * pow(d * square + 1, -1, PRIME)) % PRIME == 0


def test_no_key_is_made_for_an_algorithm_we_do_not_sign_with() -> None:
    with pytest.raises(ValueError, match="HS256"):
        generate("HS256")
