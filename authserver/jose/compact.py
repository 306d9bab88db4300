"""The one strict parse of the JWS compact serialization (RFC 7515 section 3.1).

Stricter than the libraries underneath, on purpose: one spelling for each value (RFC 7515 section 2: base64url
without padding, and no stray bits), UTF-8 without a byte order mark, no duplicate member (RFC 8725 section
2.4 and RFC 7519 section 4), nothing that is not JSON (``NaN``, ``1e400``), and bounds on size and depth.
"""

import binascii
import json
import json.encoder
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from authserver.errors import CredentialRejected, Reason

MAX_BYTES: Final = 16 * 1024
"""The longest token that is looked at, in bytes."""

MAX_DEPTH: Final = 32
"""The deepest nesting of JSON that is parsed."""

Json = Mapping[str, Any]

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+")
# What stands for the last two values in base64 must not pass as base64url, and neither must padding: here all three
# become something that the decoder refuses in its strict mode, as it does everything else that is not of the alphabet.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
# The last character of an unpadded segment carries bits that belong to no byte; they must be zero, or the
# same bytes would have several spellings. Two left-over characters leave four such bits, three leave two, and one
# alone is not enough for a byte.
_LAST: Final = (None, frozenset[str](), frozenset("AQgw"), frozenset("AEIMQUYcgkosw048"))
_PADDING = (b"", b"", b"==", b"=")
_WHITESPACE = " \t\n\r"  # RFC 8259 section 2

_MOST_HEADERS: Final = 256
_LONGEST_HEADER: Final = 512
"""How many headers that were read are kept, and how long they may be, in characters."""


class UnverifiedToken(NamedTuple):
    """A token that is well formed. Not one word in it has been verified."""

    unverified_header: Json
    unverified_claims: Json
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"UnverifiedToken({self.unverified_header!r}, {self.unverified_claims!r})"  # no token can be read out


class UnverifiedJws(NamedTuple):
    """A JWS taken apart, whose payload may be anything. Not one byte of it has been verified."""

    unverified_header: Json
    unverified_payload: bytes
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"UnverifiedJws({self.unverified_header!r})"  # no more than that of a token


def parse(token: str) -> UnverifiedToken:
    """Take a JWT apart: a compact JWS whose payload is one JSON object.

    :raises CredentialRejected: ``token_too_large`` or ``token_malformed``.
    """
    header, payload, signing_input, signature = split(token)
    try:
        return UnverifiedToken(header, json_object(payload), signing_input, signature)
    except ValueError as error:
        raise CredentialRejected(Reason.TOKEN_MALFORMED, part="claims") from error


def split(token: str) -> UnverifiedJws:
    """Take a compact JWS apart without reading its payload.

    :raises CredentialRejected: ``token_too_large`` or ``token_malformed``.
    """
    if len(token) > MAX_BYTES:
        raise CredentialRejected(Reason.TOKEN_TOO_LARGE, bytes=len(token))
    try:
        header, payload, signature = token.split(".", 3)
        if not signature:
            raise ValueError("no signature")
        signing_input = token[: -len(signature) - 1].encode("ascii")
        return UnverifiedJws(_header(header), base64url_decode(payload), signing_input, base64url_decode(signature))
    except ValueError as error:
        part = "serialization" if _COMPACT.fullmatch(token) is None else "segment"
        raise CredentialRejected(Reason.TOKEN_MALFORMED, part=part) from error


def base64url_decode(text: str) -> bytes:
    """Decode base64url in its one canonical spelling (RFC 7515 section 2).

    :raises ValueError: for padding, another alphabet, or bits that belong to no byte.
    """
    left_over = len(text) % 4
    possible = _LAST[left_over]
    if possible is not None and text[-1] not in possible:
        raise ValueError("impossible length, or stray bits")
    # One pass in C checks the alphabet and decodes; a regular expression in front of it costs as much again.
    return binascii.a2b_base64(text.encode("ascii").translate(_TO_BASE64) + _PADDING[left_over], strict_mode=True)


def base64url_encode(raw: bytes) -> str:
    """Encode base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_").decode("ascii")


def json_object(raw: bytes) -> Json:
    """Read one JSON object, strictly.

    :raises ValueError: for anything that is not exactly one object in UTF-8, or is nested too deeply.
    """
    text = str(raw, "utf-8")
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    text = text.strip(_WHITESPACE)
    value, end = _DECODER.raw_decode(text)
    if not isinstance(value, dict) or end != len(text):
        raise ValueError("not an object, or something after it")
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def json_writer(
    *, ensure_ascii: bool, allow_nan: bool = True, default: Callable[[Any], Any] | None = None
) -> Callable[[Any], str]:
    """A function that writes JSON without white space. The arguments are those of :class:`json.JSONEncoder`.

    Nothing that it writes may contain itself.
    """
    encoder = json.JSONEncoder(
        separators=(",", ":"), ensure_ascii=ensure_ascii, allow_nan=allow_nan, check_circular=False, default=default
    )
    # The library makes its encoder in C anew for each text, which takes a third of the time. Here it is made once, in
    # the same way, if there is one.
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    quoted = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    chunks = make(None, encoder.default, quoted, None, ":", ",", False, False, allow_nan)

    def write(value: Any) -> str:
        return "".join(chunks(value, 0))

    return write


def _header(segment: str) -> Json:
    return _read_header(segment) if len(segment) <= _LONGEST_HEADER else json_object(base64url_decode(segment))


@lru_cache(_MOST_HEADERS)
def _read_header(segment: str) -> Json:
    """An issuer writes the same few headers over and over, and what one says depends on nothing but its characters.

    Read-only, because all tokens with this header share it.
    """
    return MappingProxyType(json_object(base64url_decode(segment)))


def _depth(text: str) -> int:
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("number out of range")
    return number


def _not_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _refuse_lone_surrogates(value: Json) -> None:
    # An escaped lone surrogate is a string that cannot be written as UTF-8 again, so it would fail much later.
    json.dumps(value, ensure_ascii=False).encode("utf-8")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_float=_finite, parse_constant=_not_json, strict=True
)
