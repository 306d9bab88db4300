"""The key of a device: made in place, and written down in the one form that everything reads (PKCS #8, RFC 5958)."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from authserver.jose.jwk import SigningKey, export_public, generate, thumbprint

ALGORITHMS: Final = ("ES256", "EdDSA")
"""What a device may sign with: P-256, which secure hardware has, or Ed25519."""


def make_key(algorithm: str) -> SigningKey:
    """A fresh key, whose ``kid`` is its thumbprint (RFC 7638).

    :raises ValueError: the algorithm is none of :data:`ALGORITHMS`.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"devices do not sign with {algorithm}")
    private = generate(algorithm)
    return SigningKey(thumbprint(export_public(private.public_key())), algorithm, private)


def to_pem(key: SigningKey) -> bytes:
    """The private key, not encrypted."""
    return key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def from_pem(pem: bytes) -> SigningKey:
    """The key that :func:`to_pem` wrote.

    :raises ValueError: it is none of a device.
    """
    try:
        private = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("encrypted") from error
    if isinstance(private, ed25519.Ed25519PrivateKey):
        algorithm = "EdDSA"
    elif isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        algorithm = "ES256"
    else:
        raise ValueError("not a key for signatures of a device")
    return SigningKey(thumbprint(export_public(private.public_key())), algorithm, private)
