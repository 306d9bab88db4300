"""The same question to us, to PyJWT and to joserfc: does this JWK make a key that verifies, and which?"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import import_key
from joserfc.jws import JWSRegistry

from authserver.jose.jwk import ASYMMETRIC, import_public, thumbprint

ALGORITHMS: Final = sorted(ASYMMETRIC)
_KINDS: Final = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)

Key = tuple[bytes, str]
"""A key as DER, and its thumbprint where the library makes one."""


def ours(jwk: Mapping[str, Any]) -> Key | None:
    """The key that we make, or None."""
    try:
        return _der(import_public(jwk, ALGORITHMS).public), thumbprint(jwk)
    except ValueError:
        return None


def pyjwt(jwk: Mapping[str, Any]) -> Key | None:
    """The key that PyJWT makes, or None."""
    try:
        made = jwt.PyJWK(dict(jwk))
        return (_der(made.key), "") if made.algorithm_name in ASYMMETRIC and isinstance(made.key, _KINDS) else None
    except Exception:  # it raises more than its own, for what it did not expect
        return None


def joserfc(jwk: Mapping[str, Any]) -> Key | None:
    """The key that joserfc makes and would verify a signature with, or None."""
    try:
        key = import_key(dict(jwk))
        key.check_use("sig")
        fitting = JWSRegistry.filter_algorithms(key, [name for name in ALGORITHMS if name in JWSRegistry.algorithms])
        for algorithm in fitting:
            if key.alg in (None, algorithm.name) and isinstance(key.get_op_key("verify"), _KINDS):
                return _der(key.get_op_key("verify")), key.thumbprint()
    except Exception:  # as above
        return None
    return None


def _der(key: Any) -> bytes:
    made: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return made


PEERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Key | None]]] = {"PyJWT": pyjwt, "joserfc": joserfc}
