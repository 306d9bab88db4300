"""Examples printed in the RFCs: thumbprints (7638, 8037, 9449) and signatures (7515, 7520, 7797, 8037)."""

import json
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import parse, split
from authserver.jose.jwk import ASYMMETRIC, import_public, thumbprint
from authserver.jose.key_set import StaticKeySet
from authserver.jose.verify import verify
from tests.vectors import load

ALGORITHMS = sorted(ASYMMETRIC)
SIGNED = [
    "jws/4_1.rsa_v15_signature.json",
    "jws/4_2.rsa-pss_signature.json",
    "jws/4_3.ecdsa_signature.json",
    "curve25519/jws.json",
]


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}


def test_the_thumbprint_of_rfc_7638_section_3_1() -> None:
    """R15"""
    example = load("rfc/vectors.json")["rfc7638"]
    assert thumbprint(example["jwk"]) == example["thumbprint"]


def test_the_thumbprint_of_rfc_8037_appendix_a_3() -> None:
    """R15"""
    example = load("rfc/vectors.json")["rfc8037_A"]
    assert thumbprint({"kty": "OKP", "crv": "Ed25519", "x": example["x"]}) == example["thumbprint"]


def test_the_thumbprint_of_the_elliptic_curve_key_of_rfc_9449() -> None:
    """R15"""
    example = load("rfc/vectors.json")["rfc9449"]
    assert thumbprint(example["jwk"]) == example["jkt"]


@pytest.mark.parametrize("name", SIGNED)
def test_the_signed_examples_of_rfc_7520_and_rfc_8037_verify(name: str) -> None:
    example = load(f"jose-cookbook/{name}")
    jws = split(example["output"]["compact"])
    key = import_public(public(example["input"]["key"]), [example["input"]["alg"]])
    assert key.algorithm == jws.unverified_header["alg"]
    assert jws.unverified_payload.decode() == example["input"]["payload"]
    key.verify(jws.signing_input, jws.signature)


@pytest.mark.parametrize("name", SIGNED)
def test_the_signed_examples_with_one_bit_changed_do_not_verify(name: str) -> None:
    """R38"""
    example = load(f"jose-cookbook/{name}")
    jws = split(example["output"]["compact"])
    key = import_public(public(example["input"]["key"]), [example["input"]["alg"]])
    flipped = bytes([jws.signature[0] ^ 1]) + jws.signature[1:]
    with pytest.raises(CredentialRejected) as refused:
        key.verify(jws.signing_input, flipped)
    assert refused.value.reason is Reason.SIGNATURE_WRONG


def test_the_detached_example_of_rfc_7520_section_4_5_has_no_claims() -> None:
    """R95"""
    compact = load("jose-cookbook/jws/4_5.signature_with_detached_content.json")["output"]["compact"]
    with pytest.raises(CredentialRejected) as refused:
        parse(compact)
    assert refused.value.reason is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("key", ["EC", "RSA", "OKP"])
def test_the_hmac_example_of_rfc_7515_appendix_a_1_is_refused_whatever_the_key(key: str) -> None:
    """R92"""
    files = {"RSA": SIGNED[0], "EC": SIGNED[2], "OKP": SIGNED[3]}
    jwk = public(load(f"jose-cookbook/{files[key]}")["input"]["key"]) | {"kid": "known"}
    token = parse(load("rfc/vectors.json")["rfc7515_A1"]["jws"])
    with pytest.raises(CredentialRejected) as refused:
        verify(
            token,
            keys=StaticKeySet({"keys": [jwk]}, ALGORITHMS),
            issuer="joe",
            audience="us",
            typ={"jwt"},
            algorithms=[*ALGORITHMS, "HS256"],
            now=1300819379,
            skew=0,
        )
    assert refused.value.reason is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("name", ["4.2.hmac-sha2_b64_false.json", "hmac-sha2_b64_false.json"])
def test_the_unencoded_payloads_of_rfc_7797_are_refused(name: str) -> None:
    """R91"""
    output = load(f"jose-cookbook/rfc7797/{name}")["output"]
    with pytest.raises(CredentialRejected):
        parse(output.get("compact") or json.dumps(output["json_flat"]))
