"""Public keys with something odd about them, each by the name that the table of differences knows it by."""

import math
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519

from tests import oracle
from tests.jose.drafts import segment

Jwk = dict[str, Any]
Change = Callable[[Jwk], Jwk]

_KEYS: Final = {name: oracle.make_key(name, kid="one") for name in ("RS256", "ES256", "ES384", "ES512", "EdDSA")}
_PRIVATE: Final[Mapping[tuple[Any, Any], Jwk]] = {
    (jwk["kty"], jwk.get("crv")): jwk for jwk in (dict(key.as_dict(private=True)) for key in _KEYS.values())
}
GOOD: Final[Mapping[str, Jwk]] = {
    algorithm: oracle.public_jwk(key, use=None, alg=None) for algorithm, key in _KEYS.items()
}
RSA: Final = ("RS256",)
EC: Final = ("ES256", "ES384", "ES512")
EDWARDS: Final = ("EdDSA",)
POINTS: Final = (*EC, *EDWARDS)
ALL: Final = tuple(GOOD)


@dataclass(frozen=True)
class KeyOddity:
    """Something odd about a key: its name, the kinds of key that can have it, and its variants."""

    name: str
    kinds: Sequence[str]
    variants: Sequence[Change] = field(repr=False)

    def examples(self) -> list[Jwk]:
        """Every key that is odd in this."""
        return [variant(dict(GOOD[kind])) for kind in self.kinds for variant in self.variants]


def put(**members: Any) -> Change:
    """A key with these members."""
    return lambda jwk: {**jwk, **members}


def without(name: str) -> Change:
    """A key without a member that it should have, or with nothing in it."""
    return lambda jwk: {member: value for member, value in jwk.items() if member != name}


def octets(name: str, change: Callable[[bytes], bytes]) -> Change:
    """A key of which one number has other bytes."""
    return lambda jwk: {**jwk, name: segment(change(urlsafe_b64decode(jwk[name] + "==")))}


def text(name: str, change: Callable[[str], str]) -> Change:
    """A key of which one number is spelled in another way."""
    return lambda jwk: {**jwk, name: change(jwk[name])}


def _private(jwk: Jwk) -> Jwk:
    return dict(_PRIVATE[jwk["kty"], jwk.get("crv")])


def _number(value: int) -> str:
    return segment(value.to_bytes((value.bit_length() + 7) // 8 or 1))


def _roca() -> int:
    """CVE-2017-15361: what is one modulo every small prime is a power of 65537 modulo each of them."""
    product = math.prod(number for number in range(2, 168) if all(number % smaller for smaller in range(2, number)))
    return product * (2**2047 // product + 1) + 1


def _koblitz(_: Jwk) -> Jwk:
    point = ec.generate_private_key(ec.SECP256K1()).public_key().public_numbers()
    return {"kty": "EC", "crv": "secp256k1", "x": segment(point.x.to_bytes(32)), "y": segment(point.y.to_bytes(32))}


def _halved(raw: bytes) -> bytes:
    return bytes([raw[0] >> 1]) + raw[1:]


def _last_bit(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def _stray(spelled: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return spelled[:-1] + alphabet[alphabet.index(spelled[-1]) ^ 1]


_NOT_STRINGS: Final[tuple[Any, ...]] = (7, True, None, ["AQAB"], {})
_SMALL_ORDER: Final = tuple(
    point.to_bytes(32, "little")
    for point in (
        0,
        1,
        2**255 - 20,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    )
)

KEY_ODDITIES: Final = (
    KeyOddity("nothing", ALL, [dict]),
    KeyOddity(
        "its algorithm", ("RS256", "EdDSA"), [lambda jwk: {**jwk, "alg": "RS256" if jwk["kty"] == "RSA" else "EdDSA"}]
    ),
    KeyOddity("what it is for", ALL, [put(use="sig"), put(key_ops=["verify"]), put(use="sig", key_ops=["verify"])]),
    KeyOddity("a member that nobody knows", ALL, [put(extra="x"), put(extra=7), put(kid="two"), put(ext=True)]),
    KeyOddity("no `kid`", ALL, [without("kid")]),
    KeyOddity("a private key", ALL, [_private]),
    KeyOddity("a private member that is none", ALL, [put(d="AQAB"), put(d="")]),
    KeyOddity("a key for encryption", ALL, [put(use="enc")]),
    KeyOddity("a `use` that is none", ALL, [put(use="any"), put(use=""), put(use=7), put(use=None), put(use=["sig"])]),
    KeyOddity("`key_ops` without `verify`", ALL, [put(key_ops=["sign"]), put(key_ops=["encrypt"]), put(key_ops=[])]),
    KeyOddity("`key_ops` in a string", ALL, [put(key_ops="verify")]),
    KeyOddity("`key_ops` that are none", ALL, [put(key_ops=7), put(key_ops=None)]),
    KeyOddity("a `kid` that is no string", ALL, [put(kid=7), put(kid=["one"]), put(kid=True)]),
    KeyOddity("a `kid` that is null", ALL, [put(kid=None)]),
    KeyOddity("an algorithm of another kind of key", ALL, [put(alg="HS256"), put(alg="ES256K"), put(alg="none")]),
    KeyOddity("an algorithm that does not exist", ALL, [put(alg="XX256")]),
    KeyOddity("an algorithm that is empty", ALL, [put(alg="")]),
    KeyOddity("an algorithm that is no string", ALL, [put(alg=7), put(alg=["RS256"])]),
    KeyOddity("an algorithm that is null", ALL, [put(alg=None)]),
    KeyOddity("no kind", ALL, [without("kty"), put(kty=None), put(kty=""), put(kty="rsa"), put(kty=["RSA"])]),
    KeyOddity("a shared secret", ALL, [lambda _: {"kty": "oct", "k": segment(b"x" * 64)}]),
    KeyOddity("a number that is missing", RSA, [without("n"), without("e")]),
    KeyOddity(
        "a number that is no string",
        RSA,
        [put(n=each) for each in _NOT_STRINGS] + [put(e=each) for each in _NOT_STRINGS],
    ),
    KeyOddity("a modulus of less than 2048 bits", RSA, [octets("n", lambda raw: raw[:128]), octets("n", _halved)]),
    KeyOddity("a modulus of more than 8192 bits", RSA, [octets("n", lambda raw: raw * 5)]),
    KeyOddity("a modulus that gives itself away", RSA, [put(n=_number(_roca()))]),
    KeyOddity("a modulus that is nothing", RSA, [put(n=""), put(n="AA"), put(n="AQ")]),
    KeyOddity("an even modulus", RSA, [octets("n", _last_bit)]),
    KeyOddity("an exponent of one, or none", RSA, [put(e="AQ"), put(e="AA"), put(e="")]),
    KeyOddity("an even exponent", RSA, [put(e="AAAC"), put(e="Ag"), put(e="AQAA")]),
    KeyOddity("an exponent of more than 32 bits", RSA, [put(e=_number(2**33 + 1))]),
    KeyOddity("an exponent of three", RSA, [put(e="Aw")]),
    KeyOddity(
        "zeros before a number", RSA, [octets("n", lambda raw: b"\x00" + raw), octets("e", lambda raw: b"\x00" + raw)]
    ),
    KeyOddity("padding", RSA, [text("n", lambda spelled: spelled + "=")]),
    KeyOddity("padding of a coordinate", POINTS, [text("x", lambda spelled: spelled + "=")]),
    KeyOddity(
        "characters that base64url does not have",
        POINTS,
        [text("x", lambda spelled: spelled[:4] + "*\n* " + spelled[4:])],
    ),
    KeyOddity("bits that belong to no byte", EDWARDS, [text("x", _stray)]),
    KeyOddity(
        "a curve that is not known",
        EC,
        [
            put(crv="P-192"),
            put(crv="p-256"),
            put(crv=""),
            put(crv=7),
            put(crv=None),
            put(crv=["P-256"]),
            without("crv"),
        ],
    ),
    KeyOddity("the curve secp256k1", EC, [_koblitz]),
    KeyOddity("a coordinate that is missing", EC, [without("x"), without("y"), put(x=""), put(y="")]),
    KeyOddity("a coordinate that is no string", EC, [put(x=each) for each in _NOT_STRINGS]),
    KeyOddity(
        "a coordinate that is too short or too long",
        EC,
        [
            octets("x", lambda raw: raw[:-1]),
            octets("y", lambda raw: raw + b"\x00"),
        ],
    ),
    KeyOddity("zeros before a coordinate", EC, [octets("x", lambda raw: b"\x00" + raw)]),
    KeyOddity("a point that is not on the curve", EC, [octets("y", _last_bit), put(x="AA", y="AA")]),
    KeyOddity("a point of another curve", ("ES256",), [lambda _: {**GOOD["ES384"], "crv": "P-256"}]),
    KeyOddity("an Edwards point of small order", EDWARDS, [put(x=segment(point)) for point in _SMALL_ORDER]),
    KeyOddity(
        "an Edwards point beyond the prime",
        EDWARDS,
        [put(x=segment((2**255 - 19 + each).to_bytes(32, "little"))) for each in (3, 9)],
    ),
    KeyOddity(
        "an Edwards point of another length",
        EDWARDS,
        [octets("x", lambda raw: raw[1:]), octets("x", lambda raw: raw + b"\x00"), put(x="")],
    ),
    KeyOddity(
        "Ed448",
        EDWARDS,
        [
            lambda _: {
                "kty": "OKP",
                "crv": "Ed448",
                "x": segment(ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw()),
            }
        ],
    ),
    KeyOddity(
        "X25519",
        EDWARDS,
        [
            lambda _: {
                "kty": "OKP",
                "crv": "X25519",
                "x": segment(x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()),
            }
        ],
    ),
    KeyOddity("another kind of key's curve", ALL, [put(kty="EC", crv="Ed25519"), put(kty="OKP", crv="P-256")]),
)
