"""The JSON Web Signature, Key and Crypto vectors of C2SP Wycheproof, through our own parse and our own keys.

Their payloads are not JSON objects, so this drives the signature layer: :func:`split`, which :func:`parse`
stands on, and the key set.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from authserver.errors import CredentialRejected
from authserver.jose.compact import split
from authserver.jose.jwk import ASYMMETRIC
from authserver.jose.key_set import StaticKeySet
from tests.vectors import load

SIGNATURES = "wycheproof/json_web_signature_test.json"
KEYS = "wycheproof/json_web_key_test.json"
CRYPTO = "wycheproof/json_web_crypto_test.json"

NOT_MEANINGFUL = {
    *(346, 347, 350, 351),  # a token paired with a key of another algorithm, and called valid
    *(367, 370),  # byte for byte the valid 357
    *(372, 373),  # want base64 accepted that is not canonical
}
ALGORITHMS = sorted(ASYMMETRIC)


def cases(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Every case of a file with its group and the token as text."""
    for group in load(name)["testGroups"]:
        for case in group["tests"]:
            if name != SIGNATURES or case["tcId"] not in NOT_MEANINGFUL:
                token = case.get("jws", case.get("jwe"))
                yield group, case, token if isinstance(token, str) else json.dumps(token)


def accepts(key: dict[str, Any], token: str) -> bool:
    """Whether the signature layer accepts ``token`` with this JWK or JWK set."""
    try:
        keys = StaticKeySet(key if "keys" in key else {"keys": [key]}, ALGORITHMS)
    except ValueError:
        return False  # no usable key at all, so no token is accepted
    try:
        jws = split(token)
        header = jws.unverified_header
        keys.find(str(header.get("kid")), str(header.get("alg")), 0).verify(jws.signing_input, jws.signature)
    except CredentialRejected:
        return False
    return True


@pytest.mark.parametrize("name", [SIGNATURES, KEYS, CRYPTO])
def test_every_vector_with_a_public_key_is_judged_as_its_authors_say(name: str) -> None:
    """R38, R92"""
    judged = [
        (case["tcId"], case["comment"], case["result"] == "valid", accepts(group["public"], token))
        for group, case, token in cases(name)
        if "public" in group
    ]
    assert len(judged) >= 10
    assert [row for row in judged if row[2] != row[3]] == []


@pytest.mark.parametrize("name", [SIGNATURES, KEYS, CRYPTO])
def test_no_vector_with_a_symmetric_or_private_key_is_ever_accepted(name: str) -> None:
    """R92: HMAC, ``none`` and JWE have no place here, and neither has a private key in a key set."""
    offered = [
        (case["tcId"], accepts(group["private"], token)) for group, case, token in cases(name) if "private" in group
    ]
    assert len(offered) >= 20
    assert [row for row in offered if row[1]] == []


def test_the_good_vectors_cover_every_family_of_algorithms() -> None:
    good = {
        group["public"]["alg"]
        for group, case, token in cases(SIGNATURES)
        if case["result"] == "valid" and "public" in group and accepts(group["public"], token)
    }
    assert good >= {"ES256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
