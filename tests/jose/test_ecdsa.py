"""ECDSA in the form of RFC 7518 section 3.4, beside PyJWT, which does the same in another way."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from authserver.jose.ecdsa import Ecdsa

MESSAGE = b"header.claims"
CURVES = [
    pytest.param(ec.SECP256R1(), hashes.SHA256, 32, id="ES256"),
    pytest.param(ec.SECP384R1(), hashes.SHA384, 48, id="ES384"),
    pytest.param(ec.SECP521R1(), hashes.SHA512, 66, id="ES512"),
]
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""That of P-256."""


@pytest.mark.parametrize(("curve", "hashed_by", "size"), CURVES)
def test_each_verifies_what_the_other_signs(
    curve: ec.EllipticCurve, hashed_by: type[hashes.HashAlgorithm], size: int
) -> None:
    ours, theirs = Ecdsa(curve, hashed_by()), ECAlgorithm(hashed_by)
    private = ec.generate_private_key(curve)
    for _ in range(20):  # now and then a number begins with a zero
        signature = ours.sign(MESSAGE, private)
        assert len(signature) == 2 * size
        assert theirs.verify(MESSAGE, private.public_key(), signature)
        assert ours.verify(MESSAGE, private.public_key(), theirs.sign(MESSAGE, private))


def test_small_numbers_keep_their_width() -> None:
    """A signature whose r has leading zeros is as long as any other."""
    scheme, private = Ecdsa(ec.SECP256R1(), hashes.SHA256()), ec.generate_private_key(ec.SECP256R1())
    short = next(each for each in (scheme.sign(MESSAGE, private) for _ in range(20_000)) if each.startswith(b"\x00"))
    assert len(short) == 64
    assert scheme.verify(MESSAGE, private.public_key(), short)
    assert not scheme.verify(MESSAGE, private.public_key(), short[1:])


def test_what_is_no_signature_by_this_key_is_refused() -> None:
    """CVE-2022-21449: zero, and the order, which is zero too, are no signature of anything."""
    scheme, private = Ecdsa(ec.SECP256R1(), hashes.SHA256()), ec.generate_private_key(ec.SECP256R1())
    public, good = private.public_key(), scheme.sign(MESSAGE, private)
    r, s, order, zero = good[:32], good[32:], ORDER.to_bytes(32), bytes(32)
    hostile = [b"", good[:-1], good + b"\x00", b"\x00" + good, s + r, zero + zero, r + zero, zero + s]
    hostile += [order + order, r + order, order + s, b"\xff" * 64, private.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))]
    hostile += [Ecdsa(ec.SECP256R1(), hashes.SHA384()).sign(MESSAGE, private)]
    assert scheme.verify(MESSAGE, public, good)
    assert not scheme.verify(MESSAGE + b".", public, good)
    assert not scheme.verify(MESSAGE, ec.generate_private_key(ec.SECP256R1()).public_key(), good)
    assert not any(scheme.verify(MESSAGE, public, each) for each in hostile)
