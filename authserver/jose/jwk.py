"""JSON Web Keys: import, export and thumbprint (RFC 7517, RFC 7518 section 6, RFC 8037, RFC 7638)."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import base64url_decode, base64url_encode
from authserver.jose.ecdsa import Ecdsa

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""A larger modulus makes one verification a denial of service."""

MAX_KEY_ID: Final = 256
"""The longest ``kid`` that is looked up, in characters. It is opaque, and never leaves the look-up raw."""

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, str]]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
    "P-521": (ec.SECP521R1(), "ES512"),
}
_CURVE_NAMES: Final = {curve.name: name for name, (curve, _) in _CURVES.items()}

_ED25519 = ("EdDSA", "Ed25519")  # RFC 9864 section 2.2: two names of one algorithm

# RFC 8032 section 5.1.3: the y of a point is below the prime, with the sign of x in the last bit. The points of small
# order are those whose multiples soon come back to the first; OpenSSL believes signatures of them that need no key.
_ED25519_PRIME: Final = 2**255 - 19
_ED25519_SIGN_CLEARED: Final = 2**255 - 1
_ED25519_ORDER_EIGHT: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_ED25519_SMALL_ORDER: Final = frozenset(
    (0, 1, _ED25519_PRIME - 1, _ED25519_ORDER_EIGHT, _ED25519_PRIME - _ED25519_ORDER_EIGHT)
)

ASYMMETRIC: Final = frozenset((*_RSA, "ES256", "ES384", "ES512", *_ED25519))
"""Every algorithm that this package can verify. There is no symmetric one, and no ``none``."""


class _Algorithm(Protocol):
    def sign(self, signing_input: bytes, private: Any, /) -> bytes: ...

    def verify(self, signing_input: bytes, public: Any, signature: bytes, /) -> bool: ...


_PROVIDED = get_default_algorithms()
_ALGORITHMS: Final[Mapping[str, _Algorithm]] = {
    **{name: _PROVIDED[name] for name in _RSA},
    **dict.fromkeys(_ED25519, _PROVIDED["EdDSA"]),
    "ES256": Ecdsa(ec.SECP256R1(), hashes.SHA256()),
    "ES384": Ecdsa(ec.SECP384R1(), hashes.SHA384()),
    "ES512": Ecdsa(ec.SECP521R1(), hashes.SHA512()),
}
_PRIVATE_MEMBERS: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_THUMBPRINT_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("e", "kty", "n"),
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
}


# The fingerprint's small primes, from "The Return of Coppersmith's Attack" (Nemec et al., 2017). Of the other keys
# fewer than one in a hundred million has it.
_SMALL_PRIMES = [number for number in range(3, 168) if all(number % smaller for smaller in range(2, number))]
_POWERS_OF_65537: Final = {prime: {pow(65537, n, prime) for n in range(prime)} for prime in _SMALL_PRIMES}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that is bound to exactly one algorithm (RFC 8725 section 3.1)."""

    kid: str | None
    algorithm: str
    public: PublicKey = field(repr=False)

    def verify(self, signing_input: bytes, signature: bytes) -> None:
        """:raises CredentialRejected: ``signature_wrong``."""
        if not _ALGORITHMS[self.algorithm].verify(signing_input, self.public, signature):
            raise CredentialRejected(Reason.SIGNATURE_WRONG)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its identifier, bound to exactly one algorithm."""

    kid: str
    algorithm: str
    private: PrivateKey = field(repr=False)

    def sign(self, signing_input: bytes) -> bytes:
        """The raw signature, in the form that RFC 7518 section 3 gives for the algorithm."""
        return _ALGORITHMS[self.algorithm].sign(signing_input, self.private)


def import_public(jwk: Mapping[str, Any], algorithms: Collection[str]) -> VerificationKey:
    """Make a verification key from a public JWK.

    A JWK that names no ``alg`` is bound to the first of ``algorithms`` that fits its type, so that one key
    never serves two algorithms.

    :raises ValueError: the key is private, unknown, malformed, weak, not for signatures, or fits none of
        ``algorithms``.
    """
    if _PRIVATE_MEMBERS & jwk.keys():
        raise ValueError("not a public key")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("not a key for signatures")
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("kid is not a string")
    fitting, public = _public(jwk)
    named = jwk.get("alg")
    algorithm = next((name for name in algorithms if name in fitting and named in (None, name)), None)
    if algorithm is None:
        raise ValueError("no allowed algorithm fits this key")
    return VerificationKey(kid, algorithm, public)


def export_public(public: PublicKey, *, kid: str | None = None, algorithm: str | None = None) -> dict[str, str]:
    """The public JWK of a key, with ``kid``, ``alg`` and ``use`` where they are given (RFC 7517 section 4)."""
    jwk = _members(public)
    if kid is not None:
        jwk["kid"] = kid
    if algorithm is not None:
        jwk |= {"alg": algorithm, "use": "sig"}
    return jwk


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The JWK's SHA-256 thumbprint (RFC 7638 section 3; RFC 8037 section 2 for OKP).

    :raises ValueError: the key type is unknown or a required member is absent.
    """
    canonical = json.dumps(public_members(jwk), separators=(",", ":"), sort_keys=True).encode("utf-8")
    return base64url_encode(hashlib.sha256(canonical).digest())


def public_members(jwk: Mapping[str, Any]) -> dict[str, str]:
    """The members of a public key that its thumbprint is made of, and no others (RFC 7638 section 3.2).

    :raises ValueError: the key type is unknown or a required member is absent.
    """
    try:
        return {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    except (KeyError, TypeError) as error:  # TypeError: a kty that is no string
        raise ValueError("not a public key of a known type") from error


def generate(algorithm: str) -> PrivateKey:
    """A fresh private key for ``algorithm``. RSA keys have 2048 bits (NIST SP 800-57: until 2030).

    :raises ValueError: the algorithm is not one that tokens are signed with.
    """
    try:
        return _GENERATORS[algorithm]()
    except KeyError as error:
        raise ValueError(f"no keys are made for {algorithm}") from error


def _public(jwk: Mapping[str, Any]) -> tuple[tuple[str, ...], PublicKey]:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    try:
        if kty == "RSA":
            return _RSA, _rsa(jwk)
        if kty == "EC" and isinstance(crv, str) and crv in _CURVES:
            curve, algorithm = _CURVES[crv]
            return (algorithm,), _elliptic(jwk, curve)
        if kty == "OKP" and crv == "Ed25519":
            return _ED25519, _edwards(jwk)
    except (KeyError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise ValueError("a member is missing or malformed") from error
    raise ValueError("unknown key type")


def _rsa(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(base64url_decode(jwk["n"]))
    exponent = int.from_bytes(base64url_decode(jwk["e"]))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise ValueError("modulus too small or too large")
    if exponent < 3 or exponent.bit_length() > 32 or exponent % 2 == 0:
        raise ValueError("unusable exponent")
    if _has_roca_fingerprint(modulus):
        raise ValueError("made by a generator whose keys can be factored")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _has_roca_fingerprint(modulus: int) -> bool:
    """Whether a modulus looks like those of CVE-2017-15361: a power of 65537 modulo every small prime."""
    return all(modulus % prime in powers for prime, powers in _POWERS_OF_65537.items())


def _elliptic(jwk: Mapping[str, Any], curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey:
    x, y = base64url_decode(jwk["x"]), base64url_decode(jwk["y"])
    size = (curve.key_size + 7) // 8
    if len(x) != size or len(y) != size:  # RFC 7518 section 6.2.1.2: the full size of a coordinate
        raise ValueError("coordinate of the wrong size")
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve).public_key()


def _edwards(jwk: Mapping[str, Any]) -> ed25519.Ed25519PublicKey:
    raw = base64url_decode(jwk["x"])
    height = int.from_bytes(raw, "little") & _ED25519_SIGN_CLEARED
    if height >= _ED25519_PRIME or height in _ED25519_SMALL_ORDER:
        raise ValueError("a point that is spelled wrongly, or a key for which anybody can sign")
    return ed25519.Ed25519PublicKey.from_public_bytes(raw)


def _members(public: PublicKey) -> dict[str, str]:
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point, size = public.public_numbers(), (public.key_size + 7) // 8
        return {
            "kty": "EC",
            "crv": _CURVE_NAMES[public.curve.name],
            "x": _number(point.x, size),
            "y": _number(point.y, size),
        }
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url_encode(public.public_bytes_raw())}


def _number(value: int, size: int | None = None) -> str:
    return base64url_encode(value.to_bytes(size or (value.bit_length() + 7) // 8))


_GENERATORS: Final[Mapping[str, Callable[[], PrivateKey]]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
