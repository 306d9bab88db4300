"""The byte-level test vectors of the pages about devices, each checked by joserfc and cryptography."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey

from authserver.jose.dpop import read_proof
from tests.devices import hash_of
from tests.house.pages import blocks
from tests.house.tree import ROOT

PAGES: Final = ("enrol-a-device", "enrol-an-ios-app", "enrol-an-android-app", "enrol-a-react-native-app")
TOKEN_OF_THE_RFC: Final = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"

Vector = dict[str, str]


def vector(page: str) -> Vector:
    """The one test vector of a page."""
    found = [
        block for block in blocks(ROOT / "docs" / "how-to" / f"{page}.md", "json") if "der_signature" in block.text
    ]
    (block,) = found
    members: Vector = json.loads(block.text)
    return members


@pytest.fixture(params=PAGES)
def shown(request: pytest.FixtureRequest) -> Vector:
    """The vector of each page in turn."""
    return vector(request.param)


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "==")


def test_the_jwk_is_the_point(shown: Vector) -> None:
    point = bytes.fromhex(shown["public_key"])
    EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    x, y = encoded(point[1:33]), encoded(point[33:])
    assert shown["jwk"] == f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'


def test_the_thumbprint_is_the_jwks(shown: Vector) -> None:
    assert ECKey.import_key(json.loads(shown["jwk"])).thumbprint() == shown["thumbprint"]


def test_the_raw_signature_has_the_numbers_of_the_other(shown: Vector) -> None:
    raw = bytes.fromhex(shown["raw_signature"])
    numbers = decode_dss_signature(bytes.fromhex(shown["der_signature"]))
    assert numbers == (int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    assert len(raw) == 64


def test_the_proof_is_made_of_what_is_shown(shown: Vector) -> None:
    header, claims, signature = map(decoded, shown["proof"].split("."))
    assert (header.decode(), claims.decode(), signature.hex()) == (
        shown["header"],
        shown["claims"],
        shown["raw_signature"],
    )
    assert json.loads(header) == {"typ": "dpop+jwt", "alg": "ES256", "jwk": json.loads(shown["jwk"])}


def test_joserfc_and_this_server_believe_the_proof(shown: Vector) -> None:
    verified = jws.deserialize_compact(shown["proof"], ECKey.import_key(json.loads(shown["jwk"])))
    claims: dict[str, Any] = json.loads(verified.payload)
    proof = read_proof(shown["proof"], method=claims["htm"], url=claims["htu"])
    assert (proof.thumbprint, proof.nonce) == (shown["thumbprint"], claims.get("nonce"))
    assert claims.get("ath") in (None, hash_of(TOKEN_OF_THE_RFC))


def test_the_vectors_have_the_numbers_that_are_got_wrong() -> None:
    """A byte too many and one too few in DER, in both places, and coordinates that begin with zeros."""
    vectors = [vector(page) for page in PAGES]
    lengths = {(len(r), len(s)) for r, s in (integers(bytes.fromhex(each["der_signature"])) for each in vectors)}
    assert lengths == {(33, 32), (32, 33), (31, 33), (33, 31)}
    points = [bytes.fromhex(each["public_key"])[1:] for each in vectors]
    assert {0} <= {point[0] for point in points}
    assert {0} <= {point[32] for point in points}


def integers(der: bytes) -> tuple[bytes, bytes]:
    """The two integers of a signature as DER spells them."""
    end = 4 + der[3]
    return der[4:end], der[end + 2 :]
