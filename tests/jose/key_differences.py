"""Where we and the others take different keys, and why: the tables about keys of docs/reference/differences.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from authserver.jose.jwk import MAX_RSA_BITS, MIN_RSA_BITS
from tests.jose.differences import BOTH, JOSERFC, PYJWT, Row


@dataclass(frozen=True)
class KeyDifference(Row):
    """A row about keys, with the names of the oddities that it is about."""

    oddities: Sequence[str]


KEYS_REFUSED_HERE: Final = (
    KeyDifference(
        "a private key",
        JOSERFC,
        "It would be trusted although somebody has published it. PyJWT makes a private key of it.",
        ["a private key"],
    ),
    KeyDifference(
        "a key that is for something else, by `use` or `key_ops`",
        PYJWT,
        "RFC 7517 sections 4.2 and 4.3; PyJWT leaves it to the program.",
        ["a key for encryption", "a `use` that is none", "`key_ops` without `verify`", "`key_ops` that are none"],
    ),
    KeyDifference(
        "`key_ops` in a string",
        BOTH,
        "It is a list (RFC 7517 section 4.3).",
        ["`key_ops` in a string"],
    ),
    KeyDifference(
        "a `kid` that is no string, or an empty `alg`",
        PYJWT,
        "No token can name the one, and no algorithm has the other name.",
        ["a `kid` that is no string", "an algorithm that is empty"],
    ),
    KeyDifference(
        f"an RSA modulus of less than {MIN_RSA_BITS} bits",
        BOTH,
        "RFC 7518 section 3.3 asks for at least so many. Both warn when such a key is used.",
        ["a modulus of less than 2048 bits"],
    ),
    KeyDifference(
        f"an RSA modulus of more than {MAX_RSA_BITS} bits, or an exponent of more than 32",
        BOTH,
        "One verification takes so long that tokens could keep a server busy.",
        ["a modulus of more than 8192 bits", "an exponent of more than 32 bits"],
    ),
    KeyDifference(
        "an RSA modulus with the fingerprint of CVE-2017-15361",
        BOTH,
        "It can be factored.",
        ["a modulus that gives itself away"],
    ),
    KeyDifference(
        "padding, stray bits or other characters in base64url",
        PYJWT,
        "RFC 7515 section 2. The same key would have several spellings, and several thumbprints.",
        [
            "padding",
            "padding of a coordinate",
            "characters that base64url does not have",
            "bits that belong to no byte",
        ],
    ),
    KeyDifference(
        "zeros before a coordinate",
        JOSERFC,
        "A coordinate has its full size (RFC 7518 section 6.2.1.2), or a key would have several thumbprints.",
        ["zeros before a coordinate"],
    ),
    KeyDifference(
        "an Ed25519 point of small order, or one that is spelled as a number beyond the prime",
        BOTH,
        "Of the first anybody can sign; the second is another spelling (RFC 8032 section 5.1.3).",
        ["an Edwards point of small order", "an Edwards point beyond the prime"],
    ),
)
"""The keys that we refuse and at least one of the others accepts."""

KEYS_ACCEPTED_HERE: Final = (
    KeyDifference(
        "a `kid` or an `alg` that is null",
        JOSERFC,
        "It says as little as an absent one: no token finds a key without a name, and a key without an algorithm is "
        "bound to one that the configuration allows.",
        ["a `kid` that is null", "an algorithm that is null"],
    ),
)
"""The keys that we accept and at least one of the others refuses, for a reason that does not matter."""
