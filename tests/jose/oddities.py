"""Everything odd that a token is tried with, each by the name that the table of differences knows it by."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from authserver.jose.compact import MAX_BYTES, MAX_DEPTH
from authserver.jose.jwk import MAX_KEY_ID
from tests import oracle
from tests.jose.drafts import AUDIENCE, EXPIRES, ISSUER, KEYS, NOW, STRANGER, Draft, Oddity

MISSING: Final = object()
PARTS: Final = ("header", "claims")
ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
N_P256: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def member(called: str, part: str, name: str, *values: Any) -> Oddity:
    """A member with other values than it should have; without it, for :data:`MISSING`."""
    spelled = [None if value is MISSING else json.dumps(value) for value in values]
    return Oddity(called, spelled, lambda draft, text: draft.put(part, name, text))


def extra(called: str, *values: str) -> Oddity:
    """A further member of either part, whose value is spelled in an odd way."""
    return Oddity(called, list(product(PARTS, values)), lambda draft, each: draft.put(each[0], "extra", each[1]))


def octets(called: str, *changes: Callable[[bytes], bytes]) -> Oddity:
    """The JSON text of either part, as other bytes."""
    return Oddity(called, list(product(PARTS, changes)), lambda draft, each: draft.encoded.update([each]))


def segments(called: str, *changes: Callable[[str], str]) -> Oddity:
    """The base64url text of any part, spelled in another way."""
    parts = (*PARTS, "signature")
    return Oddity(called, list(product(parts, changes)), lambda draft, each: _respell(draft, *each))


def whole(called: str, *changes: Callable[[str], str]) -> Oddity:
    """The token, after it was signed."""
    return Oddity(called, changes, lambda draft, change: setattr(draft, "whole", change))


def signature(called: str, *changes: Callable[[bytes], bytes]) -> Oddity:
    """The bytes of an ES256 signature."""
    return Oddity(called, changes, lambda draft, change: setattr(draft, "signature", change))


def _respell(draft: Draft, part: str, change: Callable[[str], str]) -> None:
    # Two characters beyond a multiple of four, as a signature has: something to pad, and bits to spare.
    draft.encoded[part] = lambda raw: raw + b" " * ((1 - len(raw)) % 3)
    draft.segments[part] = change


def _twice(draft: Draft, variant: tuple[str, bool]) -> None:
    part, escaped = variant
    name, value = draft.members(part)[0]
    draft.members(part).append((_escaped(name) if escaped else name, value))


def _escape_names(draft: Draft, part: str) -> None:
    members = draft.members(part)
    members[:] = [(_escaped(name), value) for name, value in members]


def _escaped(name: str) -> str:
    return f'"\\u{ord(name[1]):04x}{name[2:]}'


def _standard_alphabet(draft: Draft, part: str) -> None:
    draft.put(part, "extra", '"??????>>>>>>"')  # which has both of the characters that differ
    draft.segments[part] = lambda text: text.replace("-", "+").replace("_", "/")


def _sign_as(draft: Draft, kid: str) -> None:
    draft.kid = kid
    draft.put("header", "kid", json.dumps(kid))
    draft.put("header", "alg", json.dumps(KEYS[kid].as_dict(private=False)["alg"]))


def _sign_by_stranger(draft: Draft, key: oracle.Key) -> None:
    draft.signer = key


def _negated(raw: bytes) -> bytes:
    return raw[:32] + (-int.from_bytes(raw[32:]) % N_P256).to_bytes(32)


def _der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def _stray(text: str) -> str:
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) + 1]


def _inside(what: str) -> Callable[[str], str]:
    return lambda text: text[:8] + what + text[8:]


def _in(*encodings: str) -> Iterator[Callable[[bytes], bytes]]:
    for encoding in encodings:
        yield lambda raw, encoding=encoding: raw.decode().encode(encoding)  # type: ignore[misc]


def _at_end(*more: str) -> Iterator[Callable[[str], str]]:
    for each in more:
        yield lambda text, each=each: text + each  # type: ignore[misc]


JSON: Final = (
    Oddity("a member twice", list(product(PARTS, (False, True))), _twice),
    extra("a member twice, further down", '{"a":1,"a":2}', '[{"a":1,"\\u0061":1}]'),
    octets("a byte order mark", lambda raw: b"\xef\xbb\xbf" + raw),
    octets("UTF-16 or UTF-32", *_in("utf-16", "utf-16-le", "utf-32", "utf-32-be")),
    extra("`NaN` or `Infinity`", "NaN", "Infinity", "-Infinity", "[NaN]"),
    extra("a number beyond any double", "1e400", "-1e400", "[1E+999]"),
    extra("an integer of thousands of digits", "9" * 5000),
    extra("half of a surrogate pair, escaped", '"\\ud800"', '{"\\udc00":1}', '["\\ud83d\\ud83d"]'),
    octets("half of a surrogate pair, encoded", lambda raw: raw[:-1] + b',"extra":"\xed\xa0\x80"}'),
    octets("bytes that are not UTF-8", lambda raw: raw[:-1] + b',"extra":"\xff"}', lambda raw: raw + b"\xc0\xa0"),
    extra(f"nesting deeper than {MAX_DEPTH}", _nested(MAX_DEPTH), _nested(120)),
    extra("a control character in a string", '"\x01"', '"\n"'),
    extra("numbers that JSON does not have", "01", "+1", "1.", ".5", "0x1", "1_000"),
    octets("something after the object", lambda raw: raw + b"x", lambda raw: raw + b"{}", lambda raw: raw + b"\x00"),
    octets("no object", *(lambda _, raw=raw: raw for raw in (b"null", b"[]", b'"text"', b"7", b"{"))),
    octets("white space around the object", lambda raw: b" \n\t\r" + raw + b" \r\n"),
    octets("other white space around the object", lambda raw: b"\x0c" + raw, lambda raw: b"\xc2\xa0" + raw),
    Oddity("names with escapes", PARTS, _escape_names),
)
"""What is odd about the JSON of either part."""

SPELLING: Final = (
    segments("padding", *_at_end("==")),
    segments("wrong padding", *_at_end("=", "===", "===="), lambda text: "==" + text),
    segments("bits that belong to no byte", _stray),
    Oddity("the alphabet of base64", PARTS, _standard_alphabet),
    segments("something inside base64url", *map(_inside, (" ", "\n", "%", "\x00", "*", "\u00e9", "\uff21"))),
    segments("an impossible length", *_at_end("AAA")),
    segments("an empty part", lambda _: ""),
    whole("white space around the token", *_at_end(" ", "\n", "\t"), lambda token: " " + token),
    whole("too many or too few parts", *_at_end(".", ".AAAA"), lambda token: "." + token, lambda _: "..", lambda _: ""),
    member(f"more than {MAX_BYTES // 1024} KiB", "claims", "extra", "x" * MAX_BYTES),
)
"""What is odd about the token's text."""

HEADER: Final = (
    member("`crit` that names something", "header", "crit", ["exp"], ["urn:example"], ["b64"], ["alg", "exp"]),
    member("`crit` that names what everybody knows", "header", "crit", ["alg"], ["kid", "typ"]),
    member("`crit` that names nothing", "header", "crit", []),
    member("`crit` that is no list", "header", "crit", "exp", 1, {}),
    member("`crit` that is null", "header", "crit", None),
    member("`b64` that is true", "header", "b64", True),
    member("`b64` that is false", "header", "b64", False),
    member(
        "an algorithm that is not allowed", "header", "alg", "none", "NONE", "", "es256", "HS256", "ES384", "ES256K"
    ),
    member("an algorithm of another key", "header", "alg", "RS256", "EdDSA"),
    member("an algorithm that is no string", "header", "alg", None, 7, True, ["ES256"], {"ES256": 1}),
    member("no algorithm", "header", "alg", MISSING),
    member("no type", "header", "typ", MISSING),
    member(
        "a type that is spelled in another case", "header", "typ", "jwt", "Jwt", "application/jwt", "Application/JWT"
    ),
    member("another type", "header", "typ", "at+jwt", "dpop+jwt", "logout+jwt", "JOSE", ""),
    member("a type that is no string", "header", "typ", 7, True, ["JWT"], {}),
    member("a type that is null", "header", "typ", None),
    member("no key", "header", "kid", MISSING),
    member("an unknown key", "header", "kid", "unknown", "ELLIPTIC", "elliptic ", "x" * (MAX_KEY_ID + 1)),
    member("a key that is null", "header", "kid", None),
    member("a key that is no string", "header", "kid", 7, True, ["elliptic"], {}),
    member("a key that is empty", "header", "kid", ""),
    member("a header that nobody knows", "header", "extra", "x", 7, None, {"a": 1}),
    member("a header of more than 512 bytes", "header", "cty", "x" * 512),
    member("a key in the header", "header", "jwk", oracle.public_jwk(STRANGER), {}),
    member("where a key is", "header", "jku", "https://attacker.test/keys"),
    member("where a certificate is", "header", "x5u", "https://attacker.test/certificate"),
    member("a known member of a wrong kind", "header", "x5c", 7, "MII"),
)
"""What is odd about what the header says."""

SIGNATURE: Final = (
    Oddity("another good algorithm", [kid for kid in KEYS if kid != "elliptic"], _sign_as),
    Oddity("a signature by a stranger", [STRANGER], _sign_by_stranger),
    signature("a signature of the same message with -s", _negated),
    signature("a signature in DER", _der),
    signature("a wrong signature", lambda raw: raw[:-1], lambda raw: raw + b"\x00", lambda raw: b"\x00" * len(raw)),
)
"""What is odd about the signature."""

CLAIMS: Final = (
    member("no issuer", "claims", "iss", MISSING),
    member("another issuer", "claims", "iss", f"{ISSUER}/", ISSUER.upper(), f"{ISSUER} ", "", None),
    member("an issuer that is no string", "claims", "iss", 7, True, [ISSUER], {ISSUER: 1}),
    member("no audience", "claims", "aud", MISSING, None),
    member("another audience", "claims", "aud", f"{AUDIENCE}/", AUDIENCE.upper(), "", AUDIENCE[:-1]),
    member("an audience in a list", "claims", "aud", [AUDIENCE]),
    member("several audiences", "claims", "aud", [AUDIENCE, "https://other.test"], [AUDIENCE, AUDIENCE]),
    member("an audience among others that are none", "claims", "aud", [AUDIENCE, 7], [AUDIENCE, None]),
    member("an audience that is none", "claims", "aud", 7, True, [], {AUDIENCE: 1}, [[AUDIENCE]]),
    member("no expiry", "claims", "exp", MISSING),
    member("an expiry that is null", "claims", "exp", None),
    member("an expiry that is past", "claims", "exp", NOW - 3600, 0, -1, -(10**9)),
    member("an expiry that is no number", "claims", "exp", "soon", [EXPIRES], {}, ""),
    member("an expiry in a string", "claims", "exp", str(EXPIRES), f" {EXPIRES} "),
    member("an expiry that is a boolean", "claims", "exp", True, False),
    member("an expiry with a fraction", "claims", "exp", EXPIRES + 0.5, float(EXPIRES)),
    member("an expiry beyond 2**53", "claims", "exp", 2**53 + 2, 2**63, 10**30),
    member("a time before which it is not valid", "claims", "nbf", NOW, NOW - 600, NOW - 0.5),
    member("a time before which it is not valid, to come", "claims", "nbf", EXPIRES, EXPIRES + 0.5),
    member("a time before which it is not valid, in a string", "claims", "nbf", str(NOW)),
    member("a time before which it is not valid, that is negative", "claims", "nbf", -1),
    member("a time before which it is not valid, that is null", "claims", "nbf", None),
    member("a time before which it is not valid, that is none", "claims", "nbf", "now", [NOW], {}),
    member("no time of issue", "claims", "iat", MISSING),
    member("a time of issue with a fraction", "claims", "iat", NOW - 0.5),
    member("a time of issue to come", "claims", "iat", EXPIRES),
    member("a time of issue in a string", "claims", "iat", str(NOW)),
    member("a time of issue that is negative", "claims", "iat", -1),
    member("a time of issue that is null", "claims", "iat", None),
    member("a time of issue that is a boolean", "claims", "iat", True),
    member("a time of issue that is none", "claims", "iat", "now", [NOW], {}),
    member("no subject", "claims", "sub", MISSING, None),
    member("a subject that is no string", "claims", "sub", 7, True, ["somebody"], {}),
    member("a subject that is empty", "claims", "sub", ""),
    member("a subject that cannot be printed", "claims", "sub", "some\nbody", "some\u202ebody", "\x00"),
    member("an identifier that is no string", "claims", "jti", 7, ["one"], None),
    member("claims that nobody knows", "claims", "extra", "x", 7, -0.0, 1e9, None, [], {"a": {"b": [True]}}),
)
"""What is odd about what is claimed."""

ODDITIES: Final[Sequence[Oddity]] = (*JSON, *SPELLING, *HEADER, *SIGNATURE, *CLAIMS)
